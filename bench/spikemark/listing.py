"""The registries as tables, for `spikemark list`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

Table = tuple[str, list[str], list[list[Any]]]

# What the suite's own networks are counted for; the papers' networks know their own.
_SHAPE, _CLASSES, _STEPS = (1, 28, 28), 10, 4


def _adapters() -> Table:
    from spikemark.adapter import MissingFramework, adapter_names, get_adapter, install_command
    from spikemark.neurons import NEURONS

    rows = []
    for name in adapter_names():
        try:
            adapter = get_adapter(name)
        except MissingFramework:
            rows.append([name, "not installed", install_command(name)])
            continue
        routes = ", ".join(f"{neuron} {adapter.route(spec).kind}" for neuron, spec in NEURONS.items())
        rows.append([name, adapter.version(), routes])
    return "adapters", ["name", "framework version", "route by neuron"], rows


def _neurons() -> Table:
    from spikemark.neurons import NEURONS, OWN_NEURONS

    def learnable(value: Any) -> str:
        return f"{value.init:.4g}" + ("" if value.scope == "fixed" else f", a {value.scope}, {value.transform}")

    rows = [
        [name, learnable(s.threshold), learnable(s.decay), s.reset, s.surrogate.name, s.source]
        for name, s in NEURONS.items()
    ]
    rows += [[name, "own", "own", "own", "own", source] for name, source in OWN_NEURONS.items()]
    return "neurons", ["name", "threshold", "decay", "reset", "surrogate", "source"], rows


def _systems() -> Table:
    from spikemark.adapter import get_adapter
    from spikemark.networks import PUBLISHED, Published, build_system, neurons_of
    from spikemark.systems import SYSTEMS

    rows = []
    for name, system in SYSTEMS.items():
        published = PUBLISHED.get(system.network) or Published(system.made_for or _SHAPE, _CLASSES)
        shape, classes = published.input_shape, published.classes
        model = build_system(system, get_adapter("reference"), shape, classes, 0, steps=_STEPS, meta=True)
        learned = sum(p.numel() for layer in neurons_of(model) for p in layer.learnables().values())
        count = sum(p.numel() for p in model.parameters())
        inputs = " x ".join(str(side) for side in shape)
        rows.append(
            [name, system.network, system.neuron, system.trains, inputs, count - learned, learned, system.source]
        )
    title = f"systems (parameters for the inputs named, {_STEPS} steps, {_CLASSES} classes (11 for dvs128))"
    header = ["name", "network", "neuron", "trains", "inputs", "weights", "neuron parameters", "source"]
    return title, header, rows


def _datasets() -> Table:
    from spikemark.datasets import DATASETS

    rows = [
        [c.name, c.shape, c.classes, c.samples.train, c.samples.test, c.licence, c.source] for c in DATASETS.values()
    ]
    return "data sets", ["name", "shape", "classes", "train", "test", "licence", "source"], rows


def _noise() -> Table:
    from spikemark.noise import NOISES

    rows = [
        [n.name, n.domain, ", ".join(f"{level:g}" for level in n.levels), n.unit, n.source] for n in NOISES.values()
    ]
    return "noise", ["name", "domain", "severities 1 to 5", "unit", "source"], rows


def _suites() -> Table:
    from spikemark.suite import load_suite, shipped_suites

    rows = [[name, len(load_suite(name).cells()), load_suite(name).description] for name in shipped_suites()]
    return "suites", ["name", "cells", "description"], rows


LISTINGS: Mapping[str, Callable[[], Table]] = MappingProxyType(
    {
        "adapters": _adapters,
        "neurons": _neurons,
        "systems": _systems,
        "datasets": _datasets,
        "noise": _noise,
        "suites": _suites,
    }
)
