"""What training did to thresholds and decays: quantiles before and after, and how many moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from spikemark.core.adapter import Neurons

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
MOVED = 0.1
"""A value has moved when it differs from its first one by more than this fraction of it."""


@dataclass(frozen=True)
class ParameterChange:
    """One kind of parameter of one layer of neurons, over a training.

    Attributes:
        layer: qualified name of the module.
        parameter: such as "threshold" or "decay"; effective values.
        count: how many values the layer holds.
        first: its `QUANTILES` before the first step.
        last: its `QUANTILES` after the last one.
        share_moved: fraction of the values that differ from the first by more than `MOVED` of it.
        share_not_positive: fraction of the last values that are 0 or less.
        late: how far the values went in the last fifth of the epochs, as a fraction of how far they went in all (means
            of absolute differences); 0 where none moved.
    """

    layer: str
    parameter: str
    count: int
    first: tuple[float, ...]
    last: tuple[float, ...]
    share_moved: float
    share_not_positive: float
    late: float


def observed(model: nn.Module) -> dict[tuple[str, str], Tensor]:
    """Copies of the effective thresholds and decays that training may move, by layer and name."""
    return {
        (name, parameter): values.detach().clone().flatten().double().cpu()
        for name, module in model.named_modules()
        if isinstance(module, Neurons)
        for parameter, values in module.observed().items()
    }


def changes(
    before: Mapping[tuple[str, str], Tensor],
    late: Mapping[tuple[str, str], Tensor],
    after: Mapping[tuple[str, str], Tensor],
) -> tuple[ParameterChange, ...]:
    """What became of every parameter of `observed`: before training, before the last fifth of its epochs, and after."""
    return tuple(_change(*key, first, late[key], after[key]) for key, first in before.items())


def _change(layer: str, parameter: str, first: Tensor, late: Tensor, last: Tensor) -> ParameterChange:
    moved = (last - first).abs() > MOVED * first.abs()
    return ParameterChange(
        layer,
        parameter,
        last.numel(),
        _quantiles(first),
        _quantiles(last),
        moved.double().mean().item(),
        (last <= 0).double().mean().item(),
        _distance(late, last) / _distance(first, last) if _distance(first, last) else 0.0,
    )


def _distance(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().mean().item()


def _quantiles(values: Tensor) -> tuple[float, ...]:
    """Six digits, by order statistics: torch's own quantile has a limit of 16 million values."""
    ordered = values.sort().values
    places = [round(q * (len(ordered) - 1)) for q in QUANTILES]
    return tuple(float(f"{ordered[place].item():.6g}") for place in places)
