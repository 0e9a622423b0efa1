"""Attacks through the surrogate gradient: foolbox searches on network and encoder as one function of the samples."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from spikemark.core.adapter import device_of
from spikemark.errors import InputError, needs
from spikemark.noise.case import Case
from spikemark.noise.targets import seed_from

BATCH = 256

Choose = Callable[[Any, float, int], tuple[Any, float]]
"""From foolbox's attacks, the level and the number of values in a sample: the attack and its norm."""


def search(
    choose: Choose, model: nn.Module, case: Case, level: float, generator: torch.Generator
) -> AbstractContextManager[Case]:
    """The case with the samples that an attack on `model` finds.

    Args:
        choose: the attack.
        model: a copy of the network, or of another with the same weights; it is changed.
        case: whose samples are attacked.
        level: of the change.
        generator: of all draws.

    Raises:
        InputError: foolbox is not installed, or no gradient passes the encoder.
    """
    with needs("attacks", "an attack"):
        from foolbox import attacks
        from foolbox.criteria import Misclassification
        from foolbox.models.pytorch import PyTorchModel
    attacked = _Scores(model.eval().requires_grad_(False), case, generator)
    _check_gradient(attacked, case.inputs[:1])
    wrapped = PyTorchModel(attacked.eval(), bounds=(0, 1), device=attacked.device)
    attack, norm = choose(attacks, level, case.inputs[0].numel())
    found = []
    with torch.random.fork_rng():
        torch.manual_seed(seed_from(generator))
        batches = zip(case.inputs.split(BATCH), case.labels.split(BATCH), strict=True)
        for inputs, labels in batches:
            moved = inputs.to(attacked.device), labels.to(attacked.device)
            found.append(attack.run(wrapped, moved[0], Misclassification(moved[1]), epsilon=norm))
    return nullcontext(replace(case, inputs=torch.cat(found).detach().to(case.inputs.device)))


class _Scores(nn.Module):
    """Samples ``[B, ...]`` to mean output rates ``[B, classes]``; the encoding draws the same at every call."""

    def __init__(self, model: nn.Module, case: Case, generator: torch.Generator) -> None:
        super().__init__()
        self.model = model
        self.encode_step = case.encode_step
        self.seed = seed_from(generator)
        self.device = device_of(model)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.model(self.encoded(inputs))
        return outputs.mean(0)

    def encoded(self, inputs: Tensor) -> Tensor:
        """The model's inputs ``[T, B, ...]``."""
        return self.encode_step(inputs, torch.Generator().manual_seed(self.seed)).to(self.device)


def _check_gradient(attacked: _Scores, sample: Tensor) -> None:
    with torch.enable_grad():
        encoded = attacked.encoded(sample.to(attacked.device).requires_grad_())
        scores = attacked.model(encoded)
    if not encoded.requires_grad:
        raise InputError("attacks need an encoder that gradients pass, such as direct; this one draws or rounds")
    if not scores.requires_grad:
        raise InputError("attacks need gradients, which this model does not pass on in evaluation mode")
