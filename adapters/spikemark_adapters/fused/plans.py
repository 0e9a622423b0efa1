"""What plans for every device share: the spec, and how narrow layers are folded.

A plan is all of a call that follows from spec, shape and type; `ops` asks for one and runs it on tensors.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from spikemark.core.neurons import NeuronSpec


class Plan(Protocol):
    """A kernel and how it is called."""

    @property
    def sums(self) -> tuple[int, ...]:
        """Shape of gradients of parameters that are wanted: ``shape``, or ``[n, *shape]`` for torch to sum over n."""

    @property
    def sums_dtype(self) -> torch.dtype:
        """Type of those."""

    def run(self, *, threshold: Tensor, decay: Tensor, **tensors: Tensor) -> None:
        """Run the kernel, which writes to ``spikes`` or to ``d_currents``, ``d_threshold`` and ``d_decay``."""


def folded(batch: int, neurons: int, row: int) -> int:
    """How many samples side by side make a row of at least `row` numbers: a divisor of `batch`, at most all of it."""
    return next((n for n in range(1, batch) if batch % n == 0 and n * neurons >= row), batch)


def sums_dtype(dtype: torch.dtype) -> torch.dtype:
    """What gradients of parameters are summed in, given the type of a layer."""
    return torch.float64 if dtype == torch.float64 else torch.float32


@cache
def neuron_of(spec: str) -> NeuronSpec:
    """The spec that JSON holds."""
    return NeuronSpec.from_json(spec)
