"""The systems of the sleep paper: its recurrent network, and its comparison network with surrogate gradients."""

from __future__ import annotations

from typing import Any

from spikemark.methods.sleep.options import BpttSleep, SleepStdp
from spikemark.training.rule import Optimizer
from spikemark.training.system import System

SOURCE = "Massey, Hubin, Nichele and Sæbø 2026 (arXiv 2601.08447)"


def _recurrent(note: str, **options: Any) -> System:
    return System(
        "adapting-lif", "sleep-stdp", SleepStdp(**options), "none", source=f"{SOURCE}; recurrent network, {note}"
    )


def _surrogate(fraction: float, **options: Any) -> System:
    rule = BpttSleep(
        fraction=fraction,
        **options,
        loss="cross-entropy-rate",
        optimizer=Optimizer(learning_rate=5e-4, schedule="constant"),
    )
    return System(
        "lif-soft",
        "resized-mlp",
        rule,
        "none",
        decay=0.95,
        source=f"{SOURCE}; comparison network 225-1000-10, {fraction:g} sleeps per training step",
    )


FRACTIONS = (0.0, 0.1, 0.2, 0.3, 1.0)
SURROGATE_FRACTIONS = (0.0, 0.1, 0.2)

SYSTEMS = (
    {f"sleep-stdp-{p:g}": _recurrent(f"classical sign, sleep {p:g}", fraction=p) for p in FRACTIONS}
    | {
        f"sleep-reversed-{p:g}": _recurrent(f"sign as in the published code, sleep {p:g}", fraction=p, sign="reversed")
        for p in FRACTIONS
    }
    | {
        f"sleep-capped-{p:g}": _recurrent(
            f"as published: reversed sign, sleeps of at most 10,000 steps, sleep {p:g}",
            fraction=p,
            sign="reversed",
            cap=10_000,
        )
        for p in (0.3, 1.0)
    }
    | {f"sg-sleep-{p:g}": _surrogate(p) for p in SURROGATE_FRACTIONS}
    | {f"sg-sleep-{p:g}-strong": _surrogate(p, decay=0.9) for p in SURROGATE_FRACTIONS if p}
)
