"""Synthetic records of the real form, for tests of the report only: nothing in them was measured."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np

from spikemark.core.measurement import pack_correct
from spikemark.core.statistics import median_ratio_interval
from spikemark.measures.energy import PROFILES, Energy
from spikemark.suites.reading import Remarks
from spikemark.suites.records import SCHEMA, Record, key_of, parse_record

NEURONS = {"lif": 0.955, "plif": 0.962, "stl": 0.975, "lt": 0.90}
FRAMEWORKS = {"reference": 1.0, "norse": 0.7, "snntorch": 0.85, "spikingjelly": 1.6}
NOISES = {"gaussian": 0.05, "salt-and-pepper": 0.09, "spike-deletion": 0.03}
SAMPLES = 300
SUBJECTS = {"throughput": "network", "layers": "neuron", "conformance": "neuron"}
SHARED = {"training": {"epochs": 15, "batch_size": 64}, "encoding": {"name": "direct", "steps": 4}}


def rng_of(*names: Any) -> np.random.Generator:
    digest = hashlib.sha256(repr(names).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def make_record(measure: str, framework: str, neuron: str, seed: int, **changes: Any) -> Record:
    """A valid record without measurements; `changes` replace its fields, those of the cell under ``cell``."""
    subject = SUBJECTS.get(measure, "system")
    cell = {
        "measure": measure,
        "subject": subject,
        "framework": framework,
        "neuron": neuron,
        "seed": seed,
        "settings": {measure: {}} | (SHARED if subject == "system" else {}),
        "framework_version": "1.2.3",
    }
    cell |= {} if subject == "neuron" else {"network": "mlp", "system": f"mlp-{neuron}", "dataset": "digits"}
    cell |= changes.pop("cell", {})
    training = {name: cell.get(name) for name in ("framework", "system", "dataset", "seed", "variant")}
    record = {
        "schema": SCHEMA,
        "key": key_of({"cell": cell, "started": changes.get("started", "")}),
        "training": key_of(training | {"settings": SHARED}) if subject == "system" else None,
        "suite": "quick",
        "cell": cell,
        "chance": None if subject == "neuron" else 0.1,
        "route": {"kind": "native", "why": f"{framework}'s own class as it is"},
        "environment": {"python": "3.11.7", "processor": "a processor", "packages": {"torch": "2.13.0"}, "gpu": None},
        "status": "ok",
        "error": None,
        "measurements": [],
        "fingerprints": {},
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 12.5,
    } | changes
    parsed = parse_record(json.dumps(record).encode(), "made", Remarks())
    assert parsed is not None
    return parsed


def trained_records(
    framework: str, neuron: str, seed: int, level: float | None = None, *, cell: Any = None, **changes: Any
) -> list[Record]:
    """Accuracy, robustness and energy of one training; frameworks differ in a few samples, neurons in their level."""
    rng = rng_of(neuron, seed)
    level = NEURONS[neuron] if level is None else level
    difficulty = rng_of("samples").random(SAMPLES)
    correct = difficulty + 0.05 * rng.normal(0, 1, SAMPLES) < level + rng.normal(0, 0.004)
    correct[rng_of(framework, neuron, seed).integers(0, SAMPLES, 1 if framework != "reference" else 0)] ^= True
    accuracy: dict[str, Any] = {
        "measurements": [
            {"metric": "parameters", "value": 50_890.0, "unit": "1"},
            {"metric": "accuracy", "value": float(correct.mean()), "unit": "fraction", "split": "test"},
            {
                "metric": "accuracy_last_epoch",
                "value": float(correct.mean()) - 0.002,
                "unit": "fraction",
                "split": "test",
            },
            {"metric": "accuracy", "value": 0.97, "unit": "fraction", "split": "validation"},
        ],
        "fingerprints": {"initial_weights": f"weights {neuron} {seed}", "batch_order": f"order {seed}"},
        "correct": pack_correct(correct),
        "trained": training_of(neuron, seed),
    }
    robustness: dict[str, Any] = {
        "measurements": _noisy(float(correct.mean()), rng),
        "fingerprints": {"noise:gaussian:1": "g1"},
    }
    energy = {"measurements": _priced(level, rng)}
    noises = {name: {"domain": "input", "levels": [1, 2, 3, 4, 5]} for name in NOISES}
    cells = {"accuracy": {}, "robustness": {"noises": noises}, "energy": {}}
    return [
        make_record(measure, framework, neuron, seed, **(fields | changes | {"cell": cells[measure] | (cell or {})}))
        for measure, fields in (("accuracy", accuracy), ("robustness", robustness), ("energy", energy))
    ]


def _noisy(accuracy: float, rng: np.random.Generator) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for noise, slope in NOISES.items():
        for severity in range(6):
            value = 0.1 + (accuracy - 0.1) * math.exp(-slope * severity * (1 + rng.normal(0, 0.03)) * severity)
            rows.append(
                {"metric": "accuracy", "value": float(value), "unit": "fraction", "split": "test", "noise": noise}
                | {"severity": severity}
            )
    return rows


def _priced(level: float, rng: np.random.Generator) -> list[dict[str, Any]]:
    macs, acs = 65_536.0, 30_000 * (1 + 2 * (1 - level)) * (1 + rng.normal(0, 0.05))
    rows: list[dict[str, Any]] = [
        {"metric": "macs", "value": macs, "unit": "1/sample"},
        {"metric": "acs", "value": acs, "unit": "1/sample"},
        {"metric": "dense", "value": 203_000.0, "unit": "1/sample"},
        {"metric": "neuron_updates", "value": 1432.0, "unit": "1/sample"},
        {"metric": "firing_rate", "value": acs / 203_000, "unit": "spikes/step"},
    ]
    for layer, kind, layer_macs, layer_acs in (("fc1", "analog", macs, 0.0), ("fc2", "binary", 0.0, acs)):
        place = {"unit": "1/sample", "layer": layer, "input_kind": kind}
        rows += [{"metric": "macs", "value": layer_macs} | place, {"metric": "acs", "value": layer_acs} | place]
    for name in Energy().profiles:
        profile = PROFILES[name]
        price = profile.mac * macs + profile.ac * acs + profile.weight_read * (macs + acs)
        rows.append({"metric": "energy", "value": price, "unit": "pJ/sample", "profile": name})
    return rows


def training_of(neuron: str, seed: int, epochs: int = 4) -> dict[str, Any]:
    """What training did: thresholds of stl rise from 1 to 1.5, and a tenth of them do not move."""
    curve = [
        {"epoch": e, "loss": 1 / e, "validation_accuracy": 0.9 + 0.01 * e + 0.001 * seed, "seconds": 1.0}
        for e in range(1, epochs + 1)
    ]
    threshold = {"layer": "1", "parameter": "threshold", "count": 10, "share_moved": 0.9, "share_not_positive": 0.0}
    threshold |= {"first": [1.0] * 7, "last": [1.0, 1.1, 1.3, 1.5, 1.6, 1.7, 1.8]}
    return {
        "rule": {"name": "bptt"},
        "best_epoch": epochs - 1,
        "curve": curve,
        "parameters": [threshold] if neuron == "stl" else [],
        "recall": [0.9] * 10,
        "silent": {"1": 0.125},
    }


def accuracy_record(framework: str, neuron: str, seed: int, correct: Any, /, **changes: Any) -> Record:
    """Accuracy alone, the same in the last epoch."""
    rows = [
        {"metric": name, "value": float(np.mean(correct)), "unit": "fraction", "split": "test"}
        for name in ("accuracy", "accuracy_last_epoch")
    ]
    fields = {"measurements": rows, "correct": pack_correct(np.array(correct, dtype=bool))}
    return make_record("accuracy", framework, neuron, seed, **(fields | changes))


def throughput_record(framework: str, neuron: str, **changes: Any) -> Record:
    rows: list[dict[str, Any]] = []
    for track, factor in (("matched", 1.0), ("native", 1.3)):
        found: list[dict[str, Any]] = []
        for metric, base in (
            ("samples_per_second", 9000.0),
            ("training_samples_per_second", 3000.0),
            ("latency", 0.002),
        ):
            rng = rng_of(framework, neuron, track, metric)
            speed = FRAMEWORKS[framework] * factor
            ratios = (1 / speed if metric == "latency" else speed) * (1 + rng.normal(0, 0.03, 12))
            for name, unit, values in ((f"{metric}_ratio", "x reference", ratios), (metric, "1/s", base * ratios)):
                interval = median_ratio_interval([values])
                found.append(
                    {"metric": name, "value": interval.value, "unit": unit, "values": [float(v) for v in values]}
                    | {"low": interval.low, "high": interval.high}
                )
        found.append({"metric": "peak_memory", "value": 12.5 * 2**20, "unit": "bytes"})
        found.append({"metric": "first_call", "value": 0.004, "unit": "s"})
        rows += [row | {"track": track} for row in found]
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
        {"metric": "gradient_error", "value": error, "unit": "1", "dtype": dtype, "split": tensor}
        for dtype, error in (("float32", 2.5e-7), ("float64", 1.5e-15))
        for tensor in ("currents", "threshold")
    ]
    return make_record("conformance", framework, neuron, 0, **({"measurements": rows} | changes))


def suite_of(seeds: int = 3, frameworks: Any = FRAMEWORKS, neurons: Any = NEURONS) -> list[Record]:
    """A whole suite in which everything went well."""
    records = [one for f in frameworks for n in neurons for s in range(seeds) for one in trained_records(f, n, s)]
    records += [throughput_record(f, n) for f in frameworks for n in neurons]
    return records + [conformance_record(f, n) for f in frameworks for n in neurons]
