"""LTMD's layer of graded spikes with lateral interaction ("LIFOutSpike"): ours to compute, in every framework alike.

Its output is no 0/1 spike, so no `NeuronSpec` describes it and no adapter computes it.
Equations after the authors' code (Wang, Cheng and Lim, NeurIPS 2022, github.com/sq117/LTMD)::

    c[t] = I[t] + K * I[t]                  K: a kernel over neighbouring neurons, the lateral interaction
    u[t] = a * u[t-1] * (1 - [o[t-1] > theta]) + c[t]
    o[t] = u[t] * [u[t] > theta]            theta = tanh(k)
    do/du := 1 where u >= theta - 1/2, else 0
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Neurons
from spikemark.networks.stages import over_time

DECAY = 0.25
FIRST_K = 0.5
HALF_WIDTH = 0.5


class GradedNeurons(Neurons):
    """Neurons that give their membrane potential when it exceeds the threshold.

    In the authors' code no gradient reaches ``k``, which stays at its first value: of LTMD's 102 thresholds 100 learn.

    Args:
        learn_threshold: give ``k`` a gradient (ours): ``do/dtheta := -u`` where ``|u - theta| < 1/2``, the rectangle
            of LTMD's hidden layers.
    """

    def __init__(self, *, learn_threshold: bool = False) -> None:
        super().__init__()
        self.learn_threshold = learn_threshold
        self.raw_threshold = nn.Parameter(torch.tensor(FIRST_K))

    @property
    def threshold(self) -> Tensor:
        """Effective threshold, a scalar."""
        return torch.tanh(self.raw_threshold)

    def learnables(self) -> dict[str, nn.Parameter]:
        """See `Neurons.learnables`."""
        return {"threshold": self.raw_threshold}

    def observed(self) -> dict[str, Tensor]:
        """See `Neurons.observed`."""
        return {"threshold": self.threshold}

    def forward(self, currents: Tensor) -> Tensor:
        """``[T, B, N]`` to graded spikes of the same shape."""
        theta = self.threshold if self.learn_threshold else self.threshold.detach()
        u = torch.zeros_like(currents[0])
        o = torch.zeros_like(u)
        out = []
        for current in currents:
            u = DECAY * u * (o <= theta) + current
            o = self._fire(u, theta)
            out.append(o)
        return torch.stack(out)

    def _fire(self, u: Tensor, theta: Tensor) -> Tensor:
        fired = (u > theta).to(u.dtype)
        passes = (u >= theta - HALF_WIDTH).to(u.dtype)
        o = (u * fired).detach() + passes * (u - u.detach())
        if self.learn_threshold:
            near = ((u - theta).abs() < HALF_WIDTH).to(u.dtype)
            o = o - (near * u).detach() * (theta - theta.detach())
        return o


class GradedStage(nn.Module):
    """A fully connected layer, lateral interaction if wanted, and graded neurons.

    Args:
        fan_in: number of inputs.
        width: number of neurons.
        lateral: size of the kernel K over neighbours, odd; 0 for none.
        learn_threshold: see `GradedNeurons`.
    """

    def __init__(self, fan_in: int, width: int, *, lateral: int = 5, learn_threshold: bool = False) -> None:
        super().__init__()
        self.synapses = nn.Linear(fan_in, width)
        self.lateral = nn.Conv1d(1, 1, lateral, padding=lateral // 2, bias=False) if lateral else None
        self.neurons = GradedNeurons(learn_threshold=learn_threshold)

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, fan_in]`` to ``[T, B, width]``."""
        currents = over_time(self.synapses, x)
        if self.lateral is not None:
            currents = currents + over_time(self.lateral, currents.unsqueeze(2)).squeeze(2)
        graded: Tensor = self.neurons(currents)
        return graded
