"""The frameworks' own neurons, as their documentation uses them: the native track.

No framework is imported before a neuron is made. Where a tutorial and the defaults of a class differ, each has a row. A
neuron that one would expect and the framework does not have is a row, too, which says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

from spikemark.core.neurons import FrameworkNeuron
from spikemark.registry import imported, register_all

if TYPE_CHECKING:
    import torch
    from torch import nn


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


# Where a class has no page of its own, the link leads to its docstring.
_SNNTORCH = "https://snntorch.readthedocs.io/en/latest"
_STATE_LEAKY = "https://github.com/jeshraghian/snntorch/blob/master/snntorch/_neurons/stateleaky.py"
_SPIKINGJELLY = "https://spikingjelly.readthedocs.io/zh-cn/0.0.0.0.14/activation_based_en"
_NODES = "https://github.com/fangwei123456/spikingjelly/blob/master/spikingjelly/activation_based/neuron"
_SINABS = "https://github.com/synsense/sinabs/blob/main/sinabs/layers"
_ROCKPOOL_PAGES = "https://rockpool.ai"
_ROCKPOOL = "https://github.com/synsense/rockpool/blob/develop/rockpool/nn/modules/torch"
_NORSE = "https://github.com/norse/norse/blob/main/norse/torch/module"


def _own(framework: str, function: str, about: str, source: str, **options: Any) -> FrameworkNeuron:
    return FrameworkNeuron(framework, Maker(f"{framework}:{function}", options), source=source, about=about)


def _missing(framework: str, lacks: str, source: str) -> FrameworkNeuron:
    return FrameworkNeuron(framework, Maker(""), source=source, lacks=lacks)


def _snntorch() -> dict[str, FrameworkNeuron]:
    own = partial(_own, "snntorch")
    leaky = partial(own, "leaky")
    page, said = f"{_SNNTORCH}/snn.neurons_leaky.html", "Leaky(beta=0.95{}), atan, subtracts the threshold a step late"
    decay, threshold = {"learn_beta": True}, {"learn_threshold": True}
    lapicque = f"{_SNNTORCH}/snn.neurons_lapicque.html"
    fast = "Leaky(beta=0.5, spike_grad=fast_sigmoid(slope=25))"
    both = "learn_beta=True, learn_threshold=True"
    return {
        "leaky": leaky(said.format(""), f"{_SNNTORCH}/tutorials/tutorial_5.html"),
        "leaky-fast-sigmoid": leaky(fast, f"{_SNNTORCH}/tutorials/tutorial_6.html", beta=0.5, slope=25.0),
        "leaky-learned-decay": leaky(said.format(", learn_beta=True"), page, **decay),
        "leaky-learned-threshold": leaky(said.format(", learn_threshold=True"), page, **threshold),
        "leaky-learned": leaky(said.format(f", {both}"), page, **decay, **threshold),
        "synaptic": own(
            "synaptic",
            "Synaptic(alpha=0.9, beta=0.5)",
            f"{_SNNTORCH}/snn.neurons_synaptic.html",
            alpha=0.9,
            beta=0.5,
        ),
        "lapicque": own("lapicque", "Lapicque(beta=0.5)", lapicque, beta=0.5),
        "lapicque-learned-decay": _missing(
            "snntorch",
            "Lapicque's learn_beta does nothing: its capacitance is computed from beta once, when it is made",
            lapicque,
        ),
        "alpha": own("alpha", "Alpha(alpha=0.9, beta=0.8)", f"{_SNNTORCH}/snn.neurons_alpha.html", alpha=0.9, beta=0.8),
        "state-leaky": own("state_leaky", "StateLeaky(beta=0.9), no reset", _STATE_LEAKY),
        "state-leaky-learned": own(
            "state_leaky", f"StateLeaky(beta=0.9, {both}), no reset", _STATE_LEAKY, **decay, **threshold
        ),
    }


def _spikingjelly() -> dict[str, FrameworkNeuron]:
    own = partial(_own, "spikingjelly")
    tutorial, variants, psn = (
        "surrogate_function=ATan(), detach_reset=True",
        f"{_NODES}/lif_variants.py",
        f"{_NODES}/psn.py",
    )
    return {
        "if": own("integrate_and_fire", f"IFNode({tutorial})", f"{_SPIKINGJELLY}/conv_fashion_mnist.html"),
        "lif": own("lif", f"LIFNode(tau=2.0, {tutorial})", f"{_SPIKINGJELLY}/lif_fc_mnist.html"),
        "lif-defaults": own(
            "lif",
            "LIFNode(): a sigmoid for surrogate, and a gradient through the reset",
            f"{_NODES}/lif.py",
            tutorial=False,
        ),
        "lif-learned-threshold": _missing(
            "spikingjelly",
            "v_threshold of LIFNode and its relatives must be a float (an assertion), so it cannot learn",
            f"{_NODES}/lif.py",
        ),
        "plif": own("plif", f"ParametricLIFNode(init_tau=2.0, {tutorial})", f"{_NODES}/plif.py"),
        "klif": own("klif", "KLIFNode()", variants),
        "glif": own("gated", "GatedLIFNode(T, inplane=channels)", variants),
        "clif": own("clif", "ComplementaryLIFNode()", variants),
        "psn": own("parallel", "PSN(T), no reset; sees the steps to come", psn),
        "masked-psn": own(
            "parallel", "MaskedPSN(k=2, T, lambda_init=1.0), no reset", psn, kind="MaskedPSN", k=2, lambda_init=1.0
        ),
        "sliding-psn": own("parallel", "SlidingPSN(k=2), no reset", psn, kind="SlidingPSN", k=2),
    }


def _norse() -> dict[str, FrameworkNeuron]:
    own = partial(_own, "norse")
    learned = "v_th=Parameter, tau_mem_inv=Parameter"
    learn = {"learn": ("v_th", "tau_mem_inv")}
    return {
        "lif": own("lif", "LIF(): a synaptic current before the membrane, dt = 1 ms", f"{_NORSE}/lif.py"),
        "lif-learned": own(
            "lif",
            f"LIF(LIFParameters({learned})); Norse registers neither, so we do",
            f"{_NORSE}/lif.py",
            **learn,
        ),
        "lif-box": own("lif_box", "LIFBoxCell() in a loop", f"{_NORSE}/lif_box.py"),
        "lif-box-learned": own(
            "lif_box", f"LIFBoxCell(LIFBoxParameters({learned})); registered by us", f"{_NORSE}/lif_box.py", **learn
        ),
        "lsnn": own("lsnn", "LSNN(): a threshold that follows the spikes", f"{_NORSE}/lsnn.py"),
    }


def _sinabs() -> dict[str, FrameworkNeuron]:
    own = partial(_own, "sinabs")
    lif, single = f"{_SINABS}/lif.py", "spike_fn=SingleSpike"
    learns = "tau_mem learns, several spikes in a step, subtracts the threshold for each"
    return {
        "lif": own("lif", f"LIF(tau_mem=20.0): {learns}", lif),
        "lif-single-spike": own("lif", f"LIF(tau_mem=20.0, {single}): tau_mem learns", lif, spike_fn="SingleSpike"),
        "lif-learned-threshold": _missing(
            "sinabs",
            "spike_threshold is a parameter that requires no gradient, and the spike functions pass it none",
            lif,
        ),
        "iaf": own("iaf", "IAF(): several spikes in a step, subtracts the threshold for each", f"{_SINABS}/iaf.py"),
        "alif": own("alif", "ALIF(tau_mem=20.0, tau_adapt=20.0): both learn", f"{_SINABS}/alif.py"),
    }


def _rockpool() -> dict[str, FrameworkNeuron]:
    own = partial(_own, "rockpool")
    lif, bitshift, neuron = (
        f"{_ROCKPOOL}/{name}.py" for name in ("lif_torch", "lif_bitshift_torch", "lif_neuron_torch")
    )
    learns = "time constants, thresholds and biases learn"
    several = "several spikes in a step, subtracts the threshold for each"
    return {
        "lif": own(
            "lif_of_constants",
            f"LIFTorch(tau_mem=Constant(0.1), tau_syn=Constant(0.05), dt=0.01), nothing learns; {several}",
            f"{_ROCKPOOL_PAGES}/basics/hello_MNIST.html",
        ),
        "lif-learned": own(
            "lif",
            f"LIFTorch(tau_mem=0.002, tau_syn=0.002, threshold=1.0, learning_window=0.2): {learns}; {several}",
            f"{_ROCKPOOL_PAGES}/tutorials/torch-training-spiking.html",
            tau_mem=0.002,
            tau_syn=0.002,
            threshold=1.0,
            learning_window=0.2,
        ),
        "lif-defaults": own("lif", f"LIFTorch(): 20 ms for both, dt = 1 ms; {learns}; {several}", lif),
        "lif-single-spike": own("lif", f"LIFTorch(max_spikes_per_dt=1): {learns}", lif, max_spikes_per_dt=1),
        "lif-neuron": own("lif_neuron", f"LIFNeuronTorch(), without a synapse: {learns}; {several}", neuron),
        "lif-bitshift": own("lif_bitshift", f"LIFBitshiftTorch(): decays 1 - 2^-n; {several}, up to 31", bitshift),
        "lif-bitshift-learned-decay": _missing(
            "rockpool",
            "LIFBitshiftTorch rounds its time constants to powers of 2, and no gradient reaches them",
            bitshift,
        ),
        "lif-zero": _missing("rockpool", "all its neurons subtract the threshold; none resets to zero", lif),
        "alif": own(
            "alif",
            f"aLIFTorch(): its spikes come back as an inhibitory current; {learns}; {several}",
            f"{_ROCKPOOL}/ahp_lif_torch.py",
        ),
    }


_SNNTORCH_SURROGATES = (
    "straight_through_estimator", "triangular", "fast_sigmoid", "heaviside", "sigmoid", "spike_rate_escape",
    "SFS", "LSO",
)  # fmt: skip
_SPIKINGJELLY_SURROGATES = (
    "ATan", "PiecewiseQuadratic", "PiecewiseExp", "SoftSign", "SuperSpike", "NonzeroSignLogAbs", "Erf",
    "PiecewiseLeakyReLU", "S2NN", "QPseudoSpike", "LeakyKReLU", "FakeNumericalGradient", "LogTailedReLU", "Rect",
)  # fmt: skip
_SINABS_SURROGATES = ("Heaviside", "Gaussian", "MultiGaussian", "PeriodicExponential")
_SPYX_SURROGATES = ("superspike", "tanh", "boxcar", "triangular", "arctan")
_NORSE_SURROGATES = ("heaviside", "triangle", "tanh", "circ", "heavi_erfc")


def variants(framework: str) -> dict[str, FrameworkNeuron]:
    """See `Adapter.variants`; surrogates that draw random numbers are left out."""
    own = partial(_own, framework, about="", source="")
    match framework:
        case "snntorch":
            surrogates = {f"leaky-{name}": own("leaky_with", gradient=name) for name in _SNNTORCH_SURROGATES}
            return surrogates | {
                "leaky-zero": own("leaky", reset_mechanism="zero"),
                "leaky-none": own("leaky", reset_mechanism="none"),
                "leaky-subtract-at-once": own("leaky", reset_delay=False),
                "leaky-zero-at-once": own("leaky", reset_mechanism="zero", reset_delay=False),
                "leaky-graded": own("leaky", graded_spikes_factor=2.0),
                "synaptic-zero": own("synaptic", alpha=0.9, beta=0.5, reset_mechanism="zero"),
                "lapicque-zero": own("lapicque", beta=0.5, reset_mechanism="zero"),
            }
        case "spikingjelly":
            surrogates = {f"lif-{name}": own("lif_with", gradient=name) for name in _SPIKINGJELLY_SURROGATES}
            return surrogates | {
                "lif-subtract": own("lif_with", v_reset=None),
                "lif-subtract-detached": own("lif_with", v_reset=None, detach_reset=True),
                "lif-not-decayed": own("lif_with", decay_input=False),
                "if-subtract": own("integrate_and_fire", v_reset=None),
            }
        case "norse":
            return {f"lif-{name}": own("lif_with", method=name) for name in _NORSE_SURROGATES}
        case "sinabs":
            surrogates = {f"lif-{name}": own("lif", surrogate_grad_fn=name) for name in _SINABS_SURROGATES}
            return surrogates | {
                "lif-zero": own("lif", reset_fn="MembraneReset"),
                "lif-not-normalised": own("lif", norm_input=False),
                "lif-alphas": own("lif_alphas"),
                "iaf-zero": own("iaf", reset_fn="MembraneReset"),
            }
        case "rockpool":
            return {
                "lif-PeriodicExponential": own("lif", generation="PeriodicExponential"),
                "lif-decays": own("lif", leak_mode="decays"),
                "lif-bitshifts": own("lif", leak_mode="bitshifts"),
            }
        case "spyx":
            surrogates = {f"lif-{name}": own("lif", beta=0.5, activation=name) for name in _SPYX_SURROGATES}
            return surrogates | {"if": own("integrate_and_fire"), "psu-lif": own("parallel", beta=0.5)}
        case _:
            return {}


for _framework, _neurons in {
    "snntorch": _snntorch(),
    "spikingjelly": _spikingjelly(),
    "norse": _norse(),
    "sinabs": _sinabs(),
    "rockpool": _rockpool(),
}.items():
    register_all("neuron", {f"{_framework}:{_name}": _neuron for _name, _neuron in _neurons.items()})
