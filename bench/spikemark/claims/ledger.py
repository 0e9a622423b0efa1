"""The ledger: every claim with the figures of its publication and the contrasts that decide it here.

Directions and margins were written down before the records were made. The cells stand in the suite `claims`; its
variants are named after what they change, "t8" being 8 time steps.
"""

from __future__ import annotations

from spikemark.claims.claim import Arm, Claim, Contrast, Expects, Quantity

_STL = "STL-SNN: Sun et al., IEEE TCDS 16(2), 2024"
_LTMD = "LTMD: Wang, Cheng and Lim, NeurIPS 2022"
_PLIF = "PLIF: Fang et al., ICCV 2021"
_TEBN = "TEBN: Duan et al., NeurIPS 2022"
_RATE = "Rate-based backpropagation: Yu et al., NeurIPS 2024"
_TIME = "Time-based training: Zhu et al., NeurIPS 2023"
_NCG = "Goupy, Tirilly and Bilasco, NeurIPS 2024"
_SLEEP = "Massey, Hubin, Nichele and Sæbø 2026 (arXiv 2601.08447)"
_OURS = "Ours: a control"
_NO_FIGURES = "no figures found"


def _contrast(
    first: str,
    second: str,
    expects: Expects = "higher",
    quantity: Quantity = "accuracy",
    margin: float = 0.5,
    variant: str | tuple[str, str] = "",
) -> Contrast:
    one, other = (variant, variant) if isinstance(variant, str) else variant
    return Contrast(Arm(first, one), Arm(second, other), expects, quantity, margin)


_STL_CLAIMS = (
    Claim(
        "stl-over-sl",
        "Learning weights and thresholds beats learning weights alone",
        _STL,
        _NO_FIGURES,
        (
            _contrast("mlp-stl", "mlp-stl-sl"),
            _contrast("mlp-stl", "mlp-stl-sl", variant="poisson"),
        ),
    ),
    Claim(
        "stl-over-tl",
        "Learning weights and thresholds beats learning thresholds alone",
        _STL,
        _NO_FIGURES,
        (
            _contrast("mlp-stl", "mlp-stl-tl"),
            _contrast("mlp-stl", "mlp-stl-tl-norm"),
            _contrast("mlp-stl", "mlp-stl-tl", variant="poisson"),
        ),
    ),
    Claim(
        "stl-robust",
        "Learned thresholds make a network more robust to noise",
        _STL,
        _NO_FIGURES,
        (
            _contrast("mlp-stl", "mlp-stl-sl", quantity="noisy accuracy"),
            _contrast("mlp-stl", "mlp-lif", quantity="noisy accuracy"),
        ),
    ),
    Claim(
        "stl-firing",
        "Learned thresholds lower firing rates and energy",
        _STL,
        f"{_NO_FIGURES}; DS-ATGO (AAAI 2026) reports the opposite",
        (
            _contrast("mlp-stl", "mlp-stl-sl", "lower", "firing rate", 2),
            _contrast("mlp-stl", "mlp-stl-sl", "lower", "energy", 2),
        ),
    ),
    Claim(
        "learned-thresholds-fire-more",
        "Thresholds learned by gradients raise firing rates",
        "DS-ATGO, AAAI 2026, of DIET-SNN and LTMD",
        "in words only (figure 8 there)",
        (
            _contrast("mlp-lt", "mlp-lt-sl", "higher", "firing rate", 2),
            _contrast("mlp-stl", "mlp-stl-sl", "higher", "firing rate", 2),
        ),
    ),
    Claim(
        "joint-decision",
        "Joint decision adds accuracy (both readings are ours: the paper does not define it in what we found)",
        _STL,
        _NO_FIGURES,
        (
            _contrast("mlp-stl-joint-readout", "mlp-stl"),
            _contrast("mlp-stl-joint-vote", "mlp-stl"),
            _contrast("mlp-stl-joint-vote", "mlp-stl-wide"),
        ),
    ),
)

_LTMD_CLAIMS = (
    Claim(
        "lt-over-lif",
        "A learned threshold a layer beats a fixed one",
        _LTMD,
        "MNIST 99.53 to 99.57, CIFAR-10 92.88 to 93.51",
        (_contrast("mlp-ltmd-lt", "mlp-ltmd-lif"), _contrast("mlp-lt", "mlp-lt-sl")),
    ),
    Claim(
        "ltmd-over-lt",
        "Moderate dropout with lateral interaction adds to learned thresholds",
        _LTMD,
        "MNIST 99.57 to 99.60, CIFAR-10 93.51 to 93.75",
        (_contrast("mlp-ltmd", "mlp-ltmd-lt"),),
    ),
    Claim(
        "ltmd-cost",
        "Learned thresholds cost some additions and little training time",
        _LTMD,
        "additions +9.14 % (LT), +7.99 % (LTMD); training time +3.35 %, +5.61 %",
        (
            _contrast("mlp-ltmd-lt", "mlp-ltmd-lif", "higher", "additions", 1),
            _contrast("mlp-ltmd", "mlp-ltmd-lif", "higher", "additions", 1),
            _contrast("mlp-ltmd-lt", "mlp-ltmd-lif", "equal", "seconds an epoch", 10),
            _contrast("mlp-ltmd", "mlp-ltmd-lif", "equal", "seconds an epoch", 10),
        ),
    ),
    Claim(
        "lateral-noise",
        "Lateral interaction in the output layers makes a network more robust to noise",
        _LTMD,
        "at noise 0.1 to 0.5: 90.60, 82.33, 75.76, 54.16, 31.56 become 96.54, 92.10, 83.61, 69.05, 35.79",
        (_contrast("mlp-ltmd-lif-lateral", "mlp-ltmd-lif", quantity="noisy accuracy"),),
    ),
)

_PLIF_CLAIMS = (
    Claim(
        "plif-over-lif",
        "A learned decay beats a fixed one",
        _PLIF,
        "tau 2, maximum of test accuracy: MNIST 99.69 to 99.72, Fashion-MNIST 94.17 to 94.38",
        (_contrast("mlp-plif", "mlp-lif", variant="t8"), _contrast("mlp-plif16", "mlp-lif16", variant="t8")),
    ),
    Claim(
        "plif-first-tau",
        "PLIF hardly depends on its first time constant, where LIF collapses with a long one",
        _PLIF,
        "tau 2 and 16, CIFAR-10: PLIF 93.50 and 93.23, LIF 93.03 and 47.50",
        (
            _contrast("mlp-plif16", "mlp-plif", "not lower", margin=1, variant="t8"),
            _contrast("mlp-lif16", "mlp-lif", "lower", margin=1, variant="t8"),
        ),
    ),
    Claim(
        "max-pooling",
        "Max-pooling of spikes is no worse than average pooling",
        _PLIF,
        "max less average: MNIST +0.01, Fashion-MNIST -0.36, CIFAR-10 +0.20, CIFAR10-DVS +2.10",
        (_contrast("convnet-plif", "convnet-plif-avgpool", "not lower", margin=0.5, variant="pool"),),
    ),
)

_TEBN_CLAIMS = (
    Claim(
        "tebn-over-joint",
        "TEBN beats batch norm with joint statistics (tdBN), which beats batch norm of each step",
        _TEBN,
        "CIFAR-10, VGG-9, T = 4: 92.81; the others in a figure only",
        (
            _contrast("mlp-tebn", "mlp-joint-bn"),
            _contrast("mlp-joint-bn", "mlp-step-bn"),
            _contrast("mlp-tebn", "mlp-joint-bn", variant="t8"),
            _contrast("mlp-joint-bn", "mlp-step-bn", variant="t8"),
        ),
    ),
    Claim(
        "tebn-fewer-steps",
        "TEBN needs fewer time steps: with half of them it is no worse",
        _TEBN,
        "ResNet-19, CIFAR-10: 94.57 at T = 2, 94.71 at T = 6",
        (
            _contrast("mlp-tebn", "mlp-joint-bn", "not lower", variant=("t2", "")),
            _contrast("mlp-tebn", "mlp-joint-bn", "not lower", variant=("", "t8")),
        ),
    ),
    Claim(
        "tebn-decays",
        "TEBN beats joint statistics at other decays, too",
        _TEBN,
        "spread over decays 0.1 to 1.0: 0.6 points, without TEBN 1.4",
        (
            _contrast("mlp-tebn-decay-0.5", "mlp-joint-bn-decay-0.5"),
            _contrast("mlp-tebn-decay-0.9", "mlp-joint-bn-decay-0.9"),
        ),
    ),
)

_RULE_CLAIMS = (
    Claim(
        "rate-matches",
        "Rate-based backpropagation is as accurate as backpropagation through time",
        _RATE,
        _NO_FIGURES,
        tuple(
            _contrast(f"mlp-rate-{mode}", "mlp-lif-soft", "not lower", variant=steps)
            for mode in ("m", "s")
            for steps in ("t2", "t8", "t32")
        ),
    ),
    Claim(
        "rate-memory",
        "Rate-based backpropagation keeps less for the backward pass",
        _RATE,
        "a figure without numbers",
        tuple(
            _contrast(f"mlp-rate-{mode}", "mlp-lif-soft", "lower", "bytes saved for backward", 10, variant=steps)
            for mode in ("m", "s")
            for steps in ("t8", "t32")
        ),
    ),
    Claim(
        "rate-time",
        "Rate-based backpropagation trains faster as steps grow",
        _RATE,
        "a figure without numbers",
        tuple(
            _contrast(f"mlp-rate-{mode}", "mlp-lif-soft", "lower", "seconds an epoch", 5, variant=steps)
            for mode in ("m", "s")
            for steps in ("t8", "t32")
        ),
    ),
    Claim(
        "enhanced-counting",
        "The enhanced counting loss beats the counting loss",
        _TIME,
        _NO_FIGURES,
        (
            _contrast("time-count+", "time-count", variant="time"),
            _contrast("time-count+", "time-count0", variant="time"),
        ),
    ),
    Claim(
        "threshold-transfer",
        "Moving the weights' scale into the threshold helps time-based training",
        _TIME,
        _NO_FIGURES,
        (_contrast("time-count+", "time-nonorm", variant="time"),),
    ),
)


def _ncg(first: str, second: str) -> tuple[Contrast, ...]:
    """On every data set, whose systems differ in their published hyper-parameters."""
    return tuple(
        _contrast(f"{first}-{data}", f"{second}-{data}", variant="first-spike")
        for data in ("mnist", "fashion", "cifar10")
    )


_LOCAL_CLAIMS = (
    Claim(
        "ncg-over-s2-stdp", "Neuronal Competition Groups beat S2-STDP alone", _NCG, _NO_FIGURES, _ncg("ncg", "s2-stdp")
    ),
    Claim("ncg-over-pcn", "Groups of five beat paired competing neurons", _NCG, _NO_FIGURES, _ncg("ncg", "pcn")),
    Claim(
        "two-compartment-thresholds",
        "Two thresholds a neuron, one to learn and one to infer with, beat a single one",
        _NCG,
        _NO_FIGURES,
        (*_ncg("ncg", "ncg-cr1"), *_ncg("ncg", "ncg-nocr")),
    ),
    Claim("labelling", "Labelling neurons as targets or not helps", _NCG, _NO_FIGURES, _ncg("ncg", "ncg-nolabel")),
    Claim(
        "sleep-helps-stdp",
        "Sleep for 10 to 20 % of the time helps the recurrent STDP network (with the sign of the published code)",
        _SLEEP,
        "means of 5 seeds at sleep 0, 10, 20 %: MNIST 42.5, 71.5, 73.3; Fashion-MNIST 25.6, 56.5, 55.3",
        tuple(_contrast(f"sleep-reversed-{p}", "sleep-reversed-0", variant="sleep") for p in ("0.1", "0.2")),
    ),
    Claim(
        "sleep-classical",
        "Sleep helps the recurrent network with the classical sign of STDP, too",
        _OURS,
        "none: the published code has the other sign",
        (_contrast("sleep-stdp-0.1", "sleep-stdp-0", variant="sleep"),),
    ),
    Claim(
        "sleep-surrogate",
        "Sleep does nothing for a network trained with surrogate gradients",
        _SLEEP,
        "means of 5 seeds at sleep 0, 10, 20 %: MNIST 92.9, 93.1, 93.2; Fashion-MNIST 70.5, 70.3, 70.3",
        tuple(_contrast(f"sg-sleep-{p}", "sg-sleep-0", "equal", margin=1, variant="sg") for p in ("0.1", "0.2")),
    ),
)

_CONTROLS = (
    Claim(
        "threshold-or-gain",
        "Behind a batch norm a layer's threshold does no more than the norm's gain",
        _OURS,
        "none",
        (
            _contrast("mlp-lt-gamma", "mlp-lt-no-gamma", "equal"),
            _contrast("mlp-lt-sl", "mlp-lt", "not lower"),
        ),
    ),
    Claim(
        "thresholds-alone",
        "Thresholds alone learn no more than the norm's gains alone",
        _OURS,
        "none",
        (_contrast("mlp-stl-gamma", "mlp-stl-tl", "not lower"),),
    ),
    Claim(
        "threshold-learning-rate",
        "The learning rate of thresholds hardly matters",
        _OURS,
        "none",
        tuple(
            _contrast(f"mlp-{neuron}-threshold-lr-x{factor}", f"mlp-{neuron}", "equal")
            for neuron in ("stl", "lt")
            for factor in ("0.1", "10")
        ),
    ),
    Claim(
        "threshold-weight-decay",
        "Weight decay on thresholds hardly matters",
        _OURS,
        "none",
        tuple(_contrast(f"mlp-{neuron}-wd", f"mlp-{neuron}-wd-weights", "equal") for neuron in ("stl", "lt")),
    ),
    Claim(
        "diet-over-lif",
        "Learned threshold and decay of a layer together (DIET-SNN) beat LIF",
        "DIET-SNN: Rathi and Roy, IEEE TNNLS 2023",
        "compared there with converted networks only",
        (_contrast("mlp-diet", "mlp-lif"),),
    ),
    Claim(
        "adaptive-threshold",
        "A threshold that follows the spikes, without learning, beats a fixed one",
        "LSNN: Bellec et al., NeurIPS 2018",
        "sequential MNIST above 96; no such comparison",
        (_contrast("mlp-alif", "mlp-lif"),),
    ),
)

CLAIMS: tuple[Claim, ...] = (
    *_STL_CLAIMS,
    *_LTMD_CLAIMS,
    *_PLIF_CLAIMS,
    *_TEBN_CLAIMS,
    *_RULE_CLAIMS,
    *_LOCAL_CLAIMS,
    *_CONTROLS,
)
