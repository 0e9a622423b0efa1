"""What the sleep paper claims, and a control."""

from __future__ import annotations

from spikemark.core.claims import Claim, contrast

_SLEEP = "Massey, Hubin, Nichele and Sæbø 2026 (arXiv 2601.08447)"
_OURS = "Ours: a control"


CLAIMS = (
    Claim(
        "sleep-helps-stdp",
        "Sleep for 10 to 20 % of the time helps the recurrent STDP network (with the sign of the published code)",
        _SLEEP,
        "means of 5 seeds at sleep 0, 10, 20 %: MNIST 42.5, 71.5, 73.3; Fashion-MNIST 25.6, 56.5, 55.3",
        tuple(contrast(f"sleep-reversed-{p}", "sleep-reversed-0", variant="sleep") for p in ("0.1", "0.2")),
    ),
    Claim(
        "sleep-classical",
        "Sleep helps the recurrent network with the classical sign of STDP, too",
        _OURS,
        "none: the published code has the other sign",
        (contrast("sleep-stdp-0.1", "sleep-stdp-0", variant="sleep"),),
    ),
    Claim(
        "sleep-surrogate",
        "Sleep does nothing for a network trained with surrogate gradients",
        _SLEEP,
        "means of 5 seeds at sleep 0, 10, 20 %: MNIST 92.9, 93.1, 93.2; Fashion-MNIST 70.5, 70.3, 70.3",
        tuple(contrast(f"sg-sleep-{p}", "sg-sleep-0", "equal", margin=1, variant="sg") for p in ("0.1", "0.2")),
    ),
)
