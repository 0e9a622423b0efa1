"""Losses of time-based training: a value, and for each output spike the derivative of the loss by its time.

A loss on spikes s becomes one on times by a change of sign, ``g = -dL/ds``: a spike that comes earlier stands for more
spikes. Values and gradients are sums over the batch, as the paper's. Counts are clipped towards the target first, so a
label that fires more often than desired, or another that fires less often than tolerated, is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

_SILENT_CE = -20.0
_SILENT_TTFS = -3.0
_SILENT_TTFS0 = -20.0


@dataclass(frozen=True)
class Targets:
    """What the outputs should do.

    Attributes:
        desired: spikes of the label's neuron.
        undesired: spikes of every other one.
        tau_s: of the kernel loss, in steps.
    """

    desired: float = 5.0
    undesired: float = 1.0
    tau_s: float = 3.0


TimeLoss = Callable[[Tensor, Tensor, Targets], tuple[Tensor, Tensor]]
"""From spikes ``[T, B, C]`` 0/1 and labels ``[B]`` to the summed loss and the gradient by spike times ``[T, B, C]``."""


def _excess(spikes: Tensor, labels: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Clipped counts less their targets, and the weights kappa; both ``[B, C]``."""
    counts = spikes.sum(0)
    label = F.one_hot(labels, counts.shape[1]).bool()
    wanted = torch.where(label, targets.desired, targets.undesired).to(counts.dtype)
    clipped = torch.where(label, counts.minimum(wanted), counts.maximum(wanted))
    ratio = clipped[~label].sum() / clipped[label].sum().clamp(min=1)
    kappa = torch.where(label, (ratio / 10).clamp(min=1), torch.ones_like(counts))
    return clipped - wanted, kappa


def _value(excess: Tensor, steps: int) -> Tensor:
    return excess.square().sum() / (2 * steps)


def count(spikes: Tensor, labels: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Squared error of counts: each spike of neuron i gets ``-kappa_i (n_i - target_i) / T``."""
    excess, kappa = _excess(spikes, labels, targets)
    return _value(excess, len(spikes)), spikes * (-kappa * excess / len(spikes))


def count_plus(spikes: Tensor, labels: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Enhanced counting: `count`'s gradient shared among the neuron's spikes, ``/ n_i``."""
    value, gradient = count(spikes, labels, targets)
    return value, gradient / spikes.sum(0).clamp(min=1)


def count_zero(spikes: Tensor, labels: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """`count_plus` less its mean over all output spikes of the batch: no overall push, as an ablation."""
    value, gradient = count_plus(spikes, labels, targets)
    return value, spikes * (gradient - gradient.sum() / spikes.sum().clamp(min=1))


def kernel(spikes: Tensor, labels: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Half the squared distance of exponentially filtered trains (van Rossum 2001) to a target train.

    The label's train has a spike in every step but the first where T < 20, else in every second one; others are silent.
    """
    keep = 1 - 1 / targets.tau_s
    wanted = torch.zeros_like(spikes)
    train = wanted.new_tensor([0.0] + [1.0] * (len(spikes) - 1))
    if len(spikes) >= 20:
        train[::2] = 0.0
    wanted[:, torch.arange(len(labels)), labels] = train.unsqueeze(1)
    trace, filtered = torch.zeros_like(spikes[0]), []
    for difference in spikes - wanted:
        trace = trace * keep + difference
        filtered.append(trace / targets.tau_s)
    errors = torch.stack(filtered)
    carried, gradient = torch.zeros_like(trace), torch.empty_like(spikes)
    for t in range(len(spikes) - 1, -1, -1):
        carried = carried * keep + errors[t] / targets.tau_s
        gradient[t] = -carried
    return errors.square().sum() / 2, gradient * spikes


def tet(spikes: Tensor, labels: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Cross-entropy of every step's spikes (TET: Deng et al., ICLR 2022), summed over steps."""
    chance = spikes.softmax(2)
    label = F.one_hot(labels, spikes.shape[2]).to(spikes.dtype)
    value = -(spikes.log_softmax(2) * label).sum()
    return value, (label - chance) * spikes


def cross_entropy_plus(spikes: Tensor, labels: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Cross-entropy of counts shared among spikes: logits ``2 n / T`` (-20 for silence), loss ``T / 2 * CE``.

    A sample whose label is silent is left out.
    """
    counts, steps = spikes.sum(0), len(spikes)
    logits = torch.where(counts > 0, 2 * counts / steps, _SILENT_CE)
    label = F.one_hot(labels, counts.shape[1]).to(counts.dtype)
    heard = (counts * label).sum(1, keepdim=True) > 0
    value = -(steps / 2) * (logits.log_softmax(1) * label * heard).sum()
    gradient = (label - logits.softmax(1)) * heard / counts.clamp(min=1)
    return value, gradient * spikes


def _ttfs(spikes: Tensor, labels: Tensor, silent: float) -> tuple[Tensor, Tensor]:
    steps, fired = len(spikes), spikes.sum(0) > 0
    first = spikes.argmax(0)
    logits = torch.where(fired, 1 - first.to(spikes.dtype) / steps, silent)
    label = F.one_hot(labels, logits.shape[1]).to(spikes.dtype)
    value = -steps * (logits.log_softmax(1) * label).sum()
    # d logit / d time is -1 / T, and the loss is T times the cross-entropy.
    by_time = label - logits.softmax(1)
    at_first = F.one_hot(first, steps).movedim(-1, 0).to(spikes.dtype) * fired
    return value, at_first * by_time


def ttfs(spikes: Tensor, labels: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """Time to first spike: logits ``1 - t / T``, -3 for silence; loss ``T * CE``; only first spikes move."""
    return _ttfs(spikes, labels, _SILENT_TTFS)


def ttfs_zero(spikes: Tensor, labels: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """`ttfs` with -20 for silence."""
    return _ttfs(spikes, labels, _SILENT_TTFS0)


TIME_LOSSES: Mapping[str, TimeLoss] = MappingProxyType(
    {
        "count": count,
        "count+": count_plus,
        "count0": count_zero,
        "kernel": kernel,
        "TET": tet,
        "CE+": cross_entropy_plus,
        "TTFS": ttfs,
        "TTFS0": ttfs_zero,
    }
)
