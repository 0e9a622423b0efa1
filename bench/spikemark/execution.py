"""From a cell to its record: builds the network, trains, measures. Runs in whatever process the runner chose."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from spikemark.adapter import get_adapter
from spikemark.cells import Cell, Task
from spikemark.datasets import DATASETS, Binning, Dataset, Sizes, encode, load_dataset
from spikemark.environment import environment
from spikemark.measures.accuracy import test_accuracy
from spikemark.measures.conformance import conformance
from spikemark.measures.energy import energy_measurements
from spikemark.measures.points import Point
from spikemark.measures.robustness import robustness
from spikemark.measures.throughput import Budget, throughput
from spikemark.networks import SpikingNetwork, build_system, neurons_of
from spikemark.neurons import NEURONS, OWN_NEURONS
from spikemark.results import SCHEMA, Measurement, Record, Status
from spikemark.settings import Events, Throughput
from spikemark.streams import generator
from spikemark.systems import SYSTEMS, System
from spikemark.training.learner import Protocol
from spikemark.training.loop import CellTimeoutError, DivergedError, Watch, train

Listener = Callable[[dict[str, Any]], None]
# Samples at a time under noise: part of the protocol, since noise on spikes is drawn batch by batch.
_ROBUSTNESS_BATCH = 256


def run_cell(cell: Cell, data_dir: Path | None, device: str, listener: Listener) -> Record:
    """Measure one cell.

    Args:
        cell: what to measure.
        data_dir: folder of the data sets; None for the default places.
        device: "cpu" or "cuda".
        listener: told of every epoch.

    Returns:
        A record with status "ok", "diverged" or "timeout"; any other error is raised, see `failed_record`.
    """
    record = _empty_record(cell, device)
    start = time.monotonic()
    watch = Watch(cell.timeout, lambda event: listener({"cell": str(cell)} | event))
    threads = torch.get_num_threads()
    torch.set_num_threads(_threads(cell))
    try:
        _TASKS[cell.task](cell, record, data_dir, device, watch)
    except DivergedError as error:
        record["status"], record["error"] = "diverged", str(error)
    except CellTimeoutError as error:
        record["status"], record["error"] = "timeout", str(error)
    finally:
        torch.set_num_threads(threads)
    record["seconds"] = round(time.monotonic() - start, 3)
    return record


def lost_record(cell: Cell, device: str, status: Status, error: str) -> Record:
    """The record of a cell that could not report itself."""
    record = _empty_record(cell, device)
    record["status"], record["error"] = status, error
    return record


def failed_record(cell: Cell, device: str, future: Future[Record]) -> Record:
    """The record of a cell whose future ended in an error: the error's last line first, then its traceback."""
    error = future.exception()
    assert error is not None
    lines = traceback.format_exception(error)
    return lost_record(cell, device, "failed", f"{type(error).__name__}: {error}\n{''.join(lines)}")


def _empty_record(cell: Cell, device: str) -> Record:
    content = cell.content()
    content["route"] = _route(cell)
    return {
        "schema": SCHEMA,
        "key": cell.key(),
        "suite": cell.suite,
        "cell": content,
        "environment": environment() | {"device": device, "threads": _threads(cell)},
        "status": "ok",
        "error": None,
        "measurements": [],
        "fingerprints": {},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": 0.0,
    }


def _route(cell: Cell) -> dict[str, str]:
    if cell.neuron in OWN_NEURONS:
        return {"kind": "own", "why": OWN_NEURONS[cell.neuron]}
    route = get_adapter(cell.framework).route(NEURONS[cell.neuron])
    return {"kind": route.kind, "why": route.why}


def _threads(cell: Cell) -> int:
    """One thread a cell, since cells run side by side; timings have the machine to themselves."""
    return int(cell.settings[cell.task]["threads"]) if cell.exclusive else 1


def _protocol(cell: Cell) -> Protocol:
    training, encoding = cell.settings["training"], cell.settings["encoding"]
    return Protocol(training["epochs"], training["batch_size"], encoding["name"], encoding["steps"])


def _binning(cell: Cell) -> Binning | None:
    asked = cell.settings.get("events")
    return None if asked is None else Events.model_validate(asked, strict=False).binning()  # from JSON


def _model(cell: Cell, system: System, dataset: Dataset) -> SpikingNetwork:
    steps = cell.settings["encoding"]["steps"]
    return build_system(system, get_adapter(cell.framework), dataset.shape, dataset.classes, cell.seed, steps=steps)


def _count(metric: str, value: int) -> Measurement:
    return {"metric": metric, "value": float(value), "unit": "1"}


def _train(cell: Cell, record: Record, data_dir: Path | None, device: str, watch: Watch) -> None:
    system, protocol, settings = SYSTEMS[cell.system], _protocol(cell), cell.settings
    dataset = _dataset(cell.dataset, data_dir, Sizes(**settings["sizes"]), _binning(cell))
    model = _model(cell, system, dataset)
    rows = record["measurements"]
    rows.append(_count("parameters", sum(p.numel() for p in model.parameters())))
    learned = sum(p.numel() for layer in neurons_of(model) for p in layer.learnables().values())
    rows.append(_count("neuron_parameters", learned))
    trained = train(model.to(device), system, dataset, protocol, cell.seed, watch)
    record["fingerprints"].update(trained.fingerprints)
    if trained.saved_bytes:
        rows.append({"metric": "saved_bytes", "value": float(trained.saved_bytes), "unit": "bytes/batch"})
    rows += [{"metric": name, "value": value, "unit": "1"} for name, value in trained.diagnostics.items()]
    measured, record["correct"] = test_accuracy(model, trained, system, dataset, protocol, watch)
    rows += measured
    if "robustness" in settings:
        asked = settings["robustness"]
        count = asked["samples"] or len(dataset.test)
        measured, hashes = robustness(
            model,
            dataset.name,
            dataset.test.inputs[:count],
            dataset.test.labels[:count],
            lambda inputs, random: encode(protocol.encoder, inputs, protocol.steps, random),
            asked["noises"],
            asked["severities"],
            _ROBUSTNESS_BATCH,
            get_adapter(cell.framework),
            dataset.test.recordings,
        )
        rows += measured
        record["fingerprints"].update(hashes)
    watch.check()
    if "energy" in settings:
        inputs = dataset.test.inputs[: settings["energy"]["samples"]]
        encoded = encode(protocol.encoder, inputs, protocol.steps, generator("encoding", dataset.name, "energy"))
        rows += energy_measurements(model.eval(), encoded.to(device))


def _throughput(cell: Cell, record: Record, data_dir: Path | None, device: str, watch: Watch) -> None:
    card = DATASETS[cell.dataset]
    asked, encoding = Throughput(**cell.settings["throughput"]), cell.settings["encoding"]
    record["measurements"] += throughput(
        get_adapter(cell.framework),
        get_adapter("reference"),
        SYSTEMS[cell.system],
        card.shape,
        card.classes,
        Protocol(1, asked.batch_size, encoding["name"], encoding["steps"]),
        step=asked.training,
        budget=Budget(seconds=asked.seconds),
        device=device,
        threads=asked.threads,
    )


def _layers(cell: Cell, record: Record, data_dir: Path | None, device: str, watch: Watch) -> None:
    from spikemark.measures.layers import layers  # brings torch's symbolic shapes along, which no other cell needs

    settings = cell.settings["layers"]
    record["measurements"] += layers(
        get_adapter(cell.framework),
        get_adapter("reference"),
        NEURONS[cell.neuron],
        Point.of_settings(settings),
        settings["phases"],
        budget=Budget(seconds=settings["seconds"]),
        threads=settings["threads"],
        device=device,
        memory=settings["memory"],
        check=watch.check,
    )


def _conformance(cell: Cell, record: Record, data_dir: Path | None, device: str, watch: Watch) -> None:
    result = conformance(get_adapter(cell.framework), NEURONS[cell.neuron], seed=cell.seed)
    record["measurements"] += result.measurements()


_TASKS: dict[Task, Callable[[Cell, Record, Path | None, str, Watch], None]] = {
    "train": _train,
    "throughput": _throughput,
    "layers": _layers,
    "conformance": _conformance,
}


@lru_cache(maxsize=2)
def _dataset(name: str, data_dir: Path | None, sizes: Sizes, binning: Binning | None) -> Dataset:
    """Loaded once for all cells that a process runs one after the other."""
    return load_dataset(name, data_dir, sizes, binning)
