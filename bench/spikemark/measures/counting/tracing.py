"""Watch a model run: which layer makes which product of tensors.

The calls of ``linear``, ``conv`` and ``conv_transpose`` inside a layer of that class are counted from the very tensors
of the call, so that a masked or shared weight counts as it is used. Every other product of tensors is an error that
names its layer, so that nothing is silently left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode
from torch.utils.flop_counter import flop_registry

from spikemark.core.adapter import SpikingNeurons
from spikemark.measures.counting.census import CensusTaker
from spikemark.measures.counting.pairs import COUNTED_LAYERS, PAIRS, Tally

# Products of tensors, as operators below autograd. PyTorch keeps a list for its FLOP counter; added here are what that
# lacks and the composite names that stay whole in inference mode.
_MORE_PRODUCTS = """
    addbmm addmv addr bilinear cdist _cdist_forward chain_matmul conv1d conv2d conv3d conv_tbc conv_transpose1d
    conv_transpose2d conv_transpose3d _cudnn_rnn dot einsum embedding embedding_bag _embedding_bag
    _embedding_bag_forward_only _fft_c2c _fft_c2r _fft_r2c _grouped_mm gru gru_cell _int_mm kron linalg_matmul
    linalg_multi_dot linalg_vecdot linear lstm lstm_cell matmul _mixed_dtypes_linear mkldnn_convolution mkldnn_linear
    mkldnn_rnn_layer mv _native_multi_head_attention rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell
    scaled_dot_product_attention _scaled_dot_product_attention_math _scaled_dot_product_flash_attention_for_cpu
    _scaled_dot_product_fused_attention_overrideable smm _sparse_addmm _sparse_mm sspaddmm tensordot
    _thnn_fused_gru_cell _thnn_fused_lstm_cell _transformer_encoder_layer_fwd _trilinear vdot hspmm
"""
_PRODUCTS = frozenset(flop_registry) | {
    getattr(torch.ops.aten, name) for name in _MORE_PRODUCTS.split() if hasattr(torch.ops.aten, name)
}
_KNOWN_NAMESPACES = frozenset({"aten", "prim", "prims", "profiler"})


class UncountableError(ValueError):
    """A layer does work that cannot be counted; the message names the layer and the call."""


@dataclass
class Activity:
    """Totals of one spiking layer over its calls: neurons times steps times samples, and nonzero outputs."""

    updates: int = 0
    spikes: int = 0


class Trace:
    """What one run of a model did.

    Attributes:
        layers: the tally of every counted layer, by its qualified name.
        spiking: the activity of every spiking layer, likewise.
        calling: names and modules being called, the innermost last.
        inside: whether a counted call is under way.
    """

    def __init__(self) -> None:
        self.layers: dict[str, Tally] = {}
        self.spiking: dict[str, Activity] = {}
        self.calling: list[tuple[str, nn.Module]] = []
        self.inside = False
        self._modes = (_Guard(self), _Interceptor(self))
        self._take = CensusTaker()
        self._neurons = ExitStack()

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Follow which module is being called, by hooks that are gone afterwards, and guard what it calls."""
        handles = []
        try:
            for name, module in _watched(model, type(model).__name__):
                handles.append(module.register_forward_pre_hook(self._enter(name)))
                handles.append(module.register_forward_hook(self._leave, always_call=True))
            with self._modes[0], self._modes[1]:
                try:
                    yield
                finally:
                    self._neurons.close()
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, _: Any) -> None:
            # Neurons without weights do nothing but their own dynamics, which are counted as neuron updates. Many
            # small operators they are; watching those would take longer than all the counting.
            if not self._in_spiking_layer() and _is_weightless(module):
                self._neurons.enter_context(self._unguarded())
            self.calling.append((name, module))

        return hook

    def _leave(self, module: nn.Module, _: Any, output: Tensor | None) -> None:
        name, _module = self.calling.pop()
        if isinstance(module, SpikingNeurons) and output is not None:  # None: its forward raised
            activity = self.spiking.setdefault(name, Activity())
            with self._unguarded():
                activity.spikes += self._take(output.flatten(0, 1)).total
            activity.updates += output.numel()
        if not self._in_spiking_layer():
            self._neurons.close()

    def _in_spiking_layer(self) -> bool:
        return any(isinstance(module, SpikingNeurons) for _, module in self.calling)

    @contextmanager
    def _unguarded(self) -> Iterator[None]:
        """Lift our modes, those that are innermost: another one above them is not ours to lift."""
        innermost = (_get_current_dispatch_mode(), _get_current_function_mode())
        with ExitStack() as restored:
            for mode, current in zip(self._modes, innermost, strict=True):
                if mode is current:
                    mode.__exit__(None, None, None)  # type: ignore[no-untyped-call,unused-ignore]
                    restored.callback(mode.__enter__)
            yield

    @contextmanager
    def counting(self, pairs: Callable[..., None], *args: Any, **kwargs: Any) -> Iterator[None]:
        """Count the pairs of a call to the layer being called, which is made inside."""
        tally = self.layers.setdefault(self.calling[-1][0], Tally())
        with self._unguarded():
            pairs(tally, self._take, *args, **kwargs)
        self.inside = True
        try:
            yield
        finally:
            self.inside = False


class _Interceptor(TorchFunctionMode):
    """Counts the calls of counted functions from within counted layers."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        pairs = PAIRS.get(func)
        if pairs is None:
            return func(*args, **kwargs)
        trace = self.trace
        if not (trace.calling and isinstance(trace.calling[-1][1], COUNTED_LAYERS)):
            raise _uncountable(trace, func.__name__)
        with trace.counting(pairs, *args, **kwargs):
            return func(*args, **kwargs)


class _Guard(TorchDispatchMode):  # type: ignore[no-untyped-call,unused-ignore]
    """Refuses products of tensors, and operators it cannot know, outside counted calls."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.trace = trace

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if _is_suspect(func) and not self.trace.inside:
            raise _uncountable(self.trace, str(func.overloadpacket))
        return func(*args, **(kwargs or {}))


@cache
def _is_suspect(func: Any) -> bool:
    return func.overloadpacket in _PRODUCTS or func.namespace not in _KNOWN_NAMESPACES


def _watched(model: nn.Module, root: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules to follow, each once, under their qualified names; the insides of weightless neurons are not."""
    inside = frozenset(
        m for layer in model.modules() if _is_weightless(layer) for m in layer.modules() if m is not layer
    )
    for name, module in model.named_modules():
        if module in inside:
            continue
        compiled = module._compiled_call_impl is not None or "_orig_mod" in module._modules
        if compiled or isinstance(module, torch.jit.ScriptModule):
            label = _label(name or root, module)
            raise UncountableError(f"{label} is compiled, which hides its operations; count the plain module instead")
        yield name or root, module


def _label(name: str, module: nn.Module) -> str:
    return f"layer {name!r} ({type(module).__name__})"


def _is_weightless(module: nn.Module) -> bool:
    if not isinstance(module, SpikingNeurons):
        return False
    learnables = {id(parameter) for parameter in module.learnables().values()}
    return all(id(parameter) in learnables for parameter in module.parameters())


def _uncountable(trace: Trace, call: str) -> UncountableError:
    caller = _label(*trace.calling[-1]) if trace.calling else "the model"
    known = ", ".join(layer.__name__ for layer in COUNTED_LAYERS)
    return UncountableError(
        f"{caller} calls {call}, whose operations cannot be counted; counted are the layers {known}"
    )
