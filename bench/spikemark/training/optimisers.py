"""What a rule moves, with which step size, and the torch optimiser that does it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from spikemark.core.adapter import neurons_of
from spikemark.errors import InputError
from spikemark.training.bptt import Trains
from spikemark.training.rule import Optimizer

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
        InputError: nothing is left to train.
    """
    kinds: dict[int, str] = {}
    for neurons in neurons_of(model):
        kinds |= {id(parameter): "neuron" for parameter in neurons.learnables().values()}
    for norm in _norms(model):
        kinds |= {id(parameter): "norm" for parameter in norm.parameters()}
        kinds[id(norm.weight)] = "gamma"
    for parameter in model.parameters():
        parameter.requires_grad_(kinds.get(id(parameter), "weight") in _TRAINED[trains])
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise InputError(f"trains: the network has no parameters of the kind {trains!r}")
    return trained


@torch.no_grad()
def scale_gains(model: nn.Module, factor: float) -> None:
    """Multiply the gains of all norms.

    Raises:
        InputError: none of them has a gain.
    """
    norms = [norm for norm in _norms(model) if norm.affine]
    if not norms:
        raise InputError("norm_gain: the network has no norms with a gain")
    for norm in norms:
        norm.weight.mul_(factor)


def _norms(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def parameter_groups(model: nn.Module, optimizer: Optimizer, trained: list[nn.Parameter]) -> list[dict[str, Any]]:
    """The trained parameters as groups of the optimiser: thresholds and decays apart where they move otherwise."""
    special: dict[str, dict[str, float]] = {"threshold": {}, "decay": {}}
    for kind, factor in (
        ("threshold", optimizer.threshold_learning_rate_factor),
        ("decay", optimizer.decay_learning_rate_factor),
    ):
        if factor != 1:
            special[kind]["lr"] = optimizer.learning_rate * factor
    if optimizer.threshold_weight_decay is not None:
        special["threshold"]["weight_decay"] = optimizer.threshold_weight_decay
    kinds = {
        id(parameter): kind
        for neurons in neurons_of(model)
        for kind, parameter in neurons.learnables().items()
        if special.get(kind)
    }
    groups: list[dict[str, Any]] = [{"params": [p for p in trained if id(p) not in kinds]}]
    for kind, options in special.items():
        groups.append({"params": [p for p in trained if kinds.get(id(p)) == kind], **options})
    return [group for group in groups if group["params"]]


@cache
def _optimizer(name: str) -> type[Any]:
    """Torch's optimiser without the wrappers around its methods, which import torch's compiler only to keep it away.

    That import takes longer than many a training; the methods are the same.
    """
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[name]
    methods = {method: inspect.unwrap(getattr(kind, method)) for method in ("add_param_group", "zero_grad", "step")}
    return type(kind.__name__, (kind,), methods | {"step": torch.no_grad()(methods["step"])})


def make_optimizer(
    optimizer: Optimizer, parameters: list[nn.Parameter] | list[dict[str, Any]], epochs: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """The torch optimiser and its schedule, to be stepped after each epoch.

    Args:
        optimizer: how parameters move.
        parameters: them, or groups of them with weight decays and learning rates of their own.
        epochs: length of the schedule.
    """
    options = {"lr": optimizer.learning_rate, "weight_decay": optimizer.weight_decay}
    if optimizer.name == "sgd":
        options["momentum"] = optimizer.momentum
    made: torch.optim.Optimizer = _optimizer(optimizer.name)(parameters, **options)
    schedules: dict[str, Callable[[], torch.optim.lr_scheduler.LRScheduler]] = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(made, factor=1.0),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(made, T_max=epochs),
        "exponential": lambda: torch.optim.lr_scheduler.ExponentialLR(made, gamma=optimizer.gamma),
    }
    return made, schedules[optimizer.schedule]()
