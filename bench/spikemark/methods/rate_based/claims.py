"""What rate-based backpropagation claims."""

from __future__ import annotations

from spikemark.core.claims import Claim, contrast

_RATE = "Rate-based backpropagation: Yu et al., NeurIPS 2024"
_NO_FIGURES = "no figures found"


_OURS = "ours: MLP, joint batch norm; the paper trains wide convolutional networks on a GPU; learning rate tuned"
_STEPS = ("t4", "t16")
_WHERE = ("fashion-mnist",)


CLAIMS = (
    Claim(
        "rate-matches",
        "Rate-based backpropagation is as accurate as backpropagation through time",
        _RATE,
        _NO_FIGURES,
        tuple(
            contrast(f"mlp-rate-{mode}", "mlp-lif-soft", "not lower", variant=f"rate-{steps}")
            for mode in ("m", "s")
            for steps in _STEPS
        ),
        _OURS,
        _WHERE,
    ),
    Claim(
        "rate-memory",
        "Rate-based backpropagation keeps less for the backward pass",
        _RATE,
        "a figure without numbers",
        tuple(
            contrast(
                f"mlp-rate-{mode}",
                "mlp-lif-soft",
                "lower",
                "bytes saved for backward",
                10,
                f"memory-{steps}",
                not_on={"fused": "backpropagation through time saves no states there, but integrates again"},
            )
            for mode in ("m", "s")
            for steps in ("t4", "t16", "t64")
        ),
        "ours: MLP, joint batch norm; the paper trains wide convolutional networks on a GPU",
        _WHERE,
    ),
    Claim(
        "rate-time",
        "Rate-based backpropagation trains faster as steps grow",
        _RATE,
        "a figure without numbers",
        tuple(
            contrast(
                f"convnet-wide-rate-{mode}", "convnet-wide-lif-soft", "lower", "seconds per epoch", 5, f"alone-{steps}"
            )
            for mode in ("m", "s")
            for steps in ("t16", "t64")
        ),
        (
            "ours: convnet of 64 and 128 channels on a CPU, each training alone on the machine; fused kernels compute "
            "backpropagation through time, torch's operators the eligibilities"
        ),
        _WHERE,
    ),
)
