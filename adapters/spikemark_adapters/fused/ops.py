"""The fused layer as operators of torch: ``spikemark::fused_spikes`` and ``spikemark::fused_gradients``.

They compile, export and differentiate (once, not twice) like torch's own. This module knows tensors; how they are
laid out for the kernels is in `cpu` and `gpu`, the dynamics are in `kernels` and, for GPUs, in `gpu`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from spikemark.core.adapter import Unsupported
from spikemark_adapters.fused import cpu
from spikemark_adapters.fused.plans import Plan

DTYPES = {
    "cpu": (torch.float32, torch.float64, torch.bfloat16),
    "cuda": (torch.float32, torch.float64, torch.bfloat16, torch.float16),
}

# Registered by hand: `torch.library.custom_op` takes 0.07 ms longer to dispatch a forward and backward pass.
_library = torch.library.Library("spikemark", "FRAGMENT")
_library.define("fused_spikes(Tensor currents, Tensor threshold, Tensor decay, str spec) -> Tensor")
_library.define(
    "fused_gradients(Tensor grad, Tensor currents, Tensor threshold, Tensor decay, str spec, bool learn_threshold,"
    " bool learn_decay) -> (Tensor, Tensor, Tensor)"
)
_spikes_op = torch.ops.spikemark.fused_spikes.default
_gradients_op = torch.ops.spikemark.fused_gradients.default


def fused_spikes(currents: Tensor, threshold: Tensor, decay: Tensor, spec: str) -> Tensor:
    """Spikes of a layer.

    Args:
        currents: ``[T, B, *shape]``, of one of the device's `DTYPES`.
        threshold: effective thresholds, broadcastable to ``shape``.
        decay: effective decays, broadcastable to ``shape``.
        spec: the `NeuronSpec` as JSON.

    Returns:
        Spikes 0/1, contiguous, otherwise like `currents`.

    Raises:
        Unsupported: the currents are on a GPU and Triton is missing.
    """
    run: Any = _Differentiable.apply if unobserved(currents) else _spikes_op
    spikes: Tensor = run(currents, threshold, decay, spec)
    return spikes


def fused_gradients(
    grad: Tensor,
    currents: Tensor,
    threshold: Tensor,
    decay: Tensor,
    spec: str,
    learn_threshold: bool,
    learn_decay: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a loss, given that of the spikes.

    Args:
        grad: ``[T, B, *shape]``, of the loss by each spike.
        currents: as for `fused_spikes`.
        threshold: as for `fused_spikes`.
        decay: as for `fused_spikes`.
        spec: as for `fused_spikes`.
        learn_threshold: whether the gradient of the thresholds is wanted.
        learn_decay: whether the gradient of the decays is wanted.

    Returns:
        Gradients of currents, thresholds and decays, of their shapes; those of thresholds and decays are empty
        where they are not wanted.
    """
    found: tuple[Tensor, Tensor, Tensor] = _gradients_op(
        grad, currents, threshold, decay, spec, learn_threshold, learn_decay
    )
    return found


def _planner(device: str) -> Callable[..., Plan]:
    """What plans calls on a type of device; Triton is imported at the first call on a GPU."""
    if device == "cpu":
        return cpu.plan
    try:
        from spikemark_adapters.fused import gpu
    except ModuleNotFoundError as error:
        if error.name != "triton":
            raise
        raise Unsupported("fused layers on GPUs need Triton, which is missing: pip install triton") from error
    return gpu.plan


def _spikes(currents: Tensor, threshold: Tensor, decay: Tensor, spec: str) -> Tensor:
    spikes = torch.empty_like(currents, memory_format=torch.contiguous_format)
    if spikes.numel():
        plan = _planner(currents.device.type)(
            "forward", spec, currents.shape, currents.dtype, threshold.numel() == 1, decay.numel() == 1
        )
        plan.run(currents=currents, threshold=threshold, decay=decay, spikes=spikes)
    return spikes


def _gradients(
    grad: Tensor,
    currents: Tensor,
    threshold: Tensor,
    decay: Tensor,
    spec: str,
    learn_threshold: bool,
    learn_decay: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    d_currents = torch.empty_like(currents, memory_format=torch.contiguous_format)
    if not currents.numel():
        wanted = ((threshold, learn_threshold), (decay, learn_decay))
        d_threshold, d_decay = (torch.zeros_like(tensor) if learn else tensor.new_empty(0) for tensor, learn in wanted)
        return d_currents, d_threshold, d_decay
    plan = _planner(currents.device.type)(
        "backward", spec, currents.shape, currents.dtype, threshold.numel() == 1, decay.numel() == 1,
        learn_threshold, learn_decay,
    )  # fmt: skip
    d_threshold = currents.new_empty(plan.sums if learn_threshold else 0, dtype=plan.sums_dtype)
    d_decay = currents.new_empty(plan.sums if learn_decay else 0, dtype=plan.sums_dtype)
    plan.run(
        grad=grad, currents=currents, threshold=threshold, decay=decay, d_currents=d_currents,
        d_threshold=d_threshold, d_decay=d_decay,
    )  # fmt: skip
    if learn_threshold:
        d_threshold = d_threshold.sum_to_size(threshold.shape)
    if learn_decay:
        d_decay = d_decay.sum_to_size(decay.shape)
    return d_currents, d_threshold.to(threshold.dtype), d_decay.to(decay.dtype)


def unobserved(tensor: Tensor) -> bool:
    """Whether nothing but autograd has to see an operator: no subclass, compiler, dispatch mode or transform.

    Then the dispatcher is passed by, which takes as long as the rest of Python's part.
    """
    return (
        type(tensor) in (Tensor, Parameter)
        and not tensor.is_meta
        and not torch.compiler.is_compiling()
        and not is_in_torch_dispatch_mode()
        and not torch._C._are_functorch_transforms_active()
    )


class _Differentiable(torch.autograd.Function):
    """`fused_spikes` with `fused_gradients` as its derivative."""

    @staticmethod
    def forward(ctx: Any, currents: Tensor, threshold: Tensor, decay: Tensor, spec: str) -> Tensor:
        ctx.save_for_backward(currents, threshold, decay)
        ctx.spec = spec
        if unobserved(currents):
            return _spikes(currents, threshold, decay, spec)
        with torch._C._AutoDispatchBelowAutograd():
            spikes: Tensor = _spikes_op(currents, threshold, decay, spec)
            return spikes

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        _, learn_threshold, learn_decay, _ = ctx.needs_input_grad
        currents, threshold, decay = ctx.saved_tensors
        run = _gradients if unobserved(grad) and not torch.is_grad_enabled() else fused_gradients
        gradients = run(grad, currents, threshold, decay, ctx.spec, learn_threshold, learn_decay)
        return *(g if wanted else None for g, wanted in zip(gradients, ctx.needs_input_grad[:3], strict=True)), None


class _Once(torch.autograd.Function):
    """`fused_gradients`, which has no derivative and says so, instead of passing for a constant."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            return _gradients_op(*arguments)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise RuntimeError("spikemark::fused_gradients has no derivative: fused layers differentiate once")


def _spikes_like(currents: Tensor, threshold: Tensor, decay: Tensor, spec: str) -> Tensor:
    return torch.empty_like(currents, memory_format=torch.contiguous_format)


def _gradients_like(
    grad: Tensor,
    currents: Tensor,
    threshold: Tensor,
    decay: Tensor,
    spec: str,
    learn_threshold: bool,
    learn_decay: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.empty_like(currents, memory_format=torch.contiguous_format),
        threshold.new_empty(threshold.shape if learn_threshold else 0),
        decay.new_empty(decay.shape if learn_decay else 0),
    )


for _device in ("CPU", "CUDA"):
    _library.impl("fused_spikes", _spikes, _device)
    _library.impl("fused_gradients", _gradients, _device)
_library.impl("fused_spikes", _Differentiable.apply, "Autograd")
_library.impl("fused_gradients", _Once.apply, "Autograd")
torch.library.register_fake("spikemark::fused_spikes", _spikes_like, lib=_library)
torch.library.register_fake("spikemark::fused_gradients", _gradients_like, lib=_library)
