"""Losses on mean scores, and what a system trains with which step size.

Scores ``[readings * B, classes]`` may hold several readings of each sample, one after the other (see
`spikemark.networks.SpikingNetwork`); labels stay ``[B]``. The loss is then the mean over all readings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikemark.networks import neurons_of
from spikemark.systems import Optimizer, Trains


def mse_rate(rates: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error between rates ``[B, classes]`` and one-hot labels (as STL-SNN and PLIF train)."""
    return F.mse_loss(rates, F.one_hot(_for_readings(labels, rates), rates.shape[1]).to(rates.dtype))


def cross_entropy_rate(rates: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with the rates ``[B, classes]`` as logits."""
    return F.cross_entropy(rates, _for_readings(labels, rates))


def _for_readings(labels: Tensor, scores: Tensor) -> Tensor:
    readings, left = divmod(len(scores), len(labels))
    if left:
        raise ValueError(f"{len(scores)} rows of scores are no whole number of readings of {len(labels)} samples")
    return labels.repeat(readings)


def disagreement(readings: Tensor) -> Tensor:
    """Symmetric Kullback-Leibler divergence of two readings ``[2, B, classes]``, softmaxed: LTMD's consistency loss.

    ``(mean(p2 log(p2 / p1)) + mean(p1 log(p1 / p2))) / 2``, means over samples and classes, as the authors' code.
    """
    first, second = F.log_softmax(readings, dim=-1).unbind()
    both: Tensor = (second.exp() - first.exp()) * (second - first)
    return 0.5 * both.mean()


LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"mse-rate": mse_rate, "cross-entropy-rate": cross_entropy_rate}
)


_TRAINED: Mapping[Trains, frozenset[str]] = MappingProxyType(
    {
        "all": frozenset({"weight", "gamma", "norm", "neuron"}),
        "weights": frozenset({"weight", "gamma", "norm"}),
        "thresholds": frozenset({"neuron"}),
        "thresholds+norm": frozenset({"neuron", "gamma", "norm"}),
        "norm": frozenset({"gamma", "norm"}),
        "gamma": frozenset({"gamma"}),
        "weights+gamma": frozenset({"weight", "gamma"}),
        "weights+thresholds": frozenset({"weight", "neuron"}),
    }
)
"""Kinds of parameters that each value of `Trains` leaves free: "norm" is all of a norm but its gains "gamma"."""


def select_trained(model: nn.Module, trains: Trains) -> list[nn.Parameter]:
    """Freeze what the system does not train and return the rest.

    Raises:
        ValueError: nothing is left to train.
    """
    kinds: dict[int, str] = {}
    for neurons in neurons_of(model):
        kinds |= {id(parameter): "neuron" for parameter in neurons.learnables().values()}
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            kinds |= {id(parameter): "norm" for parameter in module.parameters()}
            kinds[id(module.weight)] = "gamma"
    for parameter in model.parameters():
        parameter.requires_grad_(kinds.get(id(parameter), "weight") in _TRAINED[trains])
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError(f"nothing to train: the network has no parameters of the kind {trains!r}")
    return trained


def parameter_groups(model: nn.Module, optimizer: Optimizer, trained: list[nn.Parameter]) -> list[dict[str, Any]]:
    """The trained parameters as groups of the torch optimiser: thresholds apart where they move otherwise."""
    apart = optimizer.threshold_learning_rate_factor != 1 or optimizer.threshold_weight_decay is not None
    thresholds = {id(neurons.learnables().get("threshold")) for neurons in neurons_of(model) if apart}
    groups: list[dict[str, Any]] = [{"params": [p for p in trained if id(p) not in thresholds]}]
    if apart:
        decay = optimizer.threshold_weight_decay
        groups.append(
            {
                "params": [p for p in trained if id(p) in thresholds],
                "lr": optimizer.learning_rate * optimizer.threshold_learning_rate_factor,
                "weight_decay": optimizer.weight_decay if decay is None else decay,
            }
        )
    return [group for group in groups if group["params"]]


def make_optimizer(
    optimizer: Optimizer, parameters: list[nn.Parameter] | list[dict[str, Any]], epochs: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """The torch optimiser and its schedule, stepped once an epoch.

    Args:
        optimizer: how parameters move.
        parameters: them, or the groups of `parameter_groups`.
        epochs: length of the schedule.
    """
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
