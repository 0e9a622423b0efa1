"""Losses on firing rates, and what a system trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikemark.adapter import SpikingLayer
from spikemark.systems import Optimizer, Trains


def mse_rate(rates: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error between rates ``[B, classes]`` and one-hot labels (as STL-SNN and PLIF train)."""
    return F.mse_loss(rates, F.one_hot(labels, rates.shape[1]).to(rates.dtype))


def cross_entropy_rate(rates: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with the rates ``[B, classes]`` as logits."""
    return F.cross_entropy(rates, labels)


LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"mse-rate": mse_rate, "cross-entropy-rate": cross_entropy_rate}
)


def select_trained(model: nn.Module, trains: Trains) -> list[nn.Parameter]:
    """Freeze what the system does not train and return the rest.

    Raises:
        ValueError: nothing is left to train.
    """
    neurons = {
        id(p) for layer in model.modules() if isinstance(layer, SpikingLayer) for p in layer.learnables().values()
    }
    norms = {
        id(p)
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for p in module.parameters()
    }
    for parameter in model.parameters():
        in_neuron, in_norm = id(parameter) in neurons, id(parameter) in norms
        parameter.requires_grad_(
            trains == "all"
            or (trains == "weights" and not in_neuron)
            or (trains == "thresholds" and in_neuron)
            or (trains == "thresholds+norm" and (in_neuron or in_norm))
        )
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError(f"nothing to train: the network has no parameters of the kind {trains!r}")
    return trained


def make_optimizer(
    optimizer: Optimizer, parameters: list[nn.Parameter], epochs: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """The torch optimiser and its schedule, stepped once an epoch."""
    made: torch.optim.Optimizer
    if optimizer.name == "adam":
        made = torch.optim.Adam(parameters, lr=optimizer.learning_rate, weight_decay=optimizer.weight_decay)
    else:
        made = torch.optim.SGD(
            parameters, lr=optimizer.learning_rate, momentum=0.9, weight_decay=optimizer.weight_decay
        )
    schedules: dict[str, Callable[[], torch.optim.lr_scheduler.LRScheduler]] = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(made, factor=1.0),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(made, T_max=epochs),
        "exponential": lambda: torch.optim.lr_scheduler.ExponentialLR(made, gamma=optimizer.gamma),
    }
    return made, schedules[optimizer.schedule]()
