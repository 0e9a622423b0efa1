"""The frameworks' own neurons, as their documentation uses them: the native track.

No framework is imported before a neuron is made. Where a tutorial and the defaults of a class differ, each has a row. A
neuron that one would expect and the framework does not have is a row, too, which says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spikemark.core.neurons import FrameworkNeuron
from spikemark.registry import imported, register_all

if TYPE_CHECKING:
    import torch
    from torch import nn

_SNNTORCH = "https://snntorch.readthedocs.io/en/latest"
_SPIKINGJELLY = "https://spikingjelly.readthedocs.io/zh-cn/latest"
_NORSE = "https://norse.github.io/norse"


@dataclass(frozen=True)
class Maker:
    """A function of one of this package's modules, which is imported with its framework when it is called first.

    Attributes:
        function: as ``"module:function"``, the module below this package.
        options: of the function.
    """

    function: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(
        self, shape: tuple[int, ...], *, generator: torch.Generator | None = None, steps: int | None = None
    ) -> nn.Module:
        """The module, see `FrameworkNeuron.make`."""
        make = imported(f"{__name__}.{self.function}")
        offered = {"generator": generator, "steps": steps}
        asked = {name: value for name, value in offered.items() if name in signature(make).parameters}
        module: nn.Module = make(shape, **self.options, **asked)
        return module


def _rows(framework: str, rows: Mapping[str, FrameworkNeuron]) -> dict[str, FrameworkNeuron]:
    return {f"{framework}:{name}": row for name, row in rows.items()}


def _snntorch(function: str, about: str, page: str, **options: Any) -> FrameworkNeuron:
    make = Maker(f"snntorch:{function}", options)
    return FrameworkNeuron("snntorch", make, source=f"{_SNNTORCH}/{page}.html", about=about)


def _spikingjelly(function: str, about: str, page: str, **options: Any) -> FrameworkNeuron:
    make = Maker(f"spikingjelly:{function}", options)
    return FrameworkNeuron("spikingjelly", make, source=f"{_SPIKINGJELLY}/{page}.html", about=about)


def _norse(function: str, about: str, page: str, **options: Any) -> FrameworkNeuron:
    make = Maker(f"norse:{function}", options)
    return FrameworkNeuron("norse", make, source=f"{_NORSE}/{page}.html", about=about)


def _missing(framework: str, lacks: str, source: str) -> FrameworkNeuron:
    return FrameworkNeuron(framework, Maker(""), source=source, lacks=lacks)


_LEAKY = "Leaky(beta=0.95{}), atan, subtracts the threshold a step late"
_API = "spikingjelly.activation_based.neuron"
_TUTORIAL = "surrogate_function=ATan(), detach_reset=True"

OWN_NEURONS: Mapping[str, FrameworkNeuron] = MappingProxyType(
    _rows(
        "snntorch",
        {
            "leaky": _snntorch("leaky", _LEAKY.format(""), "tutorials/tutorial_5"),
            "leaky-fast-sigmoid": _snntorch(
                "leaky",
                "Leaky(beta=0.5, spike_grad=fast_sigmoid(slope=25))",
                "tutorials/tutorial_6",
                beta=0.5,
                slope=25.0,
            ),
            "leaky-learned-decay": _snntorch(
                "leaky", _LEAKY.format(", learn_beta=True"), "snn.neurons_leaky", learn_beta=True
            ),
            "leaky-learned-threshold": _snntorch(
                "leaky", _LEAKY.format(", learn_threshold=True"), "snn.neurons_leaky", learn_threshold=True
            ),
            "leaky-learned": _snntorch(
                "leaky",
                _LEAKY.format(", learn_beta=True, learn_threshold=True"),
                "snn.neurons_leaky",
                learn_beta=True,
                learn_threshold=True,
            ),
            "synaptic": _snntorch(
                "synaptic", "Synaptic(alpha=0.9, beta=0.5)", "snn.neurons_synaptic", alpha=0.9, beta=0.5
            ),
            "lapicque": _snntorch("lapicque", "Lapicque(beta=0.5)", "snn.neurons_lapicque", beta=0.5),
            "lapicque-learned-decay": _missing(
                "snntorch",
                "Lapicque's learn_beta does nothing: its capacitance is computed from beta once, when it is made",
                f"{_SNNTORCH}/snn.neurons_lapicque.html",
            ),
            "alpha": _snntorch("alpha", "Alpha(alpha=0.9, beta=0.8)", "snn.neurons_alpha", alpha=0.9, beta=0.8),
            "state-leaky": _snntorch("state_leaky", "StateLeaky(beta=0.9), no reset", "snntorch"),
            "state-leaky-learned": _snntorch(
                "state_leaky",
                "StateLeaky(beta=0.9, learn_beta=True, learn_threshold=True), no reset",
                "snntorch",
                learn_beta=True,
                learn_threshold=True,
            ),
        },
    )
    | _rows(
        "spikingjelly",
        {
            "if": _spikingjelly("integrate_and_fire", f"IFNode({_TUTORIAL})", "activation_based/conv_fashion_mnist"),
            "lif": _spikingjelly("lif", f"LIFNode(tau=2.0, {_TUTORIAL})", "activation_based/lif_fc_mnist"),
            "lif-defaults": _spikingjelly(
                "lif", "LIFNode(): a sigmoid for surrogate, and a gradient through the reset", _API, tutorial=False
            ),
            "lif-learned-threshold": _missing(
                "spikingjelly",
                "v_threshold of LIFNode and its relatives must be a float (an assertion), so it cannot learn",
                f"{_SPIKINGJELLY}/{_API}.html",
            ),
            "plif": _spikingjelly("plif", f"ParametricLIFNode(init_tau=2.0, {_TUTORIAL})", _API),
            "klif": _spikingjelly("klif", "KLIFNode()", _API),
            "glif": _spikingjelly("gated", "GatedLIFNode(T, inplane=channels)", _API),
            "clif": _spikingjelly("clif", "ComplementaryLIFNode()", _API),
            "psn": _spikingjelly("parallel", "PSN(T), no reset; sees the steps to come", _API),
            "masked-psn": _spikingjelly(
                "parallel",
                "MaskedPSN(k=2, T, lambda_init=1.0), no reset",
                _API,
                kind="MaskedPSN",
                k=2,
                lambda_init=1.0,
                step_mode="m",
            ),
            "sliding-psn": _spikingjelly("parallel", "SlidingPSN(k=2), no reset", _API, kind="SlidingPSN", k=2),
        },
    )
    | _rows(
        "norse",
        {
            "lif": _norse("lif", "LIF(): a synaptic current before the membrane, dt = 1 ms", "pages/working"),
            "lif-learned": _norse(
                "lif",
                "LIF(LIFParameters(v_th=Parameter, tau_mem_inv=Parameter)); Norse registers neither, so we do",
                "pages/working",
                learn=("v_th", "tau_mem_inv"),
            ),
            "lif-box": _norse("lif_box", "LIFBoxCell() in a loop", "pages/working"),
            "lif-box-learned": _norse(
                "lif_box",
                "LIFBoxCell(LIFBoxParameters(v_th=Parameter, tau_mem_inv=Parameter)); registered by us",
                "pages/working",
                learn=("v_th", "tau_mem_inv"),
            ),
            "lsnn": _norse("lsnn", "LSNN(): a threshold that follows the spikes", "pages/working"),
        },
    )
)

register_all("neuron", OWN_NEURONS)
