"""What the documentation of the frameworks' own classes states, as specs; no framework is imported for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from spikemark.core.adapter import Stated
from spikemark.core.neurons import FrameworkNeuron, Learnable, NeuronSpec, ParameterName, Reset, Surrogate
from spikemark_adapters.native import Maker

_ATAN, _SIGMOID = Surrogate("atan", 2.0), Surrogate("sigmoid", 4.0)
_TWENTY_STEPS = math.exp(-1 / 20)


def stated(framework: str) -> Mapping[str, Stated]:
    """See `Adapter.stated`."""
    return _STATED[framework](_Statements(framework))


class _Statements:
    """Those of one framework, as they are written down."""

    def __init__(self, framework: str) -> None:
        self.framework = framework

    def __call__(
        self,
        function: str,
        states: str,
        decay: float,
        reset: Reset,
        surrogate: Surrogate | None,
        *,
        decay_input: bool = False,
        detach: bool = True,
        at_threshold: bool = False,
        each: ParameterName | None = None,
        **options: Any,
    ) -> Stated:
        """One; without a surrogate, spikes alone are compared."""
        spec = NeuronSpec(
            decay=Learnable(decay, "neuron" if each == "decay" else "fixed"),
            threshold=Learnable(1.0, "neuron" if each == "threshold" else "fixed"),
            decay_input=decay_input,
            reset=reset,
            detach_reset=detach,
            fires_at_threshold=at_threshold,
            surrogate=surrogate or _ATAN,
        )
        made = FrameworkNeuron(self.framework, Maker(f"{self.framework}:{function}", options))
        return Stated(made, spec, states, each, surrogate is not None)


def _snntorch(s: _Statements) -> dict[str, Stated]:
    zero: dict[str, Any] = {"beta": 0.5, "reset_mechanism": "zero"}
    subtracts = "a spike subtracts the threshold from its membrane"
    parallel = "U[t+1] = beta U[t] + I[t+1], for currents above 0"
    return {
        "Leaky(beta=0.5, reset_mechanism='zero')": s(
            "leaky", "a spike sets the membrane to 0", 0.5, "zero", _ATAN, **zero
        ),
        "Leaky(beta=0.5)": s("leaky", subtracts, 0.5, "subtract", _ATAN, beta=0.5),
        "Leaky(beta=0.5, reset_delay=False)": s(
            "leaky", subtracts, 0.5, "subtract", _ATAN, detach=False, beta=0.5, reset_delay=False
        ),
        "Leaky(beta=0.5, reset_mechanism='none')": s(
            "leaky", "nothing is reset", 0.5, "none", _ATAN, beta=0.5, reset_mechanism="none"
        ),
        "Leaky(spike_grad=fast_sigmoid(25))": s(
            "leaky", "surrogate 1 / (1 + 25 |z|)^2", 0.5, "zero", Surrogate("superspike", 25.0), slope=25.0, **zero
        ),
        "Leaky(beta=[...])": s("leaky", "every neuron has its beta", 0.5, "zero", _ATAN, each="decay", **zero),
        "Leaky(threshold=[...])": s(
            "leaky", "every neuron has its threshold", 0.5, "zero", _ATAN, each="threshold", **zero
        ),
        "LeakyParallel(beta=0.5)": s("leaky_parallel", parallel, 0.5, "none", _ATAN, beta=0.5),
        "LeakyParallel(beta=[...])": s(
            "leaky_parallel", f"{parallel}; every neuron has its beta", 0.5, "none", _ATAN, each="decay", beta=0.5
        ),
        "Lapicque(beta=0.5)": s("lapicque", "beta is the decay, and currents are added", 0.5, "zero", _ATAN, **zero),
        "StateLeaky(beta=0.9)": s("state_leaky", "beta is the decay; nothing is reset", 0.9, "none", _ATAN, beta=0.9),
    }


def _spikingjelly(s: _Statements) -> dict[str, Stated]:
    def node(states: str, reset: Reset = "zero", surrogate: Surrogate = _SIGMOID, **options: Any) -> Stated:
        given: dict[str, Any] = {"decay_input": True, "detach": False, "at_threshold": True} | options
        return s("lif_with", states, 0.5, reset, surrogate, **given)

    def gradient(name: str, formula: str, surrogate: Surrogate) -> Stated:
        return node(f"surrogate {formula}", surrogate=surrogate, gradient=name)

    return {
        "LIFNode()": node("hard reset, tau = 2, sigmoid of 4, a gradient through the reset"),
        "LIFNode(v_reset=None)": node("a spike subtracts the threshold", "subtract", v_reset=None),
        "LIFNode(detach_reset=True)": node("no gradient through the reset", detach=True, detach_reset=True),
        "LIFNode(surrogate_function=ATan())": gradient("ATan", "1 / (1 + (pi z)^2)", _ATAN),
        "LIFNode(surrogate_function=PiecewiseQuadratic())": gradient(
            "PiecewiseQuadratic", "max(0, 1 - |z|)", Surrogate("triangle", 1.0)
        ),
        "LIFNode(surrogate_function=Rect())": gradient("Rect", "1 where |z| < 1/2", Surrogate("rectangle", 1.0)),
        "LIFNode(surrogate_function=SuperSpike())": gradient(
            "SuperSpike", "1 / (1 + |z|)^2", Surrogate("superspike", 1.0)
        ),
        "IFNode()": s(
            "integrate_and_fire", "no leak, arctangent, no gradient through the reset", 1.0, "zero", _ATAN,
            at_threshold=True,
        ),
        "ParametricLIFNode(init_tau=2.0)": s(
            "plif", "hard reset, tau = 2, arctangent, no gradient through the reset", 0.5, "zero", _ATAN,
            decay_input=True, at_threshold=True,
        ),
    }  # fmt: skip


def _norse(s: _Statements) -> dict[str, Stated]:
    def box(states: str, surrogate: Surrogate, reset: Reset = "zero", **options: Any) -> Stated:
        return s("lif_box_with", states, 0.9, reset, surrogate, decay_input=True, detach=False, **options)

    hundred = Surrogate("superspike", 100.0)
    return {
        "LIFBoxCell()": box("surrogate 1 / (1 + alpha |z|)^2, alpha = 100", hundred),
        "LIFBoxCell(alpha=1)": box(
            "surrogate 1 / (1 + alpha |z|)^2, alpha = 1", Surrogate("superspike", 1.0), alpha=1.0
        ),
        "LIFBoxCell(alpha=10)": box(
            "surrogate 1 / (1 + alpha |z|)^2, alpha = 10", Surrogate("superspike", 10.0), alpha=10.0
        ),
        "LIFBoxCell(method='triangle', alpha=0.3)": box(
            "surrogate alpha max(0, 1 - |z|), alpha = 0.3",
            Surrogate("triangle", 1.0, 0.3),
            method="triangle",
            alpha=0.3,
        ),
        "LIFBoxCell(reset_method=reset_subtract, alpha=1)": box(
            "a spike subtracts the threshold", Surrogate("superspike", 1.0), "subtract", subtract=True, alpha=1.0
        ),
        "LIFBoxCell(v_th=[...], alpha=1)": box(
            "every neuron has its threshold", Surrogate("superspike", 1.0), each="threshold", alpha=1.0
        ),
    }


def _sinabs(s: _Statements) -> dict[str, Stated]:
    def layer(states: str, decay: float = _TWENTY_STEPS, reset: Reset = "subtract", **options: Any) -> Stated:
        function = "lif" if decay < 1 else "iaf"
        return s(function, states, decay, reset, None, decay_input=decay < 1, at_threshold=True, **options)

    single: dict[str, Any] = {"spike_fn": "SingleSpike"}
    return {
        "LIF(tau_mem=20.0)": layer("a spike subtracts the threshold; outputs are 0 or 1"),
        "LIF(tau_mem=20.0, spike_fn=SingleSpike)": layer(
            "a spike subtracts the threshold; outputs are 0 or 1", **single
        ),
        "LIF(tau_mem=20.0, spike_fn=SingleSpike, reset_fn=MembraneReset())": layer(
            "a spike sets the membrane to 0", reset="zero", reset_fn="MembraneReset", **single
        ),
        "LIF(spike_threshold=[...], spike_fn=SingleSpike)": layer(
            "every neuron has its threshold", each="threshold", **single
        ),
        "LIF(tau_mem=[...], spike_fn=SingleSpike)": layer("every neuron has its decay", each="decay", **single),
        "IAF(spike_fn=SingleSpike)": layer("no leak; outputs are 0 or 1", 1.0, **single),
    }


def _rockpool(s: _Statements) -> dict[str, Stated]:
    def neuron(states: str, *, each: ParameterName | None = None, **options: Any) -> Stated:
        return s("lif_neuron", states, _TWENTY_STEPS, "subtract", None, at_threshold=True, each=each, **options)

    binary = "a spike subtracts the threshold; outputs are 0 or 1"
    return {
        "LIFNeuronTorch()": neuron(binary),
        "LIFNeuronTorch(max_spikes_per_dt=1)": neuron(binary, max_spikes_per_dt=1),
        "LIFNeuronTorch(threshold=[...], max_spikes_per_dt=1)": neuron(
            "every neuron has its threshold", each="threshold", max_spikes_per_dt=1
        ),
        "LIFNeuronTorch(tau_mem=[...], max_spikes_per_dt=1)": neuron(
            "every neuron has its decay", each="decay", max_spikes_per_dt=1
        ),
    }


def _spyx(s: _Statements) -> dict[str, Stated]:
    surrogate, subtracts = Surrogate("superspike", 25.0), "a spike subtracts the threshold from its membrane"
    return {
        "LIF(beta=0.5)": s("lif", subtracts, 0.5, "subtract", surrogate, detach=False, beta=0.5),
        "IF()": s("integrate_and_fire", f"no leak; {subtracts}", 1.0, "subtract", surrogate, detach=False),
        "PSU_LIF(beta=0.5)": s("parallel", "nothing is reset", 0.5, "none", surrogate, beta=0.5),
    }


_STATED: Mapping[str, Callable[[_Statements], dict[str, Stated]]] = {
    "snntorch": _snntorch,
    "spikingjelly": _spikingjelly,
    "norse": _norse,
    "sinabs": _sinabs,
    "rockpool": _rockpool,
    "spyx": _spyx,
}
