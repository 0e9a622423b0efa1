"""Stages that an adapter computes as one: a norm, neurons and a pooling.

A norm takes part if it can say what it does in numbers of its channels (`ChannelNorm`). This module knows neither the
norms nor the poolings that there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from torch import Tensor, nn

Moments = Literal["joint", "step"]
"""Whose mean and variance a norm takes: those of all steps together, or those of each step."""


class ChannelNorm(ABC):
    """A norm of ``[T, B, C, ...]`` that, once moments are known, is ``gain * x + offset`` for each channel."""

    @abstractmethod
    def moments(self) -> Moments | None:
        """The moments of the currents that it takes now; None where it uses what it has gathered."""

    @abstractmethod
    def line(self, mean: Tensor | None, variance: Tensor | None, count: int, steps: int) -> tuple[Tensor, Tensor]:
        """Gains and offsets; in training, running statistics are brought up to date.

        Args:
            mean: of each channel, ``[1, C]`` or, of each step, ``[T, C]``; None where `moments` is.
            variance: likewise, biased.
            count: how many values each of these was taken from.
            steps: T.

        Returns:
            Both ``[1, C]``, the same at every step, or ``[T, C]``.

        Raises:
            spikemark.errors.InputError: the norm was made for another number of steps.
        """


def has_line(norm: nn.Module) -> bool:
    """Whether a module is a `ChannelNorm` whose line says what its ``forward`` does.

    A class that overrides one without the other does something else than the line says.
    """
    order = type(norm).__mro__
    said = [at for at, kind in enumerate(order) if {"moments", "line"} & vars(kind).keys()]
    done = [at for at, kind in enumerate(order) if "forward" in vars(kind)]
    return isinstance(norm, ChannelNorm) and said[0] <= done[0]


class StageForm(ABC):
    """A norm, neurons and a pooling computed as one.

    Attributes:
        parts: what it computes, in words, for records.
        channels_last: whether convolutions before it gain from weights whose channels lie side by side, since it
            takes currents in that order as they are and gives spikes in it.
        devices: types of the devices on which it does.
    """

    parts: tuple[str, ...]
    channels_last: bool
    devices: tuple[str, ...]

    @abstractmethod
    def __call__(
        self, currents: Tensor, steps: int, norm: nn.Module, neurons: nn.Module, pool: nn.Module | None
    ) -> Tensor | None:
        """Spikes of the stage, those of its modules called one after the other.

        Args:
            currents: ``[T, B, ...]``, or ``[1, B, ...]`` where they are the same at every step.
            steps: T.
            norm: the stage's.
            neurons: the stage's.
            pool: the stage's, or None.

        Returns:
            The spikes; None where these currents have to go through the modules.
        """
