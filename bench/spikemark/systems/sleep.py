"""The rows of `SYSTEMS` for the sleep paper; plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from spikemark.systems.system import Optimizer, System

SOURCE = "Massey, Hubin, Nichele and Sæbø 2026 (arXiv 2601.08447)"


def _recurrent(note: str, **options: Any) -> System:
    source = f"{SOURCE}; recurrent network, {note}"
    return System("adapting-lif", "sleep-stdp", source, normalization="none", rule="sleep-stdp", rule_options=options)


def _surrogate(fraction: float) -> System:
    return System(
        "lif-soft",
        "resized-mlp",
        f"{SOURCE}; comparison network 225-1000-10, sleeps a training step: {fraction:g}",
        normalization="none",
        loss="cross-entropy-rate",
        optimizer=Optimizer(learning_rate=5e-4, schedule="constant"),
        decay=0.95,
        rule="bptt+sleep",
        rule_options={"fraction": fraction},
    )


FRACTIONS = (0.0, 0.1, 0.2, 0.3, 1.0)
SURROGATE_FRACTIONS = (0.0, 0.1, 0.2)

SLEEP_ROWS: Mapping[str, System] = MappingProxyType(
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
)
