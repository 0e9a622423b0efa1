"""Synthetic records of the real form, for tests of the report only: nothing in them was measured."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np

from spikemark.core.measurement import pack_correct
from spikemark.core.statistics import median_ratio_interval
from spikemark.measures.energy import PROFILES
from spikemark.suites.records import Record, key_of

NEURONS = {"lif": 0.955, "plif": 0.962, "stl": 0.975, "lt": 0.90}
FRAMEWORKS = {"reference": 1.0, "norse": 0.7, "snntorch": 0.85, "spikingjelly": 1.6}
NOISES = {"gaussian": 0.05, "salt-and-pepper": 0.09, "spike-deletion": 0.03}
SAMPLES = 300


def rng_of(*names: Any) -> np.random.Generator:
    digest = hashlib.sha256(repr(names).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def make_record(measure: str, framework: str, neuron: str, seed: int, **changes: Any) -> Record:
    """A record without measurements; `changes` replace its fields, those of the cell under ``cell``."""
    cell = {
        "measure": measure,
        "framework": framework,
        "neuron": neuron,
        "network": "mlp",
        "system": f"mlp-{neuron}",
        "dataset": "digits",
        "seed": seed,
        "settings": {"training": {"epochs": 15, "batch_size": 64}, "encoding": {"name": "direct", "steps": 4}},
        "framework_version": "1.2.3",
        "route": {"kind": "native", "why": f"{framework}'s own class as it is"},
    } | changes.pop("cell", {})
    record: Record = {
        "schema": 1,
        "key": key_of({"cell": cell, "started": changes.get("started", "")}),
        "suite": "quick",
        "cell": cell,
        "environment": {"python": "3.11.7", "processor": "a processor", "packages": {"torch": "2.13.0"}, "gpu": None},
        "status": "ok",
        "error": None,
        "measurements": [],
        "fingerprints": {},
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 12.5,
    }
    return record | changes  # type: ignore[return-value]


def train_record(framework: str, neuron: str, seed: int, level: float | None = None, **changes: Any) -> Record:
    """Accuracy, robustness and energy; frameworks differ in a few samples, neurons in their level."""
    rng = rng_of(neuron, seed)
    level = NEURONS[neuron] if level is None else level
    difficulty = rng_of("samples").random(SAMPLES)
    correct = difficulty + 0.05 * rng.normal(0, 1, SAMPLES) < level + rng.normal(0, 0.004)
    correct[rng_of(framework, neuron, seed).integers(0, SAMPLES, 1 if framework != "reference" else 0)] ^= True
    rows: list[dict[str, Any]] = [
        {"metric": "parameters", "value": 50_890.0, "unit": "1"},
        {"metric": "accuracy", "value": float(correct.mean()), "unit": "fraction", "split": "test"},
        {"metric": "accuracy_last_epoch", "value": float(correct.mean()) - 0.002, "unit": "fraction", "split": "test"},
        {"metric": "accuracy", "value": 0.97, "unit": "fraction", "split": "validation"},
    ]
    for noise, slope in NOISES.items():
        for severity in range(6):
            value = 0.1 + (correct.mean() - 0.1) * math.exp(-slope * severity * (1 + rng.normal(0, 0.03)) * severity)
            rows.append(
                {"metric": "accuracy", "value": float(value), "unit": "fraction", "split": "test", "noise": noise}
                | {"severity": severity}
            )
    macs, acs = 65_536.0, 30_000 * (1 + 2 * (1 - level)) * (1 + rng.normal(0, 0.05))
    rows += [
        {"metric": "macs", "value": macs, "unit": "1/sample"},
        {"metric": "acs", "value": acs, "unit": "1/sample"},
        {"metric": "dense", "value": 203_000.0, "unit": "1/sample"},
        {"metric": "neuron_updates", "value": 1432.0, "unit": "1/sample"},
        {"metric": "firing_rate", "value": acs / 203_000, "unit": "spikes/step"},
    ]
    for layer, layer_macs, layer_acs in (("fc1 (analog)", macs, 0.0), ("fc2 (binary)", 0.0, acs)):
        rows.append({"metric": "macs", "value": layer_macs, "unit": "1/sample", "layer": layer})
        rows.append({"metric": "acs", "value": layer_acs, "unit": "1/sample", "layer": layer})
    for name, profile in PROFILES.items():
        price = profile.mac * macs + profile.ac * acs + profile.weight_read * (macs + acs)
        rows.append({"metric": "energy", "value": price, "unit": f"pJ {name}"})
    prints = {"initial_weights": f"weights {neuron} {seed}", "batch_order": f"order {seed}", "noise:gaussian:1": "g1"}
    fields = {"measurements": rows, "fingerprints": prints, "correct": pack_correct(correct)}
    return make_record("train", framework, neuron, seed, **(fields | changes))


def accuracy_record(framework: str, neuron: str, seed: int, correct: Any, /, **changes: Any) -> Record:
    """Accuracy alone, the same in the last epoch."""
    rows = [
        {"metric": name, "value": float(np.mean(correct)), "unit": "fraction", "split": "test"}
        for name in ("accuracy", "accuracy_last_epoch")
    ]
    fields = {"measurements": rows, "correct": pack_correct(np.array(correct, dtype=bool))}
    return make_record("train", framework, neuron, seed, **(fields | changes))


def throughput_record(framework: str, neuron: str, **changes: Any) -> Record:
    rows: list[dict[str, Any]] = []
    for prefix, factor in (("", 1.0), ("native_", 1.3)):
        for metric, base in (
            ("samples_per_second", 9000.0),
            ("training_samples_per_second", 3000.0),
            ("latency", 0.002),
        ):
            rng = rng_of(framework, neuron, prefix, metric)
            speed = FRAMEWORKS[framework] * factor
            ratios = (1 / speed if metric == "latency" else speed) * (1 + rng.normal(0, 0.03, 12))
            for name, unit, values in ((f"{metric}_ratio", "x reference", ratios), (metric, "1/s", base * ratios)):
                interval = median_ratio_interval([values])
                rows.append(
                    {
                        "metric": prefix + name,
                        "value": interval.value,
                        "unit": unit,
                        "values": [float(v) for v in values],
                    }
                    | {"low": interval.low, "high": interval.high}
                )
        rows.append({"metric": f"{prefix}peak_memory", "value": 12.5 * 2**20, "unit": "bytes"})
        rows.append({"metric": f"{prefix}first_call", "value": 0.004, "unit": "s"})
    rows += [
        {"metric": "copy_bandwidth", "value": 9.5e9, "unit": "bytes/s"},
        {"metric": "threads", "value": 1.0, "unit": "threads"},
    ]
    return make_record("throughput", framework, neuron, 0, **({"measurements": rows} | changes))


def conformance_record(framework: str, neuron: str, differing: int = 0, **changes: Any) -> Record:
    rows: list[dict[str, Any]] = [
        {"metric": "differing_spikes", "value": float(differing), "unit": "spikes"},
        {"metric": "compared_spikes", "value": 123_456.0, "unit": "spikes"},
        {"metric": "spikes_at_threshold", "value": 789.0, "unit": "spikes"},
    ]
    rows += [
        {"metric": "gradient_error", "value": error, "unit": unit, "split": tensor}
        for unit, error in (("float32", 2.5e-7), ("float64", 1.5e-15))
        for tensor in ("currents", "threshold")
    ]
    cell = {"dataset": "dyadic", "network": None, "system": neuron}
    return make_record("conformance", framework, neuron, 0, **({"measurements": rows, "cell": cell} | changes))


def suite_of(seeds: int = 3, frameworks: Any = FRAMEWORKS, neurons: Any = NEURONS) -> list[Record]:
    """A whole suite in which everything went well."""
    records = [train_record(f, n, s) for f in frameworks for n in neurons for s in range(seeds)]
    records += [throughput_record(f, n) for f in frameworks for n in neurons]
    return records + [conformance_record(f, n) for f in frameworks for n in neurons]
