"""Golden traces: what a framework's own layers did, kept in a file, against what they do now.

The file is a safetensors file with the inputs and everything that `spikemark.measures.semantics.traces` shows of every
layer, setting and case; its header, JSON, has the schema and the versions. A check replays the inputs of the file.

Spikes must be equal to the last one. States and gradients may differ by `TOLERANCE` of the largest value of their
tensor, because other builds of torch round otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spikemark.core.files import staged
from spikemark.core.frameworks import FRAMEWORKS, MissingFramework, framework_version, get_adapter
from spikemark.core.neurons import FrameworkNeuron
from spikemark.errors import InputError, explain
from spikemark.measures.semantics import traces
from spikemark.measures.semantics.traces import FIRST, GRADIENT, SPIKES, Case, Setting, Trace

SCHEMA = 1
TOLERANCE = 1e-5
_KEY = "spikemark_golden"
Progress = Callable[[int, int], None]
Changes = dict[str, Tensor]
"""Masks of where tensors differ, by name."""


class Layer(BaseModel):
    """What the header says of a layer.

    Attributes:
        framework: whose it is.
        cases: names of its inputs; none where it raises before any.
        settings: those it was traced with.
        raised: by setting, what the layer raised instead of a trace.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    framework: str
    cases: tuple[Case, ...]
    settings: tuple[Setting, ...]
    raised: dict[Setting, str]


class Header(BaseModel):
    """The header of a golden file.

    Attributes:
        schema_version: of the file; another one is not read.
        versions: of packages, by name.
        layers: by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: int
    versions: dict[str, str]
    layers: dict[str, Layer]


@dataclass
class Golden:
    """The content of a golden file.

    Attributes:
        header: what it is of.
        inputs: currents by layer and case.
        traces: by layer, setting and case.
    """

    header: Header
    inputs: dict[tuple[str, Case], Tensor]
    traces: dict[tuple[str, Setting, Case], Trace]


@dataclass(frozen=True)
class Difference:
    """A layer that is not what it was.

    Attributes:
        layer: its name.
        setting: in which it differs.
        case: the input on which it differs; "" where no input comes into it.
        step: the first time step that differs, from 0; None where what differs has none.
        what: the tensors that differ.
        cause: "" where no check isolates one.
    """

    layer: str
    setting: Setting
    case: Case
    step: int | None
    what: tuple[str, ...]
    cause: str

    def __str__(self) -> str:
        """One line."""
        where = ", ".join(part for part in (self.setting, self.case) if part)
        step = "" if self.step is None else f", step {self.step}"
        return f"{self.layer} ({where}{step}): {', '.join(self.what)}: {self.cause or 'cause not isolated'}"


@dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes:
        layers: those that were compared.
        versions: those of the file that are others now, as (package, then, now).
        new: layers that the file does not have.
        differences: of each layer the default's, or else those of its other settings.
    """

    layers: tuple[str, ...]
    versions: tuple[tuple[str, str, str], ...]
    new: tuple[str, ...]
    differences: tuple[Difference, ...]


def as_json(found: Check) -> str:
    """For programs: a difference also as the line that people read, in "said"."""
    told = asdict(found) | {"differences": [asdict(one) | {"said": str(one)} for one in found.differences]}
    return json.dumps({"schema_version": SCHEMA} | told)


def installed(frameworks: Sequence[str]) -> list[str]:
    """Of these frameworks, or of all, those that are installed and have layers of their own.

    Raises:
        UnknownNameError: no such framework.
        MissingFramework: one that was asked for is not installed.
        InputError: none is left.
    """
    found = []
    for name in frameworks or FRAMEWORKS:
        try:
            get_adapter(name)
        except MissingFramework:
            if frameworks:
                raise
            continue
        if traces.traced_neurons(name):
            found.append(name)
        elif frameworks:
            raise InputError(f"framework {name!r} has no layers of its own to trace")
    if not found:
        raise InputError("no framework with layers of its own is installed: nothing to trace")
    return found


def record(path: Path, frameworks: Sequence[str] = (), progress: Progress | None = None, device: str = "cpu") -> Header:
    """Trace the layers of frameworks and write the file, whole or not at all.

    Args:
        path: of the file.
        frameworks: all that are installed when empty.
        progress: called with the number of layers done and of all.
        device: where they run.

    Raises:
        InputError: nothing to trace.
        OSError: the file cannot be written.
    """
    names = installed(frameworks)
    neurons = [(name, *item) for name in names for item in traces.traced_neurons(name).items()]
    tensors: dict[str, Tensor] = {}
    layers: dict[str, Layer] = {}
    for done, (framework, name, neuron) in enumerate(neurons, 1):
        layers[name] = _record_layer(framework, name, neuron, tensors, device)
        if progress is not None:
            progress(done, len(neurons))
    header = Header(schema_version=SCHEMA, versions=_versions(names), layers=layers)
    with staged(path) as (part,):
        save_file(tensors, part, {_KEY: header.model_dump_json()})
    return header


def _record_layer(framework: str, name: str, neuron: FrameworkNeuron, tensors: dict[str, Tensor], device: str) -> Layer:
    try:
        inputs, settings = traces.make_inputs(name, neuron, device), tuple(traces.settings(name, neuron))
    except traces.FAILURES as error:
        return Layer(framework=framework, cases=(), settings=("default",), raised={"default": _said(error)})
    tensors |= {_path("input", name, case): currents.contiguous() for case, currents in inputs.items()}
    raised: dict[Setting, str] = {}
    for setting in settings:
        found = _traced(name, neuron, setting, inputs, device)
        if isinstance(found, str):
            raised[setting] = found
            continue
        for case, shown in found.items():
            tensors |= {_path("trace", name, setting, case, what): value for what, value in shown.items()}
    return Layer(framework=framework, cases=tuple(inputs), settings=settings, raised=raised)


def _traced(
    name: str, neuron: FrameworkNeuron, setting: Setting, inputs: Mapping[Case, Tensor], device: str = "cpu"
) -> dict[Case, Trace] | str:
    """Traces by case, or what the layer raised."""
    try:
        if not inputs:
            traces.make_inputs(name, neuron, device)
        return {case: traces.trace(name, neuron, setting, currents, device) for case, currents in inputs.items()}
    except traces.FAILURES as error:
        return _said(error)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _path(*parts: str) -> str:
    return "|".join(parts)


def _versions(frameworks: Sequence[str]) -> dict[str, str]:
    return {"torch": version("torch")} | {name: framework_version(name) for name in frameworks}


def read(path: Path) -> Golden:
    """The content of a golden file.

    Raises:
        InputError: there is none, it is damaged, of another kind or of another schema.
    """
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; `spikemark golden record {path}` makes it") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is no golden file ({error})") from None
    if text is None:
        raise InputError(f"{path} is no golden file: it holds other tensors")
    header = _header(path, text)
    golden = Golden(header, {}, {})
    for key, value in tensors.items():
        match key.split("|"):
            case ["input", name, case]:
                golden.inputs[name, case] = value
            case ["trace", name, setting, case, what]:
                golden.traces.setdefault((name, setting, case), {})[what] = value
            case _:
                raise InputError(f"{path}: its tensor {key!r} is no trace")
    for name, layer in header.layers.items():
        complete = all((name, case) in golden.inputs for case in layer.cases) and all(
            (name, setting, case) in golden.traces
            for setting in layer.settings
            if setting not in layer.raised
            for case in layer.cases
        )
        if not complete:
            raise InputError(f"{path}: tensors of layer {name!r} are missing")
    return golden


def _header(path: Path, text: str) -> Header:
    try:
        content: Any = json.loads(text)
    except ValueError:
        raise InputError(f"{path}: its header is not JSON") from None
    found = content.get("schema_version") if isinstance(content, dict) else None
    if found != SCHEMA:
        raise InputError(f"{path} has schema {found}; this version reads schema {SCHEMA}: record it again")
    try:
        return Header.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}") from None


def check(path: Path, frameworks: Sequence[str] = (), progress: Progress | None = None) -> Check:
    """Replay the inputs of a golden file and compare.

    Args:
        path: of the file.
        frameworks: of the file's layers; all that are in it when empty.
        progress: called with the number of layers done and of all.

    Raises:
        InputError: see `read`; or the file has no layer of a framework that was asked for.
        MissingFramework: a framework of the file is not installed.
    """
    golden = read(path)
    recorded = {layer.framework for layer in golden.header.layers.values()}
    for name in frameworks:
        if name not in recorded:
            raise InputError(f"{path} has no layer of {name!r} (it has: {', '.join(sorted(recorded)) or 'none'})")
    names = sorted(frameworks or recorded)
    if not names:
        raise InputError(f"{path} has no layers: nothing to check")
    now = {name: neuron for framework in installed(names) for name, neuron in traces.traced_neurons(framework).items()}
    wanted = {name: layer for name, layer in golden.header.layers.items() if layer.framework in names}
    differences: list[Difference] = []
    for done, (name, layer) in enumerate(wanted.items(), 1):
        if name in now:
            differences += _Comparison(golden, name, layer, now[name]).differences()
        else:
            differences.append(Difference(name, "default", "", None, ("layer",), "there is no such layer now"))
        if progress is not None:
            progress(done, len(wanted))
    versions = _versions(names)
    then = golden.header.versions
    changed = tuple(
        (name, then.get(name, "?"), number) for name, number in versions.items() if then.get(name) != number
    )
    return Check(tuple(wanted), changed, tuple(sorted(now.keys() - wanted.keys())), tuple(differences))


class _Comparison:
    """One layer, then and now."""

    def __init__(self, golden: Golden, name: str, layer: Layer, neuron: FrameworkNeuron) -> None:
        self.golden, self.name, self.layer, self.neuron = golden, name, layer, neuron
        self.inputs = {case: golden.inputs[name, case] for case in layer.cases}

    def differences(self) -> Iterator[Difference]:
        """The default's; those of other settings where the default is as it was."""
        default = self._difference("default")
        if default is not None:
            yield default
            return
        for setting in self.layer.settings[1:]:
            found = self._difference(setting)
            if found is not None:
                yield found

    def _difference(self, setting: Setting) -> Difference | None:
        now = _traced(self.name, self.neuron, setting, self.inputs)
        before = self.layer.raised.get(setting)
        if isinstance(now, str) or before is not None:
            if now == before:
                return None
            cause = f"raises {now}" if isinstance(now, str) else f"raised {before}; no longer does"
            return Difference(self.name, setting, "", None, ("exception",), cause)
        changed = {case: _changes(self._then(setting, case), now[case]) for case in self.inputs}
        case = next((case for case in self.inputs if changed[case]), None)
        if case is None:
            return None
        time = len(self.inputs[case])
        steps = [s for name, mask in changed[case].items() if (s := _first_step(name, mask, time)) is not None]
        cause = self._cause(setting, now, changed)
        return Difference(self.name, setting, case, min(steps, default=None), tuple(changed[case]), cause)

    def _then(self, setting: Setting, case: Case) -> Trace:
        return self.golden.traces[self.name, setting, case]

    def _cause(self, setting: Setting, now: dict[Case, Trace], changed: dict[Case, Changes]) -> str:
        word, _, constant = setting.partition(" ")
        if word == "each":
            return f"differs only where every neuron has a {constant} of its own"
        if word == "outside":
            return f"clamp: differs only where {constant} is outside [0, 1]"
        first = [name for name in changed["slope"] if name.startswith(FIRST)]
        if first:
            return ", ".join(first)
        if SPIKES in changed.get("threshold", {}):
            return self._threshold_cause()
        if _only_gradients(changed):
            return self._gradient_cause(now, changed)
        if SPIKES not in changed["slope"] and self._quiet_is_equal(changed):
            return "reset (value, order or moment): neurons that never fired do what they did"
        return ""

    def _threshold_cause(self) -> str:
        """What became of the smallest current that fires: searched again."""
        impulses = self.inputs["threshold"][0]
        below, above = traces.firing_current(
            lambda currents: traces.trace(self.name, self.neuron, "default", currents)[SPIKES],
            len(self.inputs["threshold"]),
        )
        if bool((above == impulses[0]).all()):
            return "equality: fires at the threshold, before only above it"
        if bool((below == impulses[1]).all()):
            return "equality: fires only above the threshold, before at it, too"
        if not bool(above.isfinite().all()):
            return "threshold: no impulse separates firing from not firing"
        moved = (above - impulses[1])[(above - impulses[1]).abs().argmax()]
        return f"threshold: the smallest current that fires moved by {float(moved):+.3g}"

    def _gradient_cause(self, now: dict[Case, Trace], changed: dict[Case, Changes]) -> str:
        """Of a layer whose spikes and states are what they were."""
        gradient = f"{GRADIENT}currents"
        then = self._then("default", "slope")[gradient]
        if not bool(then.any()):
            return ""
        if gradient not in changed["slope"]:
            return "gradient over time (leak, reset) or of parameters: the surrogate's is what it was"
        ratios = (now["slope"][gradient] / then)[then != 0]
        if bool(torch.isclose(ratios, ratios[0], rtol=1e-4).all()):
            return f"surrogate scale: its gradient is {float(ratios[0]):.4g} times what it was"
        return "surrogate: its gradient has another shape"

    def _quiet_is_equal(self, changed: dict[Case, Changes]) -> bool:
        """Whether spikes and states are the same of neurons of which no spike was recorded."""
        for case in ("slope", "dyadic", "ordinary"):
            quiet = self._then("default", case)[SPIKES].eq(0).all(0)
            masks = [
                m
                for n, m in changed[case].items()
                if not n.startswith(GRADIENT) and m.dim() >= quiet.dim() and m.shape[-quiet.dim() :] == quiet.shape
            ]
            if not bool(quiet.any()) or any(bool((mask & quiet).any()) for mask in masks):
                return False
        return True


def _only_gradients(changed: dict[Case, Changes]) -> bool:
    return all(name.startswith(GRADIENT) for found in changed.values() for name in found)


def _changes(then: Trace, now: Trace) -> Changes:
    """Where each tensor differs; everywhere if it is new, gone or of another shape."""
    found: Changes = {}
    for name in dict.fromkeys([*then, *now]):
        one, other = then.get(name), now.get(name)
        if one is None or other is None or one.shape != other.shape:
            known = one if one is not None else other
            assert known is not None
            found[name] = torch.ones_like(known, dtype=torch.bool)
            continue
        finite = one[one.isfinite()].abs()
        allowed = TOLERANCE * float(finite.max()) if finite.numel() and name != SPIKES else 0.0
        mask = ~torch.isclose(other, one, rtol=0.0, atol=allowed, equal_nan=True)
        if bool(mask.any()):
            found[name] = mask
    return found


def _first_step(name: str, mask: Tensor, steps: int) -> int | None:
    """The first time step that differs; None where the tensor has no time, or runs backwards in it like gradients."""
    if name.startswith((GRADIENT, FIRST)) or mask.dim() < 3 or steps not in mask.shape[:2]:
        return None
    over_time = mask.movedim(mask.shape.index(steps), 0).flatten(1).any(1)
    return int(over_time.nonzero()[0])
