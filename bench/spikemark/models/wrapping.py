"""A user's module in the form that everything else knows: ``[T, B, *shape]`` to scores ``[T, B, classes]``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from spikemark.core.foreign import Declared, Declares, declared_classes, first_tensor, hands_states_on, reset_states
from spikemark.core.streams import stream_seed
from spikemark.errors import InputError
from spikemark.networks.dropout import Masked
from spikemark.networks.stages import Foreign

if TYPE_CHECKING:
    from spikemark.models.model import Layout

Output = Callable[[Any], Tensor]
"""From what a model gives to scores ``[B, classes]``."""


class BuiltModel(Masked, Foreign, Declares):
    """A module of a user's own; every call begins from its first state.

    Whatever it draws in training comes from the stream that `Masked` has, not from torch's global generator.

    Args:
        name: of the model, for messages.
        module: takes inputs in `layout`; gives scores ``[B, classes]``, ``[T, B, classes]`` or ``[B, T, classes]``, or
            a tuple that begins with them, unless `output` says what it gives.
        layout: see `spikemark.models.model.Model`.
        classes: number of classes; None for whatever the module gives.
        output: from what the module gives to scores ``[B, classes]``.
        reset: a function of the module that forgets earlier calls; modules of known frameworks need none.
        neurons: classes of neurons that are not known, see `spikemark.count_operations`.

    Raises:
        InputError: `module` is none, or `neurons` is wrong.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        layout: Layout,
        classes: int | None,
        *,
        output: Output | None = None,
        reset: Callable[[Any], object] | None = None,
        neurons: Declared = (),
    ) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise InputError(f"model {name!r}: build gave a {type(module).__name__}; expected a torch module")
        self.name, self.layout, self.classes, self.output, self.reset = name, layout, classes, output, reset
        self.declared_neurons = declared_classes(neurons)
        self.held_input = layout == "B"
        self.module = module
        self._batch_first: bool | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores ``[T, B, classes]`` of inputs ``[T, B, *shape]``; T is 1 where the model gives one score per sample.

        Raises:
            InputError: the model gives something else, or keeps its own loop over time and the inputs change in it.
        """
        reset_states(self.module, self.reset)
        with self._named_draws(inputs.device) if self.training else nullcontext():
            if self.layout == "step":
                return self._by_step(inputs)
            given = self.module(self._arranged(inputs))
        return self._scores(given, inputs.shape[1])

    def _by_step(self, inputs: Tensor) -> Tensor:
        """Scores of a module that is called once per step; see `Adapter.hands_states_on`."""
        handed_on = hands_states_on(self.module)
        state: tuple[Any, ...] = ()
        scores = []
        for step in inputs:
            given = self.module(step, *state)
            scores.append(self._scores(given, inputs.shape[1]))
            if handed_on:
                if not isinstance(given, tuple) or len(given) != 2:
                    raise InputError(
                        f"model {self.name!r}: its neurons hand their states on, so in layout 'step' it must take "
                        "(input, state) and give (scores, state)"
                    )
                state = given[1:]
        if any(len(part) > 1 for part in scores):
            raise InputError(f"model {self.name!r}: gave several steps in one call; layout 'step' asks for one")
        return torch.cat(scores)

    def _scores(self, given: Any, batch: int) -> Tensor:
        if self.output is not None:
            return self._as_told(self.output(given), batch)
        scores = first_tensor(given)
        if scores is None:
            found = type(given).__name__
            raise InputError(f"model {self.name!r}: gave a {found}; expected {self._expected('B')}")
        return self._time_first(scores, batch)

    def _arranged(self, inputs: Tensor) -> Tensor:
        if self.layout == "TB":
            return inputs
        if self.layout == "BT":
            return inputs.transpose(0, 1)
        if inputs.stride(0) != 0 and bool((inputs[1:] != inputs[0]).any()):
            raise InputError(
                f"model {self.name!r}: it keeps its own loop over time (layout 'B') and takes samples that do not "
                "change in it; use the encoder 'direct'"
            )
        return inputs[0]

    def _as_told(self, scores: Any, batch: int) -> Tensor:
        if not isinstance(scores, Tensor) or scores.dim() != 2 or not self._fits(scores, batch):
            found = f"shape {list(scores.shape)}" if isinstance(scores, Tensor) else f"type {type(scores).__name__}"
            wanted = f"[{batch}, {self.classes or 'classes'}]"
            raise InputError(f"model {self.name!r}: output= gave scores of {found}; expected {wanted}")
        return scores[None]

    def _fits(self, scores: Tensor, batch: int) -> bool:
        return batch in scores.shape[:-1] and self.classes in (None, scores.shape[-1])

    def _time_first(self, scores: Tensor, batch: int) -> Tensor:
        fits = scores.dim() in (2, 3) and self._fits(scores, batch)
        if not fits:
            raise InputError(
                f"model {self.name!r}: gave scores of shape {list(scores.shape)}; expected {self._expected(batch)}"
            )
        if scores.dim() == 2:
            return scores[None]
        first, second = scores.shape[0] == batch, scores.shape[1] == batch
        if first != second:
            self._batch_first = first
        elif self._batch_first is None:  # as many steps as samples: the order that the input has
            self._batch_first = self.layout == "BT"
        return scores.transpose(0, 1) if self._batch_first else scores

    def _expected(self, batch: int | str) -> str:
        classes = self.classes or "classes"
        known = f"scores [{batch}, {classes}], [T, {batch}, {classes}] or [{batch}, T, {classes}], or a tuple of them"
        return f"{known}; of anything else output= makes scores"

    @contextmanager
    def _named_draws(self, device: torch.device) -> Iterator[None]:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(stream_seed(*self.stream, self._draws))
            self._draws += 1
            yield
