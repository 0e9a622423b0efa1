"""Records as they come from real runs, with numbers made to order."""

from spikemark.core.measurement import pack_correct
from spikemark.suites.records import SCHEMA


def record(framework="snntorch", system="mlp-lif", seed=0, measure="train", measurements=(), **changes):
    """A record; `changes` replace its fields, `cell` and `environment` are merged."""
    cell = {
        "measure": measure,
        "framework": framework,
        "neuron": "lif",
        "network": "mlp",
        "system": system,
        "dataset": "digits",
        "seed": seed,
        "settings": {"training": {"epochs": 2}},
    } | changes.pop("cell", {})
    environment = {"processor": "cpu", "cores": 2, "system": "Linux"} | changes.pop("environment", {})
    made = {
        "schema": SCHEMA,
        "key": f"{abs(hash((framework, system, seed, measure))):016x}"[:16],
        "suite": "smoke",
        "cell": cell,
        "environment": environment,
        "status": "ok",
        "error": None,
        "measurements": list(measurements),
        "fingerprints": {},
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 1.0,
    }
    return made | changes


def row(metric, value, **features):
    return {"metric": metric, "value": value, "unit": features.pop("unit", "1")} | features


def accuracy_record(seed, correct, **changes):
    """A training cell with per-sample correctness."""
    rows = [row("accuracy", float(correct.mean()), unit="fraction", split="test")]
    return record(seed=seed, measurements=rows, correct=pack_correct(correct), **changes)
