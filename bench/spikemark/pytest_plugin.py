"""The pytest plug-in: a fixture `spikemark` that checks layers, and options for it. See ``docs/pytest_plugin.md``.

pytest imports this module whenever it starts, so it imports nothing heavy before a test uses the fixture.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import pytest

from spikemark.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spikemark.core.adapter import Adapter
    from spikemark.core.counts import OperationCount
    from spikemark.core.neurons import NeuronSpec
    from spikemark.measures.semantics.comparison import ConformanceResult
    from spikemark.regression.turns import Race

_UNDECIDED = ("warn", "fail")


class UndecidedWarning(UserWarning):
    """A comparison of times ended without a verdict, and the test passed."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options on the command line, and the same in the configuration file."""
    group = parser.getgroup("spikemark", "checks of spiking layers")
    for name, default, text in (
        ("budget", "2", "seconds that assert_not_slower may measure"),
        ("floor", "5%", "slowdown that assert_not_slower lets pass"),
        ("undecided", "warn", "when assert_not_slower finds no verdict: warn, or fail"),
    ):
        group.addoption(f"--spikemark-{name}", default=None, metavar=name.upper(), help=f"{text} (default: {default})")
        parser.addini(f"spikemark_{name}", help=text, default=default)


@pytest.fixture(scope="session")
def spikemark(request: pytest.FixtureRequest) -> Checks:
    """Checks of spiking layers: conformance, equal spikes, speed, operations."""
    texts = {name: _option(request.config, name) for name in ("budget", "floor", "undecided")}
    undecided = texts["undecided"]
    if undecided not in _UNDECIDED:
        raise pytest.UsageError(f"spikemark undecided {undecided!r}: expected one of {', '.join(_UNDECIDED)}")
    return Checks(
        _number("budget", texts["budget"], 1.0),
        _number("floor", texts["floor"].removesuffix("%"), 0.01 if texts["floor"].endswith("%") else 1.0),
        "fail" if undecided == "fail" else "warn",
    )


def _option(config: pytest.Config, name: str) -> str:
    given = config.getoption(f"--spikemark-{name}")
    return str(config.getini(f"spikemark_{name}") if given is None else given)


def _number(option: str, text: str, unit: float) -> float:
    try:
        value = float(text) * unit
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise pytest.UsageError(f"spikemark {option} {text!r}: expected a positive number")
    return value


@dataclass(frozen=True)
class Checks:
    """What the fixture gives.

    Attributes:
        budget: seconds that `assert_not_slower` may measure.
        floor: slowdown that it lets pass, as a fraction.
        undecided: what it does when it finds no verdict.
    """

    budget: float
    floor: float
    undecided: Literal["warn", "fail"]

    def assert_conformant(
        self,
        what: nn.Module | NeuronSpec | str,
        spec: NeuronSpec | str | None = None,
        *,
        framework: Adapter | str | None = None,
        shape: tuple[int, ...] | None = None,
        gradients: bool = True,
        reset: Callable[[nn.Module], object] | None = None,
    ) -> ConformanceResult:
        """Assert that every spike, and every gradient, is that of the float64 oracle, on inputs that hit thresholds.

        Args:
            what: a registered neuron's name or a spec, to be computed by `framework`; a layer of an adapter; or any
                module that takes currents ``[T, B, *shape]`` and gives spikes of that shape, or a tuple that begins
                with them. Such a module keeps its own constants, and only the gradients of its currents are compared.
            spec: what such a module computes, as a spec or a registered neuron's name.
            framework: name of an adapter, or the adapter itself; of a name or spec alone.
            shape: of the features of one sample; of a module alone.
            gradients: whether gradients are held to the oracle's, too.
            reset: a function of the module that forgets earlier calls; modules of the known frameworks need none.

        Returns:
            What was compared.

        Raises:
            InputError: arguments that do not go together, or names that nobody knows.
            spikemark.Unsupported: the framework cannot express the spec.
        """
        __tracebackhide__ = True
        found = _conformance(what, spec, framework, shape, reset)
        spikes = f"{found.differing_spikes} of {found.compared_spikes} spikes differ from the oracle's"
        if found.differing_spikes or not found.compared_spikes:
            _fail(f"{_title(what)}: {spikes}")
        if gradients and not found.passed:
            errors = ", ".join(f"{name} {dtype}: {error:.1e}" for (name, dtype), error in found.gradient_errors.items())
            _fail(f"{_title(what)}: no spike differs, but gradients do; largest relative errors: {errors}")
        return found

    def assert_same_spikes(
        self,
        first: Callable[[Tensor], Any],
        second: Callable[[Tensor], Any],
        inputs: Tensor | None = None,
        *,
        shape: tuple[int, ...] = (16,),
        steps: int = 16,
        reset: Callable[[Any], object] | None = None,
    ) -> None:
        """Assert that two layers, or two models, give the very same spikes, and that there are some.

        Args:
            first: module or function; what it gives may be a tuple that begins with the spikes.
            second: likewise.
            inputs: for both. When None, ``[steps, 4, *shape]`` multiples of 1/8 between -1 and 2, which lead
                membranes of usual decays exactly onto usual thresholds.
            shape: see `inputs`.
            steps: see `inputs`.
            reset: called with each of the two before it runs; modules of the known frameworks need none.

        Raises:
            InputError: one of them gives no tensor.
        """
        __tracebackhide__ = True
        given = _dyadic_inputs(steps, shape) if inputs is None else inputs
        one, other = (_spikes(layer, given, reset) for layer in (first, second))
        if one.shape != other.shape:
            _fail(f"shapes differ: {list(one.shape)} and {list(other.shape)}")
        if not one.any() and not other.any():
            _fail("neither fires at these inputs, so nothing was compared; give larger ones")
        differing = (one != other).nonzero()
        if len(differing):
            at = tuple(int(index) for index in differing[0])
            said = f"{len(differing)} of {one.numel()} outputs differ, the first at {list(at)}"
            _fail(f"{said}: {float(one[at]):g} and {float(other[at]):g}")

    def assert_not_slower(
        self,
        function: Callable[[], object],
        *,
        than: Callable[[], object],
        budget: float | None = None,
        floor: float | None = None,
    ) -> Race:
        """Assert that one function takes no more processor time than another, but for the floor.

        They are timed alternately in this process. A test fails only where the whole 95 % interval of the ratio lies
        beyond the floor and beyond what the process cannot tell apart; see `spikemark.regression.turns.race`.

        Args:
            function: without arguments, on the CPU.
            than: what it is measured against.
            budget: seconds; that of the options when None.
            floor: the largest slowdown that passes, as a fraction; that of the options when None.

        Returns:
            The ratio with its interval, and the verdict.
        """
        __tracebackhide__ = True
        from spikemark.regression.turns import race

        passes = self.floor if floor is None else floor
        found = race(function, than, budget=self.budget if budget is None else budget, floor=passes)
        if found.verdict == "slower":
            _fail(f"slower by more than {100 * passes:g} %: {found}")
        if found.verdict == "undecided":
            said = f"not decided whether it is slower by more than {100 * passes:g} %: {found}; a larger budget decides"
            if self.undecided == "fail":
                _fail(said)
            warnings.warn(said, UndecidedWarning, stacklevel=2)
        return found

    def count_operations(self, model: nn.Module, inputs: Tensor, **options: Any) -> OperationCount:
        """Count the synaptic operations of one run, exactly, per sample: see `spikemark.count_operations`."""
        from spikemark.measures.counting.operations import count_operations

        return count_operations(model, inputs, **options)


def _fail(message: str) -> NoReturn:
    __tracebackhide__ = True
    raise AssertionError(message)


def _title(what: Any) -> str:
    return what if isinstance(what, str) else type(what).__name__


def _conformance(what: Any, spec: Any, framework: Any, shape: tuple[int, ...] | None, reset: Any) -> ConformanceResult:
    from torch import nn

    from spikemark.core.adapter import SpikingLayer
    from spikemark.core.frameworks import get_adapter
    from spikemark.measures.semantics.comparison import GivenLayer, conformance, layer_conformance

    if isinstance(what, nn.Module):
        if framework is not None:
            raise InputError("a layer is what it is; framework goes with a neuron's name or spec")
        if isinstance(what, SpikingLayer) and spec is None and shape is None:
            return layer_conformance(what)
        if spec is None or shape is None:
            raise InputError(f"{type(what).__name__}: say what it computes: spec=, and shape= of a sample")
        return layer_conformance(GivenLayer(what, _spec(spec), shape, reset))
    if framework is None or spec is not None or shape is not None:
        raise InputError("a neuron's name or spec goes with framework=, and with neither spec= nor shape=")
    return conformance(get_adapter(framework) if isinstance(framework, str) else framework, _spec(what), seed=0)


def _spec(named: Any) -> NeuronSpec:
    from spikemark.core.neurons import NEURONS, NeuronSpec

    found = NEURONS[named] if isinstance(named, str) else named
    if not isinstance(found, NeuronSpec):
        raise InputError(f"neuron {named!r} has no equations that an oracle computes; use assert_same_spikes")
    return found


def _dyadic_inputs(steps: int, shape: tuple[int, ...]) -> Tensor:
    import torch

    drawn = torch.randint(-8, 17, (steps, 4, *shape), generator=torch.Generator().manual_seed(0))
    return drawn / 8


def _spikes(layer: Any, inputs: Tensor, reset: Callable[[Any], object] | None) -> Tensor:
    import torch
    from torch import nn

    from spikemark.core.foreign import first_tensor, reset_states

    with torch.no_grad():
        if isinstance(layer, nn.Module):
            reset_states(layer, reset)
        elif reset is not None:
            reset(layer)
        found = first_tensor(layer(inputs))
    if found is None:
        raise InputError(f"{_title(layer)} gave no tensor of spikes")
    return found
