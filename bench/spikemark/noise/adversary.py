"""Samples changed on purpose: attacks through the surrogate gradient, before encoding, and two controls.

foolbox searches; this module gives it the network with its encoder as one differentiable function of the samples, the
mean output rates as scores. Attacks work on a copy of the network. A control of random signs tells what the same norm
does without a gradient; transferred attacks tell whether a gradient was masked rather than the network robust.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from spikemark.core.adapter import SpikingLayer
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NeuronSpec, Surrogate
from spikemark.errors import InputError
from spikemark.noise.case import Case, Perturb
from spikemark.noise.hardware import check_described
from spikemark.noise.spikes import spiking_layers

STEPS, STEP_SIZE = 10, 0.25  # of projected gradient descent; the size is a fraction of the norm
BATCH = 256
OTHER_SURROGATE, SECOND_OTHER = Surrogate("triangle", 1.0), Surrogate("atan", 2.0)


def attack(choose: Callable[[Any, float, int], tuple[Any, float]], model: Callable[[Case], nn.Module]) -> Perturb:
    """An attack of foolbox's on the network that `model` makes of the case's.

    Args:
        choose: from foolbox's attacks, the level and the number of values in a sample, the attack and its norm.
        model: a copy of the network, or of another with the same weights.
    """

    def perturb(case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
        try:
            from foolbox import attacks
            from foolbox.criteria import Misclassification
            from foolbox.models.pytorch import PyTorchModel
        except ModuleNotFoundError as error:
            raise InputError("attacks need foolbox: pip install 'spikemark[attacks]'") from error
        attacked = _Scores(model(case).eval().requires_grad_(False), case, generator)
        _check_gradient(attacked, case.inputs[:1])
        wrapped = PyTorchModel(attacked.eval(), bounds=(0, 1), device=attacked.device)
        search, norm = choose(attacks, level, case.inputs[0].numel())
        found = []
        with torch.random.fork_rng():
            torch.manual_seed(_seed(generator))
            batches = zip(case.inputs.split(BATCH), case.labels.split(BATCH), strict=True)
            for inputs, labels in batches:
                moved = inputs.to(attacked.device), labels.to(attacked.device)
                found.append(search.run(wrapped, moved[0], Misclassification(moved[1]), epsilon=norm))
        return nullcontext(replace(case, inputs=torch.cat(found).detach().to(case.inputs.device)))

    return perturb


class _Scores(nn.Module):
    """Samples ``[B, ...]`` to mean output rates ``[B, classes]``; the encoding draws the same at every call."""

    def __init__(self, model: nn.Module, case: Case, generator: torch.Generator) -> None:
        super().__init__()
        self.model = model
        self.encode_step = case.encode_step
        self.seed = _seed(generator)
        parameter = next(model.parameters(), None)
        self.device = torch.device("cpu") if parameter is None else parameter.device

    def forward(self, inputs: Tensor) -> Tensor:
        encoded = self.encode_step(inputs, torch.Generator().manual_seed(self.seed))
        outputs: Tensor = self.model(encoded.to(self.device))
        return outputs.mean(0)


def _seed(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator))


def _check_gradient(attacked: _Scores, sample: Tensor) -> None:
    with torch.enable_grad():
        scores = attacked(sample.to(attacked.device).requires_grad_())
    if not scores.requires_grad:
        raise InputError("attacks need an encoder that gradients pass, such as direct; this one draws or rounds")


def fgsm(attacks: Any, level: float, size: int) -> tuple[Any, float]:
    """One step of the gradient's sign, `level` in the largest norm."""
    return attacks.LinfFastGradientAttack(random_start=False), level


def pgd_linf(attacks: Any, level: float, size: int) -> tuple[Any, float]:
    """10 steps from a random start, within `level` in the largest norm."""
    return attacks.LinfPGD(steps=STEPS, rel_stepsize=STEP_SIZE, random_start=True), level


def pgd_l2(attacks: Any, level: float, size: int) -> tuple[Any, float]:
    """10 steps from a random start; `level` is the root mean square of the change, ``level * sqrt(size)`` its norm."""
    return attacks.L2PGD(steps=STEPS, rel_stepsize=STEP_SIZE, random_start=True), level * size**0.5


def random_sign(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Move every value by `level`, up or down with equal chance: the largest norm of `fgsm` without its gradient."""
    return inputs + level * (1.0 - 2.0 * torch.randint(2, inputs.shape, generator=generator))


def itself(case: Case) -> nn.Module:
    """A copy of the network."""
    return copy.deepcopy(case.model)


def other_framework(case: Case) -> nn.Module:
    """The same network with the neurons of another framework: the reference, or snnTorch for the reference's own.

    Raises:
        InputError: the case has no adapter.
        spikemark.core.adapter.MissingFramework: snnTorch is not installed.
    """
    name = "snntorch" if _adapter(case).name == "reference" else "reference"
    return _with_neurons(case, name, lambda spec: spec)


def other_surrogate(case: Case) -> nn.Module:
    """The same network with another surrogate gradient: the triangle, or atan where the triangle is its own. Ours.

    Raises:
        InputError: the case has no adapter.
    """

    def changed(spec: NeuronSpec) -> NeuronSpec:
        other = SECOND_OTHER if spec.surrogate.name == OTHER_SURROGATE.name else OTHER_SURROGATE
        return replace(spec, surrogate=other)

    return _with_neurons(case, _adapter(case).name, changed)


def _adapter(case: Case) -> Any:
    if case.adapter is None:
        raise InputError("transferred attacks build new neurons: the robustness measure needs the adapter")
    return case.adapter


def _with_neurons(case: Case, framework: str, change: Callable[[NeuronSpec], NeuronSpec]) -> nn.Module:
    """A copy of the network whose spiking layers are built anew, with the trained thresholds and decays."""
    adapter = get_adapter(framework)
    model = copy.deepcopy(case.model)
    spiking_layers(model)
    named = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, SpikingLayer)]
    for name, layer in named:
        check_described(_adapter(case), layer)
        new = adapter.neuron(change(layer.spec), layer.shape)
        with torch.no_grad():
            for parameter in ("threshold", "decay"):
                new.get_parameter_or_buffer(parameter).copy_(layer.get_parameter_or_buffer(parameter).cpu())
        model.set_submodule(name, new.to(layer.get_parameter_or_buffer("threshold").device))
    return model
