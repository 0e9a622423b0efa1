"""Functions of JAX arrays as functions of torch tensors, with their gradients. Values are copied both ways."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import torch
from torch import Tensor

jax.config.update("jax_enable_x64", True)  # or JAX makes float32 of float64

_pulled = jax.jit(lambda pull, gradient: pull(gradient))


def through_jax(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """A function of arrays, whose gradient JAX takes, as one of tensors, whose gradient is given to torch.

    Args:
        function: of arrays to an array; compiled for each shape and type that it is called with.
    """
    plain, with_pull = jax.jit(function), jax.jit(lambda *arrays: jax.vjp(function, *arrays))

    def call(*tensors: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return _tensor(plain(*map(_array, tensors)), tensors[0])
        result: Tensor = _Call.apply(with_pull, *tensors)  # type: ignore[no-untyped-call]
        return result

    return call


class _Call(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], *tensors: Tensor) -> Tensor:
        result, ctx.pull = function(*map(_array, tensors))
        return _tensor(result, tensors[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        found = _pulled(ctx.pull, _array(gradients[0]))
        return None, *map(partial(_tensor, like=gradients[0]), found)


def _array(tensor: Tensor) -> Any:
    return jax.numpy.array(tensor.detach().cpu().numpy())


def _tensor(array: Any, like: Tensor) -> Tensor:
    return torch.from_numpy(np.array(array)).to(like.device)
