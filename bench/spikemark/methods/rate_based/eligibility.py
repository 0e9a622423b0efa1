"""How a neuron's mean rate moves with its mean current, its threshold and its decay, gathered while it runs forward.

With ``s`` the surrogate derivative ``do/du`` of step t, each path p (a constant shift of the current, the threshold,
the decay) has a derivative of the membrane ``G_p`` and of the spike ``D_p``::

    G_p[t] = a * C_p[t-1] + source_p              source: b for the current, 0 for the threshold, v[t-1] for the decay
    D_p[t] = s[t] * (G_p[t] - k_p)                (less x[t] with decay_input); k: 1 for the threshold (u / theta with
    C_p[t] = the reset's derivative               a relative surrogate), else 0
    e_p    = mean over t of D_p[t]

For the current with a subtracting, detached reset that is the published ``E[t+1] = 1 + a E[t]``, ``e = mean(s E)``. The
paths of threshold and decay are ours: the paper trains neither.

The adapter's own layer supplies spikes and surrogate: a single step from rest with the current ``u / b`` charges the
membrane to u, so its spike is that of a neuron at u, and its gradient is ``s``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spikemark.core.adapter import SpikingLayer

# Of a run that is known already: few, so that memory stays small; several, so that the adapter is not called for each.
_STEPS_AT_ONCE = 4


class Eligibility:
    """Running state and sums of one layer over the steps of one batch.

    Args:
        layer: its parameters are read once, here; paths of those that require a gradient are followed.
        like: ``[B, *shape]``, for shape and type.
    """

    def __init__(self, layer: SpikingLayer, like: Tensor) -> None:
        self._layer, self._spec = layer, layer.spec
        self._decay, self._threshold = layer.decay.detach(), layer.threshold.detach()
        self._scale = 1 - self._decay if self._spec.decay_input else None
        paths = ["current", *(name for name, raw in layer.learnables().items() if raw.requires_grad)]
        self._membrane = torch.zeros_like(like)
        # These grow to the layer's size where the reset makes them differ; else they stay one number for all neurons.
        self._carried = {path: like.new_zeros(()) for path in paths}
        self._sums = {path: torch.zeros_like(like) for path in paths}
        self._spikes = torch.zeros_like(like)
        self.steps = 0

    @property
    def rate(self) -> Tensor:
        """Mean spikes per step, ``[B, *shape]``."""
        return self._spikes / self.steps

    def of(self, path: str) -> Tensor:
        """The derivative of `rate` along "current", "threshold" or "decay", ``[B, *shape]``."""
        return self._sums[path] / self.steps

    @property
    def paths(self) -> tuple[str, ...]:
        """What is followed, "current" first."""
        return tuple(self._sums)

    def follow(self, currents: Tensor, spikes: Tensor) -> None:
        """Take in a whole run from rest, whose spikes the adapter's layer has computed: both ``[T, B, *shape]``."""
        for part, fired in zip(currents.split(_STEPS_AT_ONCE), spikes.split(_STEPS_AT_ONCE), strict=True):
            charged, before = torch.empty_like(part), []
            for x, o, u in zip(part, fired, charged, strict=True):
                before.append(self._membrane if "decay" in self._sums else x)  # read for the decay alone
                u.copy_(self._charge(x))
                self._membrane = self._reset(u, o)
            slopes = self._fire(charged)[1]
            for x, v, u, o, slope in zip(part, before, charged, fired, slopes, strict=True):
                self._gather(x, v, u, o, slope)
        self._spikes += spikes.sum(0)
        self.steps += len(spikes)

    def step(self, current: Tensor) -> Tensor:
        """One step of a run whose membrane is kept here; its spikes, like `current` ``[B, *shape]``."""
        u = self._charge(current)
        fired, slopes = self._fire(u[None])
        spikes = fired[0]
        self._gather(current, self._membrane, u, spikes, slopes[0])
        self._membrane = self._reset(u, spikes)
        self._spikes += spikes
        self.steps += 1
        return spikes

    def _charge(self, x: Tensor) -> Tensor:
        return torch.addcmul(x if self._scale is None else self._scale * x, self._decay, self._membrane)

    def _fire(self, charged: Tensor) -> tuple[Tensor, Tensor]:
        """Spike and ``do/du`` at membranes ``[T, B, *shape]``: the adapter's single step, on all steps as one batch."""
        with torch.enable_grad():
            from_rest = charged if self._scale is None else charged / self._scale
            currents = from_rest.flatten(0, 1)[None].detach().requires_grad_()
            spikes = self._layer.spikes(currents)
            (slopes,) = torch.autograd.grad(spikes, currents, torch.ones_like(spikes))
        slopes = slopes[0].view_as(charged)
        return spikes.detach()[0].view_as(charged), slopes if self._scale is None else slopes / self._scale

    def _reset(self, u: Tensor, o: Tensor) -> Tensor:
        return u * (1 - o) if self._spec.reset == "zero" else torch.addcmul(u, self._threshold, o, value=-1)

    def _gather(self, x: Tensor, before: Tensor, u: Tensor, o: Tensor, slope: Tensor) -> None:
        for path in self._sums:
            moved = self._decay * self._carried[path] + self._source(path, x, before)
            fired = slope * (moved - self._offset(u) if path == "threshold" else moved)
            self._sums[path] += fired
            self._carried[path] = self._reset_derivative(path, u, o, moved, fired)

    def _source(self, path: str, x: Tensor, before: Tensor) -> Tensor | float:
        if path == "current":
            return 1.0 if self._scale is None else self._scale
        if path == "threshold":
            return 0.0
        return before if self._scale is None else before - x

    def _offset(self, u: Tensor) -> Tensor | float:
        return u / self._threshold if self._spec.surrogate.relative else 1.0

    def _reset_derivative(self, path: str, u: Tensor, o: Tensor, moved: Tensor, fired: Tensor) -> Tensor:
        spec = self._spec
        carried = moved * (1 - o) if spec.reset == "zero" else moved
        if spec.detach_reset:
            return carried
        if spec.reset == "zero":
            return carried - u * fired
        carried = carried - self._threshold * fired
        return carried - o if path == "threshold" else carried
