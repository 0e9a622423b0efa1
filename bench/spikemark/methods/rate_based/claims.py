"""What rate-based backpropagation claims."""

from __future__ import annotations

from spikemark.core.claims import Claim, contrast

_RATE = "Rate-based backpropagation: Yu et al., NeurIPS 2024"
_NO_FIGURES = "no figures found"


CLAIMS = (
    Claim(
        "rate-matches",
        "Rate-based backpropagation is as accurate as backpropagation through time",
        _RATE,
        _NO_FIGURES,
        tuple(
            contrast(f"mlp-rate-{mode}", "mlp-lif-soft", "not lower", variant=steps)
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
            contrast(f"mlp-rate-{mode}", "mlp-lif-soft", "lower", "bytes saved for backward", 10, variant=steps)
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
            contrast(f"mlp-rate-{mode}", "mlp-lif-soft", "lower", "seconds per epoch", 5, variant=steps)
            for mode in ("m", "s")
            for steps in ("t8", "t32")
        ),
    ),
)
