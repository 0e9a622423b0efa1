"""Measures a model that was trained elsewhere: from a module and samples to ordinary records.

A list of models is one contender with several training seeds. What is measured is what suites measure, by the same
code, so the records can be read, reported and compared like theirs.
"""

from __future__ import annotations

import hashlib
import math
import pickle
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from spikemark import __version__
from spikemark.core.adapter import Unsupported
from spikemark.core.environments import Environment
from spikemark.core.foreign import Declared, frameworks_of, neuron_sites, unchanged
from spikemark.core.frameworks import FRAMEWORKS, entry_name, environment_of, framework_version
from spikemark.core.nir import GraphModel, OracleGraph
from spikemark.core.remote import call
from spikemark.core.streams import fingerprint, generator
from spikemark.data.card import DATASETS, Card
from spikemark.data.encoders import encode
from spikemark.data.given import Given, given_data
from spikemark.data.loading import Dataset
from spikemark.errors import InputError, explain, first_line
from spikemark.measures.counting.operations import count_operations
from spikemark.measures.counting.tracing import UncountableError
from spikemark.measures.energy import held_steps, named_profiles
from spikemark.measures.energy_table import EnergyTable
from spikemark.measures.measure import MEASURES, Measure
from spikemark.measures.noisy_accuracy import robustness
from spikemark.measures.subject import GivenSubject
from spikemark.models.model import Layout
from spikemark.models.nir import drop_later_fields
from spikemark.models.opening import READERS, load_weights, open_model
from spikemark.models.wrapping import BuiltModel, Output
from spikemark.noise.case import NOISES
from spikemark.registry import known
from spikemark.suites.execution import blank_record, measured
from spikemark.suites.jobs import Job
from spikemark.suites.records import Record, key_of

ATTACKS = ("fgsm", "pgd-linf", "pgd-l2")
"""The attacks that are tried where no noises are named; the search of others takes hundreds of steps per sample."""
ENERGY_SAMPLES = 128
"""On how many samples operations are counted, where there are as many."""
SUITE = "evaluate"
_ROUTE = {"kind": "own", "why": "a model that was trained elsewhere, as it is"}
_TRIAL = 2


@dataclass(frozen=True)
class Request:
    """What `spikemark.evaluate` is asked for; see there.

    Attributes are its arguments, those that say what is measured and how.
    """

    steps: int | None = None
    layout: Layout = "TB"
    encoder: str = "direct"
    output: Literal["auto"] | Output = "auto"
    reset: Callable[[Any], object] | None = None
    neurons: Declared = ()
    measures: Sequence[str] = ("accuracy", "robustness", "energy", "throughput")
    noises: Sequence[str] | None = None
    severities: Sequence[int] = (1, 2, 3, 4, 5)
    samples: int | None = None
    batch_size: int = 256
    device: str = "cpu"
    name: str | None = None
    framework: str | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dt: float | None = None

    def check(self) -> None:
        """That the parts make sense on their own.

        Raises:
            InputError: one does not.
        """
        if self.layout not in get_args(Layout):
            raise InputError(f"layout: {self.layout!r} is not one of {', '.join(get_args(Layout))}")
        if self.output != "auto" and not callable(self.output):
            raise InputError(f"output: {self.output!r} is neither 'auto' nor a function of what the model gives")
        if self.reset is not None and not callable(self.reset):
            raise InputError(f"reset: {self.reset!r} is no function of the model")
        for name in ("steps", "samples", "batch_size"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise InputError(f"{name}: {value!r} is no whole number from 1")
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise InputError(f"device: {self.device}: this machine has no CUDA GPU that torch can use; try cpu")
        known("encoder", (self.encoder,))
        for name in known("measure", tuple(self.measures)):
            if MEASURES[name].subject == "neuron":
                raise InputError(f"measures: {name} measures a single layer of neurons, not a model")
        if not self.measures:
            raise InputError("measures: name at least one")
        for name in self.settings:
            if name not in self.measures:
                raise InputError(f"settings: {name} is not among the measures ({', '.join(self.measures)})")


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gives.

    Attributes:
        records: one for each measure and model.
        left_out: what does not apply to the model, and why: noises for such data, where none were named, and parts of
            measures.
    """

    records: list[Record]
    left_out: Mapping[str, str]


def evaluate_models(
    models: Sequence[Any],
    data: Given,
    request: Request,
    *,
    weights: Sequence[str | Path] = (),
    data_dir: Path | None = None,
    on_record: Callable[[Record], None] = lambda record: None,
) -> Evaluation:
    """Measure models, each of which is one training seed of a contender.

    Args:
        models: see `spikemark.models.opening.open_model`.
        data: see `spikemark.data.given.given_data`.
        request: what is measured, and how.
        weights: of each model, or several of the only one, read into it while it is measured; none for those it has.
        data_dir: folder of the registered data sets.
        on_record: told of every record.

    Raises:
        InputError: the request is wrong, or does not fit the model or the data.
    """
    request.check()
    if not models:
        raise InputError("model: the list of models is empty")
    elsewhere = _elsewhere(models, request)
    if elsewhere is not None:
        return _sent(elsewhere, models, data, request, weights, data_dir, on_record)
    if len(models) == 1:  # with the weights of several trainings it stands for all of them
        models = [*models] * max(1, len(weights))
    if weights and len(weights) != len(models):
        raise InputError(f"weights: {len(weights)} files for {len(models)} models")
    timed = request.encoder == "frames"
    card, dataset = given_data(data, timed=timed, samples=request.samples, data_dir=data_dir)
    encoder, steps = _encoding(request, card)
    records: list[Record] = []
    left_out: dict[str, str] = {}
    for seed, model in enumerate(models):
        title, module = open_model(model, card.shape, card.classes, steps, request.framework, request.dt)
        title = request.name or title
        _check_place(title, module, request.device)
        with unchanged(module):
            if weights:
                load_weights(module, weights[seed])
            network = _wrapped(title, module, request)
            neuron_sites(module, request.neurons)
            exact = isinstance(data, str)
            own_card, own_data = _trial(network, card, dataset, encoder, steps, request.layout, request.device, exact)
            subject = GivenSubject(
                framework=_framework(request, module), neuron_name=title, system=None, dataset_name=own_card.name,
                seed=seed, settings={"encoding": {"name": encoder, "steps": steps}}, device=request.device,
                batch_size=request.batch_size, network=network, samples=own_data, about=own_card,
            )  # fmt: skip
            noises, reasons = _noises(subject, request)
            left_out |= reasons
            for job in _jobs(subject, title, request, noises):
                record = blank_record(job, request.device, 1 / own_card.classes, _ROUTE)
                record = measured(job, subject, record, lambda event: None)
                parts = (reasons if job.measure.name == "robustness" else {}) | record.get("left_out", {})
                if parts:
                    record["left_out"] = parts
                    left_out |= parts
                records.append(record)
                on_record(record)
    return Evaluation(records, left_out)


def _elsewhere(models: Sequence[Any], request: Request) -> Environment | None:
    """The environment in which files are evaluated; None for models that are here, and frameworks that are."""
    files = all(isinstance(model, str | Path) and Path(model).suffix in READERS for model in models)
    named = request.framework if request.framework and entry_name(request.framework) in FRAMEWORKS else None
    return environment_of(named) if files and named else None


def _sent(
    place: Environment,
    models: Sequence[str | Path],
    data: Given,
    request: Request,
    weights: Sequence[str | Path],
    data_dir: Path | None,
    on_record: Callable[[Record], None],
) -> Evaluation:
    """The same of files, in another environment."""
    files = [(Path(model).name, _content(Path(model))) for model in models]
    given = (files, data, request, [*weights], data_dir)
    try:
        pickle.dumps(given)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"framework {request.framework} runs in a process of its own, to which data and functions must be sent: "
            f"{first_line(error)}"
        ) from None
    found: Evaluation = call(place, f"{__name__}:evaluate_files", *given, on_record=on_record)
    return found


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"model {path}: {error.strerror}") from None


def evaluate_files(
    files: Sequence[tuple[str, bytes]],
    data: Given,
    request: Request,
    weights: Sequence[str | Path],
    data_dir: Path | None,
    *,
    on_record: Callable[[Record], None] = lambda record: None,
) -> Evaluation:
    """See `evaluate_models`; in the process of the framework, which may have another version of `nir`."""
    with TemporaryDirectory(prefix="spikemark-files-") as folder:
        paths = []
        for number, (name, content) in enumerate(files):
            path = Path(folder, str(number), name)
            path.parent.mkdir()
            path.write_bytes(content)
            try:
                drop_later_fields(path)
            except OSError as error:
                raise InputError(f"{name} is damaged or no NIR file; write it anew with nir.write: {error}") from None
            paths.append(path)
        try:
            return evaluate_models(paths, data, request, weights=weights, data_dir=data_dir, on_record=on_record)
        except InputError as error:
            raise type(error)(str(error).replace(f"{folder}/", "")) from None


def counted_model(
    model: Any,
    data: Given,
    request: Request,
    *,
    profiles: Iterable[str] | Mapping[str, object] = (),
    weights: str | Path | None = None,
    data_dir: Path | None = None,
) -> EnergyTable:
    """The operations of a model, as the table that papers print; see `spikemark.energy_table` for the arguments.

    Raises:
        InputError: the request is wrong, or does not fit the model or the data, or a layer cannot be counted.
    """
    request.check()
    if _elsewhere([model], request) is not None:
        raise InputError(
            f"framework {request.framework} runs in an environment of its own; operations are counted there by "
            f"spikemark evaluate {model} --framework {request.framework} --measures energy"
        )
    prices = named_profiles(profiles)
    card, dataset = given_data(data, timed=request.encoder == "frames", samples=request.samples, data_dir=data_dir)
    encoder, steps = _encoding(request, card)
    title, module = open_model(model, card.shape, card.classes, steps, request.framework, request.dt)
    inputs = dataset.test.inputs[: request.samples or ENERGY_SAMPLES]
    with unchanged(module):
        if weights is not None:
            load_weights(module, weights)
        network = _wrapped(request.name or title, module, request)
        encoded = encode(encoder, inputs, steps, generator("encoding", card.name, "energy"))
        try:
            count = count_operations(network, encoded, layout="TB")
        except UncountableError as error:
            raise InputError(f"model {title!r}: {error}") from error
    constant = held_steps(encoded) == steps
    return EnergyTable(request.name or title, card.name, count, prices, len(inputs), steps, constant, __version__)


def _encoding(request: Request, card: Card) -> tuple[str, int]:
    """Encoder and T. Samples with a time axis of their own are given as they are, whatever the encoder."""
    if card.steps is not None:
        return card.encoder if request.encoder == "direct" else request.encoder, request.steps or card.steps
    if request.steps is None and request.layout != "B":
        raise InputError(
            f"steps: say how many time steps the model is given; {card.name} has none of its own (a model with its "
            "own loop over time takes layout='B')"
        )
    return request.encoder, request.steps or 1


def _check_place(title: str, module: nn.Module, device: str) -> None:
    for name, tensor in module.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor):
            continue
        if tensor.device.type != torch.device(device).type:
            raise InputError(
                f"model {title!r}: {name} is on {tensor.device}, and device is {device}; move it by "
                f"model.to({device!r}), or give device={tensor.device.type!r}"
            )
        imported = isinstance(module, GraphModel)  # its importer chose the types, and takes samples
        if tensor.is_floating_point() and tensor.dtype != torch.float32 and not imported:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise InputError(f"model {title!r}: {name} is {kind}, and samples are float32; use model.float()")


def _wrapped(title: str, module: nn.Module, request: Request) -> BuiltModel:
    output = None if request.output == "auto" else request.output
    return BuiltModel(
        title, module, request.layout, None, output=output, reset=request.reset, neurons=request.neurons
    ).eval()


def _trial(
    network: BuiltModel,
    card: Card,
    dataset: Dataset,
    encoder: str,
    steps: int,
    layout: Layout,
    device: str,
    exact: bool,
) -> tuple[Card, Dataset]:
    """A run on a few samples, which tells the number of classes of data at hand, and the order of the scores' axes.

    Args:
        network: to be run.
        card: of the data.
        dataset: the data.
        encoder: of samples.
        steps: T.
        layout: of the model, for messages.
        device: of the model.
        exact: whether the data has just as many classes as its card says.

    Raises:
        InputError: the model cannot be run, or gives scores that the labels do not fit.
    """
    test = dataset.test
    count = next(n for n in (_TRIAL, _TRIAL + 1) if n != steps)
    few = test.inputs[torch.arange(count) % len(test)]
    encoded = encode(encoder, few, steps, generator("encoding", card.name, "trial")).to(device)
    try:
        with torch.no_grad():
            scores, again = (_seeded(network, encoded) for _ in range(2))
    except InputError:
        raise
    except Exception as error:  # whatever a stranger's model raises is one line that names it
        shape = {"TB": encoded, "BT": encoded.transpose(0, 1), "B": encoded[0], "step": encoded[0]}[layout].shape
        raise InputError(
            f"model {network.name!r}: raised {type(error).__name__}: {first_line(error)}; it was given inputs of "
            f"shape {list(shape)} (layout {layout!r}; others are {', '.join(sorted({*get_args(Layout)} - {layout}))})"
        ) from error
    with suppress(UncountableError):  # what neurons saw as samples must not contradict the layout
        count_operations(network, encoded, layout="TB")
    classes = scores.shape[-1]
    if (exact and classes != card.classes) or classes < card.classes:
        labels = f"{card.name} has {card.classes} classes" if exact else f"labels go up to {card.classes - 1}"
        raise InputError(
            f"model {network.name!r}: gave scores of width {classes}; {labels}, and each class needs one score, the "
            "last axis of what the model gives"
        )
    if not bool(torch.isfinite(scores).all()):
        raise InputError(
            f"model {network.name!r}: gave scores that are not finite (NaN or infinity); look at its weights, and "
            "whether it takes samples in 0..1"
        )
    if not torch.equal(scores, again):
        raise InputError(
            f"model {network.name!r}: gave other scores when it was asked the same again, so it remembers earlier "
            "calls; give reset=, a function of the model that makes it forget"
        )
    network.classes = classes
    return replace(card, classes=classes), replace(dataset, classes=classes)


def _seeded(network: BuiltModel, encoded: Tensor) -> Tensor:
    torch.manual_seed(0)  # what a model draws is no memory
    scores: Tensor = network(encoded)
    return scores


def _framework(request: Request, module: nn.Module) -> str:
    own = "reference" if isinstance(module, OracleGraph) else "+".join(frameworks_of(module)) or "torch"
    return request.framework or own


def _noises(subject: GivenSubject, request: Request) -> tuple[tuple[str, ...], dict[str, str]]:
    """The noises to be measured, and why others are not.

    Raises:
        InputError: one that was asked for by name does not apply.
    """
    if "robustness" not in request.measures:
        return (), {}
    named = None if request.noises is None else known("noise", tuple(request.noises))
    fitting = (n for n, noise in NOISES.items() if subject.card.kind in noise.kinds)
    names = named or [n for n in fitting if NOISES[n].domain != "adversary" or n in ATTACKS]
    reasons = {name: reason for name in names if (reason := _why_not(subject, name)) is not None}
    if named is not None and reasons:
        raise InputError(next(iter(reasons.values())))
    return tuple(name for name in names if name not in reasons), reasons


def _why_not(subject: GivenSubject, name: str) -> str | None:
    """Why a noise does not apply to the model, found out on a few samples; None where it does."""
    data, protocol = subject.dataset, subject.protocol
    count = min(_TRIAL, len(data.test))
    try:
        NOISES[name].check(subject.card)
        robustness(
            subject.model,
            data.name,
            data.test.inputs[:count],
            data.test.labels[:count],
            lambda inputs, random: encode(protocol.encoder, inputs, protocol.steps, random),
            (name,),
            (1,),
            count,
            subject.adapter,
            data.test.recordings,
            multiplied=subject.multiplied,
        )
    except (InputError, Unsupported, UncountableError) as error:
        return str(error)
    return None


def _jobs(subject: GivenSubject, title: str, request: Request, noises: tuple[str, ...]) -> Iterable[Job]:
    """The jobs of one model, those that need the machine to themselves last."""
    settings = {name: dict(table) for name, table in request.settings.items()}
    chosen = {"noises": noises, "severities": tuple(request.severities)}
    settings["robustness"] = chosen | settings.get("robustness", {})
    settings["energy"] = {"samples": min(len(subject.dataset.test), ENERGY_SAMPLES)} | settings.get("energy", {})
    names = [name for name in request.measures if name != "robustness" or noises]
    measures = [_measure(name, settings.get(name, {})) for name in names]
    weights = fingerprint(*(t for t in subject.model.state_dict().values() if isinstance(t, Tensor)))
    assert isinstance(subject.network, BuiltModel)
    definition: dict[str, Any] = {
        "model": type(subject.network.module).__qualname__,
        "structure": hashlib.sha256(repr(subject.network.module).encode()).hexdigest()[:16],
        "layout": request.layout,
        "encoder": subject.protocol.encoder,
        "steps": subject.protocol.steps,
        "samples": len(subject.dataset.test),
    }
    definition |= {} if request.dt is None else {"dt": request.dt}
    version = framework_version(subject.framework) if subject.framework in FRAMEWORKS else None
    for measure in sorted(measures, key=lambda measure: measure.exclusive):
        axes: dict[str, Any] = {
            "measure": measure.name, "subject": measure.subject, "framework": subject.framework, "neuron": title,
            "network": title, "system": title, "dataset": subject.card.name, "seed": subject.seed,
        }  # fmt: skip
        content = axes | {
            "settings": {**subject.settings, measure.name: dict(measure.to_dict())},
            "system_definition": definition,
            "weights": weights,
        }
        content |= {} if version is None else {"framework_version": version}
        content |= measure.determines()
        name = f"{measure.name} {title} {subject.card.name} seed {subject.seed}"
        yield Job(
            name, SUITE, axes, content, key_of(content), weights, None, math.inf, measure.exclusive, measure.threads
        )


def _measure(name: str, table: Mapping[str, Any]) -> Measure:
    kind = MEASURES[name]
    try:
        return kind.model_validate(dict(table))
    except ValidationError as error:
        raise InputError(f"{name}.{explain(error, kind.model_fields)}") from None


def committed_baselines(names: Collection[str], records: Iterable[Record], like: Sequence[Record]) -> list[Record]:
    """The records of systems that may stand beside an evaluation: of one data set, encoding and test split.

    Args:
        names: of the systems.
        records: among which they are looked for.
        like: of the evaluation.

    Raises:
        InputError: there are none of a system.
    """
    cell = like[0]["cell"]
    if cell["dataset"] not in DATASETS:
        raise InputError("baselines: there are none for data of one's own; name a registered data set")
    wanted = cell["system_definition"]
    found: dict[str, list[Record]] = {name: [] for name in names}
    other: dict[str, set[str]] = {}
    measures = {record["cell"]["measure"] for record in like}
    for record in records:
        theirs = record["cell"]
        settings = theirs["settings"]
        if theirs.get("dataset") != cell["dataset"] or theirs["measure"] not in measures:
            continue
        encoding = settings.get("encoding", {})
        test = settings.get("sizes", {}).get("test") or DATASETS[cell["dataset"]].samples.test
        place = (encoding.get("name"), encoding.get("steps"), test)
        if place == (wanted["encoder"], wanted["steps"], wanted["samples"]):
            if theirs.get("system") in found:
                found[str(theirs["system"])].append({**record, "suite": like[0]["suite"]})
            other.setdefault("same", set()).add(str(theirs.get("system")))
        elif theirs.get("system") in found:
            other.setdefault(str(theirs["system"]), set()).add(f"{place[0]}, T = {place[1]}, {place[2]} test samples")
    for name, own in found.items():
        if not own:
            there = "; ".join(sorted(other.get(name, ()))) or "none on this data set"
            fitting = ", ".join(sorted(other.get("same", ()))) or "none"
            raise InputError(
                f"baselines: no record of {name!r} on {cell['dataset']} with {wanted['encoder']}, "
                f"T = {wanted['steps']}, {wanted['samples']} test samples (its records: {there}; systems that fit: "
                f"{fitting})"
            )
    return [record for own in found.values() for record in own]
