"""What time-based training claims."""

from __future__ import annotations

from spikemark.core.claims import Claim, contrast

_TIME = "Time-based training: Zhu et al., NeurIPS 2023"
_NO_FIGURES = "no figures found"


CLAIMS = (
    Claim(
        "enhanced-counting",
        "The enhanced counting loss beats the counting loss",
        _TIME,
        _NO_FIGURES,
        (
            contrast("time-count+", "time-count", variant="time"),
            contrast("time-count+", "time-count0", variant="time"),
        ),
    ),
    Claim(
        "threshold-transfer",
        "Moving the weights' scale into the threshold helps time-based training",
        _TIME,
        _NO_FIGURES,
        (contrast("time-count+", "time-nonorm", variant="time"),),
    ),
)
