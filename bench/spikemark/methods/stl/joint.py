"""Joint decisions: several readings of the same sample decide together.

STL-SNN names a "generalized joint decision framework" that nothing we could find defines. These are two readings of
the name, both ours: a readout learned over the populations of all layers, and a vote of members, each trained on
its own loss. Neither claims to replicate the authors' framework.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from spikemark.errors import InputError
from spikemark.networks.build import NETWORKS
from spikemark.networks.stages import MakeNeurons, MakeNorm, PopulationReadout, SpikingNetwork, Stage, over_time


class JointReadout(SpikingNetwork):
    """Every layer's spikes speak for classes: the sum of one learned linear map per layer, the output layer's included.

    Args:
        body: a network of stages; its population readout gives way to the learned one.
        classes: number of classes.
    """

    def __init__(self, body: SpikingNetwork, classes: int) -> None:
        super().__init__()
        for name, module in body.named_children():
            if not isinstance(module, PopulationReadout):
                self.add_module(name, module)
        sizes = [math.prod(module.out_shape) for module in self.children() if isinstance(module, Stage)]
        if not sizes:
            raise InputError("joint-readout: the network has no stages to read out")
        self.decisions = nn.ModuleList(nn.Linear(size, classes, bias=False) for size in sizes)

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, *input_shape]`` to ``[T, B, classes]``."""
        scores = []
        decisions = iter(self.decisions)
        for module in _body(self):
            x = module(x)
            if isinstance(module, Stage):
                scores.append(over_time(next(decisions), x.flatten(2)))
        return torch.stack(scores).sum(0)


class JointVote(SpikingNetwork):
    """The mean score of independent members.

    In training the members' scores stand one after the other along the batch, so that each has its own loss; with
    ``Bptt(readings="sum")`` each gets the very gradient that it would get alone.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, *input_shape]`` to ``[T, B, classes]``, in training to ``[T, members * B, classes]``."""
        scores = [member(x) for member in self]
        return torch.cat(scores, dim=1) if self.training else torch.stack(scores).cumsum(0)[-1] / len(scores)


def _body(network: JointReadout) -> list[nn.Module]:
    return [module for name, module in network.named_children() if name != "decisions"]


def joint_readout(
    input_shape: tuple[int, ...], classes: int, neurons: MakeNeurons, norm: MakeNorm, *, of: str, **options: Any
) -> SpikingNetwork:
    """`JointReadout` of the network `of` with the given options."""
    return JointReadout(NETWORKS[of](input_shape, classes, neurons, norm, **options), classes)


def joint_vote(
    input_shape: tuple[int, ...],
    classes: int,
    neurons: MakeNeurons,
    norm: MakeNorm,
    *,
    of: str,
    members: int = 3,
    **options: Any,
) -> SpikingNetwork:
    """`JointVote` of `members` networks `of` with the given options, alike but for their first weights."""
    vote = JointVote()
    for i in range(members):
        vote.add_module(f"member{i + 1}", NETWORKS[of](input_shape, classes, neurons, norm, **options))
    return vote
