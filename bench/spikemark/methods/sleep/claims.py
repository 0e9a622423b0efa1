"""What the sleep paper claims, and a control."""

from __future__ import annotations

from spikemark.core.claims import Claim, contrast

_SLEEP = "Massey, Hubin, Nichele and Sæbø 2026 (arXiv 2601.08447)"
_OURS = "Ours: a control"


_WHERE = ("mnist", "fashion-mnist")


CLAIMS = (
    Claim(
        "sleep-helps-stdp",
        "Sleep for 10 to 20 % of the time helps the recurrent STDP network (with the sign of the published code)",
        _SLEEP,
        "means of 5 seeds at sleep 0, 10, 20 %: MNIST 42.5, 71.5, 73.3; Fashion-MNIST 25.6, 56.5, 55.3",
        tuple(
            contrast(f"sleep-reversed-{p}", "sleep-reversed-0", margin=5, published=28, variant="sleep", collapse=True)
            for p in ("0.1", "0.2")
        ),
        "as published in length (6,000 images of 1,000 steps, 171 sleeps); the differences of docs/sleep.md remain",
        _WHERE,
    ),
    Claim(
        "sleep-surrogate",
        "Sleep does nothing for a network trained with surrogate gradients",
        _SLEEP,
        "means of 5 seeds at sleep 0, 10, 20 %: MNIST 92.9, 93.1, 93.2; Fashion-MNIST 70.5, 70.3, 70.3",
        tuple(contrast(f"sg-sleep-{p}", "sg-sleep-0", "equal", margin=1, variant="sg") for p in ("0.1", "0.2")),
        "6,000 images, 10 epochs; the published decay of weights",
        _WHERE,
    ),
    Claim(
        "sleep-surrogate-strong",
        "Nor does a sleep that shrinks weights a hundred times faster",
        _OURS,
        "none",
        tuple(contrast(f"sg-sleep-{p}-strong", "sg-sleep-0", "equal", margin=1, variant="sg") for p in ("0.1", "0.2")),
        "6,000 images, 10 epochs; weights decay by 0.9 per sleeping step instead of 0.999",
        _WHERE,
    ),
)
