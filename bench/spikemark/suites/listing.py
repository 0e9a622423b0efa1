"""Registries as tables: what every entry is, and where it comes from. Nothing heavy is imported for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spikemark.core.frameworks import MissingFramework, environment_of, framework_version
from spikemark.core.neurons import FrameworkNeuron, Learnable, NetworkNeuron, NeuronSpec
from spikemark.registry import KINDS, registry
from spikemark.suites.suite import load_suite

Columns = Mapping[str, Any]


def listing(kind: str) -> tuple[str, list[str], list[list[Any]]]:
    """Title, columns and rows for one kind of entry: its name, what is known of it, source and origin."""
    entries = registry(kind)
    describe = _DESCRIBE.get(kind)
    rows = [{"name": name, **(describe(name) if describe is not None else {})} for name in entries]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [
        [
            *(row.get(column, "") for column in columns),
            entries.source(str(row["name"])),
            entries.origin(str(row["name"])).name,
        ]
        for row in rows
    ]
    return KINDS[kind], [*columns, "source", "origin"], lines


def _neuron(name: str) -> Columns:
    def learnable(value: Learnable) -> str:
        return f"{value.init:.4g}" + (f", one per {value.scope}, {value.transform}" if value.learned else "")

    match registry("neuron")[name]:
        case NeuronSpec() as spec:
            return {
                "framework": "any",
                "threshold": learnable(spec.threshold),
                "decay": learnable(spec.decay),
                "reset": spec.reset,
                "surrogate": spec.surrogate.name,
            }
        case FrameworkNeuron() as neuron:
            told = {"framework": neuron.framework, "threshold": ", ".join(neuron.learned) or "its own"}
            return told | {"about": f"not offered: {neuron.lacks}" if neuron.lacks else neuron.about}
        case NetworkNeuron() as neuron:
            return {"framework": neuron.framework, "threshold": "its network's own"}
        case other:
            return {"framework": f"not a neuron: {other!r}"}


def _system(name: str) -> Columns:
    system = registry("system")[name]
    options = {key: value for key, value in system.rule.to_dict().items() if key != "name"}
    return {
        "network": system.network,
        "neuron": system.neuron,
        "normalization": system.normalization,
        "rule": system.rule.name,
        "options of the rule": ", ".join(f"{key}={value}" for key, value in options.items()),
        "made for": " x ".join(map(str, system.made_for or ())),
    }


def _dataset(name: str) -> Columns:
    card = registry("dataset")[name]
    return {
        "shape": card.shape, "classes": card.classes, "train": card.samples.train, "test": card.samples.test,
        "licence": card.licence,
    }  # fmt: skip


def _noise(name: str) -> Columns:
    noise = registry("noise")[name]
    levels = ", ".join(f"{level:g}" for level in noise.levels)
    return {"domain": noise.domain, "severities 1 to 5": levels, "unit": noise.unit}


def _framework(name: str) -> Columns:
    try:
        own = environment_of(name)
        return {"version": framework_version(name), "environment": "" if own is None else own.state()}
    except MissingFramework as error:
        return {"version": str(error), "environment": ""}


def _suite(name: str) -> Columns:
    suite = load_suite(name)
    return {"jobs": len(suite.points()), "description": suite.description}


def _measure(name: str) -> Columns:
    measure = registry("measure")[name]
    return {"of a": measure.subject, "alone": "yes" if measure.exclusive else "", "metrics": ", ".join(
        dict.fromkeys(metric.name for metric in measure.metrics)
    )}  # fmt: skip


def _rule(name: str) -> Columns:
    rule = registry("rule")[name]
    return {"options": ", ".join(rule.model_fields)}


def _claim(name: str) -> Columns:
    claim = registry("claim")[name]
    return {"statement": claim.statement, "contrasts": len(claim.contrasts)}


_DESCRIBE: Mapping[str, Callable[[str], Columns]] = {
    "neuron": _neuron,
    "system": _system,
    "dataset": _dataset,
    "noise": _noise,
    "framework": _framework,
    "suite": _suite,
    "measure": _measure,
    "rule": _rule,
    "claim": _claim,
}
