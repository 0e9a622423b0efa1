"""A user's module in the form that everything else knows: ``[T, B, *shape]`` to scores ``[T, B, classes]``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from spikemark.core.streams import stream_seed
from spikemark.errors import InputError
from spikemark.networks.dropout import Masked
from spikemark.networks.stages import Foreign

if TYPE_CHECKING:
    from spikemark.models.model import Layout


class BuiltModel(Masked, Foreign):
    """A module of a user's own.

    Whatever it draws in training comes from the stream that `Masked` has, not from torch's global generator.

    Args:
        name: of the model, for messages.
        module: takes inputs in `layout`; gives scores ``[B, classes]``, ``[T, B, classes]`` or ``[B, T, classes]``, or
            a tuple that begins with them.
        layout: see `spikemark.models.model.Model`.
        classes: number of classes.

    Raises:
        InputError: `module` is none.
    """

    def __init__(self, name: str, module: nn.Module, layout: Layout, classes: int) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise InputError(f"model {name!r}: build gave a {type(module).__name__}; expected a torch module")
        self.name, self.layout, self.classes = name, layout, classes
        self.held_input = layout == "B"
        self.module = module
        self._batch_first: bool | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores ``[T, B, classes]`` of inputs ``[T, B, *shape]``; T is 1 where the model gives one score per sample.

        Raises:
            InputError: the model gives something else, or keeps its own loop over time and the inputs change in it.
        """
        with self._named_draws(inputs.device) if self.training else nullcontext():
            scores = self.module(self._arranged(inputs))
        if isinstance(scores, tuple) and scores:
            scores = scores[0]
        if not isinstance(scores, Tensor):
            raise InputError(f"model {self.name!r}: gave a {type(scores).__name__}; expected {self._expected('B')}")
        return self._time_first(scores, inputs.shape[1])

    def _arranged(self, inputs: Tensor) -> Tensor:
        match self.layout:
            case "TB":
                return inputs
            case "BT":
                return inputs.transpose(0, 1)
            case "B":
                if inputs.stride(0) != 0 and bool((inputs[1:] != inputs[0]).any()):
                    raise InputError(
                        f"model {self.name!r}: it keeps its own loop over time (layout 'B') and takes samples that do "
                        "not change in it; use the encoder 'direct'"
                    )
                return inputs[0]

    def _time_first(self, scores: Tensor, batch: int) -> Tensor:
        if scores.dim() == 2 and scores.shape == (batch, self.classes):
            return scores[None]
        if scores.dim() != 3 or batch not in scores.shape[:2] or scores.shape[2] != self.classes:
            raise InputError(
                f"model {self.name!r}: gave scores of shape {list(scores.shape)}; expected {self._expected(batch)}"
            )
        first, second = scores.shape[0] == batch, scores.shape[1] == batch
        if first != second:
            self._batch_first = first
        elif self._batch_first is None:  # as many steps as samples: the order that the input has
            self._batch_first = self.layout == "BT"
        return scores.transpose(0, 1) if self._batch_first else scores

    def _expected(self, batch: int | str) -> str:
        classes = self.classes
        return f"scores [{batch}, {classes}], [T, {batch}, {classes}] or [{batch}, T, {classes}], or a tuple of them"

    @contextmanager
    def _named_draws(self, device: torch.device) -> Iterator[None]:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(stream_seed(*self.stream, self._draws))
            self._draws += 1
            yield
