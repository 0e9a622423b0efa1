"""What LTMD claims."""

from __future__ import annotations

from spikemark.core.claims import Claim, contrast

_LTMD = "LTMD: Wang, Cheng and Lim, NeurIPS 2022"


CLAIMS = (
    Claim(
        "lt-over-lif",
        "One learned threshold per layer beats a fixed one",
        _LTMD,
        "MNIST 99.53 to 99.57, CIFAR-10 92.88 to 93.51",
        (contrast("mlp-ltmd-lt", "mlp-ltmd-lif"), contrast("mlp-lt", "mlp-lt-sl")),
    ),
    Claim(
        "ltmd-over-lt",
        "Moderate dropout with lateral interaction adds to learned thresholds",
        _LTMD,
        "MNIST 99.57 to 99.60, CIFAR-10 93.51 to 93.75",
        (contrast("mlp-ltmd", "mlp-ltmd-lt"),),
    ),
    Claim(
        "ltmd-cost",
        "Learned thresholds cost some additions and little training time",
        _LTMD,
        "additions +9.14 % (LT), +7.99 % (LTMD); training time +3.35 %, +5.61 %",
        (
            contrast("mlp-ltmd-lt", "mlp-ltmd-lif", "higher", "additions", 1),
            contrast("mlp-ltmd", "mlp-ltmd-lif", "higher", "additions", 1),
            contrast("mlp-ltmd-lt", "mlp-ltmd-lif", "equal", "seconds per epoch", 10),
            contrast("mlp-ltmd", "mlp-ltmd-lif", "equal", "seconds per epoch", 10),
        ),
    ),
    Claim(
        "lateral-noise",
        "Lateral interaction in the output layers makes a network more robust to noise",
        _LTMD,
        "at noise 0.1 to 0.5: 90.60, 82.33, 75.76, 54.16, 31.56 become 96.54, 92.10, 83.61, 69.05, 35.79",
        (contrast("mlp-ltmd-lif-lateral", "mlp-ltmd-lif", quantity="noisy accuracy"),),
    ),
)
