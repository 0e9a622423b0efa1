"""Records as they come from real runs, with numbers made to order; each is validated like one from a file."""

import json

from spikemark.core.measurement import pack_correct
from spikemark.suites.reading import Remarks
from spikemark.suites.records import SCHEMA, key_of, parse_record

MEASURES = {"throughput": "network", "layers": "neuron", "conformance": "neuron"}


def record(framework="snntorch", system="mlp-lif", seed=0, measure="accuracy", measurements=(), **changes):
    """A record; `changes` replace its fields, `cell` and `environment` are merged."""
    subject = MEASURES.get(measure, "system")
    cell = {
        "measure": measure,
        "subject": subject,
        "framework": framework,
        "neuron": "lif",
        "seed": seed,
        "settings": {"training": {"epochs": 2}, measure: {}},
    }
    cell |= {} if subject == "neuron" else {"network": "mlp", "system": system, "dataset": "digits"}
    cell |= changes.pop("cell", {})
    environment = {"processor": "cpu", "cores": 2, "system": "Linux"} | changes.pop("environment", {})
    made = {
        "schema": SCHEMA,
        "key": key_of(cell),
        "training": key_of({"training": [framework, system, seed]}) if subject == "system" else None,
        "suite": "smoke",
        "cell": cell,
        "chance": 0.1,
        "route": {"kind": "native", "why": "as it is"},
        "environment": environment,
        "status": "ok",
        "error": None,
        "measurements": list(measurements),
        "fingerprints": {},
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 1.0,
    } | changes
    parsed = parse_record(json.dumps(made).encode(), "made", Remarks())
    assert parsed is not None
    return parsed


def counted(*measurements, **changes):
    """The record of the measure energy."""
    return record(measure="energy", measurements=measurements, **changes)


def row(metric, value, **features):
    return {"metric": metric, "value": value, "unit": features.pop("unit", "1")} | features


def accuracy_record(seed, correct, **changes):
    """Accuracy with per-sample correctness."""
    rows = [row("accuracy", float(correct.mean()), unit="fraction", split="test")]
    return record(seed=seed, measurements=rows, correct=pack_correct(correct), **changes)
