"""The neuron: charged through a double-exponential kernel, forgetting everything when it fires, trained by spike times.

With the keeping factors ``k_m = 1 - 1/tau_m``, ``k_s = 1 - 1/tau_s`` and the last spike at ``t'``::

    u[t] = sum over q in t'+1..t of x[q] * eps(t - q)
    eps(d) = (k_m ** (d + 1) - k_s ** (d + 1)) * tau_m / (tau_m - tau_s)
    o[t] = 1 where u[t] >= theta

The gradient that travels backwards is that of the loss by the *times* of spikes, and only spikes carry it: ``g[t]`` at
a spike becomes ``g[t] * clamp(-1 / du[t], -4, 0) * eps(t - q)`` for the current that arrived at q, as far as weights
are concerned, and ``-g[t] * min(-1 / dv[t], 0) * eps'(t - q)`` as far as the times of the input's spikes are. ``du`` is
the membrane's rise in the step of the spike. The "exponential" gradient replaces the kernel's slope by
``k_g ** (d + 1)``, which never changes its sign, and dv by the sum of the currents under that kernel; the "original"
one keeps ``eps(d) - eps(d - 1)`` and ``dv = du``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from spikemark.core.adapter import SpikingNeurons
from spikemark.core.options import checked

SlopeKind = Literal["exponential", "original"]
WEIGHT_SLOPE_FLOOR = -4.0
FORCED_RISE = 0.05


@checked
class Kernel:
    """Time constants, in steps.

    Attributes:
        tau_m: of the membrane; above `tau_s`.
        tau_s: of the synapse; at least 1.
        tau_grad: of the "exponential" gradient; at least 1.
        slope: which derivative of the kernel the times of spikes use.

    Raises:
        InputError: a constant out of its range; the message names it.
    """

    tau_m: float = 5.0
    tau_s: Annotated[float, Field(ge=1)] = 3.0
    tau_grad: Annotated[float, Field(ge=1)] = 2.5
    slope: SlopeKind = "exponential"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.tau_m > self.tau_s:
            raise ValueError(f"tau_m: {self.tau_m} is not above tau_s = {self.tau_s}")
        return self

    @property
    def keep_m(self) -> float:
        """``k_m``."""
        return 1 - 1 / self.tau_m

    @property
    def keep_s(self) -> float:
        """``k_s``."""
        return 1 - 1 / self.tau_s

    @property
    def keep_grad(self) -> float:
        """``k_g``."""
        return 1 - 1 / self.tau_grad

    @property
    def gain(self) -> float:
        """The factor before the difference of exponentials."""
        return self.tau_m / (self.tau_m - self.tau_s)


class SrmLayer(SpikingNeurons):
    """A layer of such neurons with one threshold per channel (first feature axis), kept in a buffer.

    It takes part in counts and in noise on spikes; as it has no `NeuronSpec`, what would rebuild it is refused.
    Its thresholds move with the synapses' scale (`synapses.transfer_scale`), not by a gradient of theirs, so none of
    them is learnable.

    Args:
        kernel: time constants.
        shape: of the features of one sample.
    """

    thresholds: Tensor

    def __init__(self, kernel: Kernel, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel = kernel
        self.shape = tuple(shape)
        self.register_buffer("thresholds", torch.ones(shape[0], *(1 for _ in shape[1:])))

    @property
    def threshold(self) -> Tensor:
        """Thresholds ``[C, 1, ...]``."""
        return self.thresholds

    @property
    def decay(self) -> Tensor:
        """The membrane's ``k_m``; the synapse's is ``kernel.keep_s``."""
        return self.thresholds.new_tensor(self.kernel.keep_m)

    def observed(self) -> dict[str, Tensor]:
        """See `Neurons.observed`."""
        return {"threshold": self.thresholds}

    def forward(self, currents: Tensor) -> Tensor:
        """Spikes for currents ``[T, B, *shape]``; without gradient, since spike times have another one."""
        return charge(currents.detach(), self.thresholds, self.kernel)[0]

    def spikes(self, currents: Tensor) -> Tensor:
        """See `forward`."""
        return self.forward(currents)

    def fire(self, currents: Tensor, times: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Spikes that pass gradients of spike times back.

        Args:
            currents: ``[T, B, *shape]``; their gradient is the one for weights.
            times: a token of the same shape (see the module `synapses`); its gradient is for the input's spike times.
            labels: ``[B]``, for an output layer ``[T, B, classes]``: the label's neuron gets one more spike, at the
                last step in which its membrane rose by more than 0.05 (the first step when there is none), so that it
                always has a spike to move.

        Returns:
            The spikes with the forced ones, and the neuron's own, which carry no gradient.
        """
        forced, own = _Fire.apply(currents, times, self.thresholds, self.kernel, labels)  # type: ignore[no-untyped-call]
        return forced, own

    def extra_repr(self) -> str:
        """Shape and kernel."""
        return f"shape={self.shape}, kernel={self.kernel}"


def charge(currents: Tensor, threshold: Tensor, kernel: Kernel) -> tuple[Tensor, Tensor, Tensor]:
    """Run the neurons over all steps.

    Args:
        currents: ``[T, B, *shape]``.
        threshold: broadcastable to the shape.
        kernel: time constants.

    Returns:
        Spikes, the membrane's rise ``du`` in each step, and the rise ``dv`` that the times' gradient divides by; each
        ``[T, B, *shape]``.
    """
    spikes, rises = torch.empty_like(currents), torch.empty_like(currents)
    smooth = torch.empty_like(currents) if kernel.slope == "exponential" else rises
    slow, fast, trace, before = (torch.zeros_like(currents[0]) for _ in range(4))
    for t, x in enumerate(currents):
        slow.add_(x).mul_(kernel.keep_m)
        fast.add_(x).mul_(kernel.keep_s)
        u = (slow - fast).mul_(kernel.gain)
        torch.sub(u, before, out=rises[t])
        if kernel.slope == "exponential":
            trace.add_(x).mul_(kernel.keep_grad)
            smooth[t].copy_(trace)
        torch.ge(u, threshold, out=spikes[t])
        silent = 1 - spikes[t]
        for state in (slow, fast, trace):
            state.mul_(silent)
        before = u.mul_(silent)
    return spikes, rises, smooth


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, currents: Tensor, times: Tensor, threshold: Tensor, kernel: Kernel, labels: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        own, rises, smooth = charge(currents, threshold, kernel)
        spikes = own.clone() if labels is None else _force(own, rises, labels)
        fired = spikes > 0
        ctx.save_for_backward(fired, rises, smooth)
        ctx.kernel = kernel
        ctx.mark_non_differentiable(own)
        return spikes, own

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        fired, rises, smooth = ctx.saved_tensors
        kernel: Kernel = ctx.kernel
        upstream = grads[0]
        to_weights = to_times = None
        if ctx.needs_input_grad[0]:
            slope = rises.reciprocal().neg_().clamp_(WEIGHT_SLOPE_FLOOR, 0)
            to_weights = _spread(slope.mul_(upstream), fired, (kernel.keep_m, kernel.keep_s), kernel.gain)
        if ctx.needs_input_grad[1]:
            slope = torch.where(smooth > 0, smooth, torch.inf).reciprocal_().mul_(upstream)  # minus twice is plus
            if kernel.slope == "exponential":
                to_times = _spread(slope, fired, (kernel.keep_grad,), 1.0)
            else:
                to_times = _spread(slope, fired, (kernel.keep_m, kernel.keep_s), kernel.gain, difference=True)
        return to_weights, to_times, None, None, None


def _spread(
    at_spikes: Tensor, fired: Tensor, keeps: tuple[float, ...], gain: float, *, difference: bool = False
) -> Tensor:
    """Carry each spike's value back to all steps since the spike before it, under the kernel or its difference.

    One running value per exponential, the second one subtracted: ``value * k ** (d + 1)``, or with `difference`
    ``value * k ** d * (k - 1)``.
    """
    result = torch.zeros_like(at_spikes)
    for sign, keep in zip((1.0, -1.0), keeps, strict=False):
        running = torch.zeros_like(at_spikes[0])
        factor = sign * gain * ((keep - 1) if difference else keep)
        for t in range(len(at_spikes) - 1, -1, -1):
            running = torch.where(fired[t], at_spikes[t], running.mul_(keep))
            result[t].add_(running, alpha=factor)
    return result


def _force(own: Tensor, rises: Tensor, labels: Tensor) -> Tensor:
    rows = torch.arange(own.shape[1], device=own.device)
    rose = rises[:, rows, labels] > FORCED_RISE
    steps = torch.arange(len(own), device=own.device).unsqueeze(1)
    last = torch.where(rose, steps, 0).amax(0)
    forced = own.clone()
    forced[last, rows, labels] = 1.0
    return forced
