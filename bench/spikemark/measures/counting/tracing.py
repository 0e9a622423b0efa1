"""Watch a model run: which layer makes which product of tensors, and what its neurons do.

Calls of ``linear``, ``conv`` and ``conv_transpose`` are counted from the very tensors of the call, so that a masked or
shared weight counts as it is used; products of matrices are counted below autograd, whatever called them. Every other
product of tensors is an error that names its layer, and so is a module that emits spikes and is not known, so that
nothing is silently left out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode
from torch.utils.flop_counter import flop_registry

from spikemark.core.counts import FULL_BITS
from spikemark.core.foreign import Declared, Site, first_tensor, modules_of, neuron_sites, takes_batches
from spikemark.core.neuron_class import Form
from spikemark.measures.counting.census import MAX_LEVELS, Memory, census
from spikemark.measures.counting.pairs import COUNTED_LAYERS, PAIRS, Tally, convolution_pairs, product_pairs
from spikemark.measures.counting.rules import rule_of, ruled

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
    """Totals of one layer of neurons over its calls: neurons times steps times samples, and nonzero outputs."""

    site: Site
    updates: int = 0
    spikes: int = 0


class Trace:
    """What one run of a model did.

    Args:
        model: to be watched.
        declared: classes of neurons beside the known ones.
        given: its inputs.

    Attributes:
        layers: the tally of every product, by the qualified name of its layer, weight or place.
        ruled: MACs, ACs and dense operations of the modules that are counted by a rule, by qualified name.
        activity: of all neurons, likewise.
        weights: names of the parameters and buffers that were multiplied.
        computed: names of layers that multiplied a weight which is neither.
        batches: numbers of samples that neurons saw, and the first layer that saw so many.
        emitting: modules whose outputs were spikes although they are not known as neurons, by qualified name.
        calling: names and modules being called, the innermost last.
        inside: whether a counted call is under way.
        memory: of tensors that were counted.
    """

    def __init__(self, model: nn.Module, declared: Declared = (), given: Iterable[Tensor] = ()) -> None:
        self.model = model
        self.layers: dict[str, Tally] = {}
        self.ruled: dict[str, list[float]] = {}
        self.activity: dict[str, Activity] = {}
        self.weights: dict[str, None] = {}
        self.computed: dict[str, None] = {}
        self.batches: dict[int, str] = {}
        self.emitting: dict[str, nn.Module] = {}
        self.calling: list[tuple[str, nn.Module]] = []
        self.inside = False
        self._batched = takes_batches(model)
        self._sites = {site.module: site for site in neuron_sites(model, declared)}
        stored = _stored(model)
        self._stored = {_storage(tensor): name for name, tensor in reversed(stored)}
        self.memory = Memory([*model.buffers(), *(tensor for _, tensor in stored), *given])
        self._places: dict[tuple[Any, ...], str] = {}
        self._modes = (_Guard(self), _Interceptor(self))
        self._blind: nn.Module | None = None
        self._lifted = ExitStack()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Follow which module is being called, by hooks that are gone afterwards, and guard what it calls."""
        handles = []
        try:
            for name, module in self._watched():
                enter, leave = self._enter(name, module), self._leave(name, module)
                handles.append(module.register_forward_pre_hook(enter))
                handles.append(module.register_forward_hook(leave, always_call=True))
            with self._modes[0], self._modes[1]:
                try:
                    yield
                finally:
                    self._lifted.close()
        finally:
            for handle in handles:
                handle.remove()

    def _watched(self) -> Iterator[tuple[str, nn.Module]]:
        """The modules to follow, each once, under their qualified names; what is inside blind ones is not."""
        inside = {
            m for layer in modules_of(self.model) if self._is_blind(layer) for m in modules_of(layer) if m is not layer
        }
        for name, module in self.model.named_modules():
            if module in inside:
                continue
            name = name or type(self.model).__name__
            compiled = module._compiled_call_impl is not None or "_orig_mod" in module._modules
            if compiled or isinstance(module, torch.jit.ScriptModule):
                label = _label(name, module)
                raise UncountableError(
                    f"{label} is compiled, which hides its operations; count the plain module instead"
                )
            yield name, module

    def _is_blind(self, module: nn.Module) -> bool:
        """Whether the inside of a module is not looked at.

        Neurons without weights do nothing but their own dynamics, which are counted as neuron updates. Many small
        operators they are; watching those would take longer than all the counting.
        """
        site = self._sites.get(module)
        return (site is not None and not site.weights) or rule_of(module) is not None

    def _enter(self, name: str, module: nn.Module) -> Callable[[nn.Module, Any], None]:
        place, blind = (name, module), self._is_blind(module)

        def hook(module: nn.Module, _: Any) -> None:
            if blind and self._blind is None:
                self._blind = module
                self._lifted.enter_context(self._unguarded())
            self.calling.append(place)

        return hook

    def _leave(self, name: str, module: nn.Module) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        plain = type(module).__module__.startswith("torch.nn.")
        idle = plain and module not in self._sites and rule_of(module) is None
        # What others' hooks do inside is not seen; they may well write into tensors that are remembered.
        hooked = self._is_blind(module) and any(
            part._forward_hooks or part._forward_pre_hooks for part in modules_of(module)
        )

        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            self.calling.pop()
            if hooked:
                self.memory.clear()
            if output is not None and not idle:  # None: its forward raised
                with _unseen():
                    self._look(name, module, inputs, output)
            if module is self._blind:
                self._blind = None
                self._lifted.close()

        return hook

    def _look(self, name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        rule, site = rule_of(module), self._sites.get(module)
        if rule is not None:
            total = self.ruled.setdefault(name, [0.0, 0.0, 0.0])
            self.ruled[name] = [a + b for a, b in zip(total, ruled(rule, module, inputs, output), strict=True)]
        if site is not None:
            self._count_neurons(name, site, output)
        elif rule is None and not any(caller in self._sites for _, caller in self.calling):
            self._suspect(name, module, inputs, output)

    def _count_neurons(self, name: str, site: Site, output: Any) -> None:
        if not site.known.counted:
            return
        # Integrators of SpikingJelly give a list of potentials, one for each step.
        spikes = torch.stack(output) if isinstance(output, list) and not site.known.spiking else first_tensor(output)
        if spikes is None:
            raise UncountableError(f"{_label(name, site.module)} gave a {type(output).__name__}; expected spikes")
        activity = self.activity.setdefault(name, Activity(site))
        activity.updates += spikes.numel()
        activity.spikes += self.memory.census(_as_fed(spikes, site.form), levels=False, fresh=True).total
        axis = {"TB": 1, "B": 0, "BT": 0, None: None}[site.form]
        if self._batched and axis is not None and spikes.dim() > axis:
            self.batches.setdefault(spikes.shape[axis], name)

    def _suspect(self, name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep a module in mind that makes spikes of something else and has no known neurons inside."""
        inside = set(modules_of(module))
        if any(part in self._sites for part in inside):
            return
        spikes, given = first_tensor(output), first_tensor(inputs)
        if spikes is None or not are_spikes(spikes) or (given is not None and are_spikes(given, silent=True)):
            return
        inner = [known for known, part in self.emitting.items() if part in inside]
        if inner and any(isinstance(part, COUNTED_LAYERS) for part in inside):
            return
        for known in inner:  # what a module of neurons calls to fire is the neurons' own
            del self.emitting[known]
        self.emitting[name] = module

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
    def counting(self) -> Iterator[None]:
        """What is called inside is counted already."""
        self.inside = True
        try:
            yield
        finally:
            self.inside = False

    def tally(self, weight: Tensor | None, call: str) -> Tally:
        """Of a product by `weight`, or of two activations, made by the module that is being called."""
        name, module = self.calling[-1]
        stored = None if weight is None else self.stored(weight)
        if stored is not None:
            self.weights[stored] = None
        elif weight is not None:
            self.computed[name] = None
        if not isinstance(module, COUNTED_LAYERS):
            name = self._place(name, call) if stored is None else stored.removesuffix(".weight")
        if name not in self.layers:
            self.layers[name] = Tally(self.memory, getattr(module, "weight_bits", FULL_BITS))
        return self.layers[name]

    def stored(self, tensor: Tensor) -> str | None:
        """The name of the parameter or buffer that a tensor is, or is a view of."""
        return self._stored.get(_storage(tensor))

    def _place(self, name: str, call: str) -> str:
        """A name for the place in the code where a module calls something, the same at every call from there."""
        path, frame = [], _frame(1)
        while frame is not None and frame.f_code is not nn.Module._call_impl.__code__:
            path.append((frame.f_code, frame.f_lasti))
            frame = frame.f_back
        key = (name, call, *path)
        if key not in self._places:
            others = sum(known[:2] == key[:2] for known in self._places)
            self._places[key] = f"{name}.{call}" if not others else f"{name}.{call}-{others + 1}"
        return self._places[key]


class _Interceptor(TorchFunctionMode):
    """Counts the calls of counted functions."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs, trace = kwargs or {}, self.trace
        pairs = None if trace.inside else PAIRS.get(func)
        if pairs is None:
            if func in _ALIASES:
                trace.memory.never(args[0])
            return func(*args, **kwargs)
        with trace.counting():
            weight = kwargs["weight"] if "weight" in kwargs else args[1]
            with _unseen():
                pairs(trace.tally(weight, func.__name__), *args, **kwargs)
            return func(*args, **kwargs)


_ALIASES = {
    getattr(Tensor, name)
    for name in ("numpy", "__array__", "__dlpack__", "data_ptr", "untyped_storage", "storage")
    if hasattr(Tensor, name)
}
"""What hands out memory, so that writing into it is not seen."""
_aten = torch.ops.aten
_MATRICES: Mapping[Any, Callable[..., tuple[Tensor, Tensor]]] = {
    _aten.mm: lambda a, b, *_: (a, b),
    _aten.bmm: lambda a, b, *_: (a, b),
    _aten.mv: lambda a, b: (a, b[:, None]),
    _aten.dot: lambda a, b: (a[None], b[:, None]),
    _aten.addmm: lambda _, a, b, *__: (a, b),
    _aten.baddbmm: lambda _, a, b, *__: (a, b),
    _aten.addbmm: lambda _, a, b, *__: (a, b),
    _aten.addmv: lambda _, a, b, *__: (a, b[:, None]),
}
"""From the arguments of an operator to the two matrices, or batches of matrices, that it multiplies."""


class _Guard(TorchDispatchMode):  # type: ignore[no-untyped-call,unused-ignore]
    """Counts products of matrices below autograd; refuses other products, and operators that it cannot know."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.trace = trace

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Compiled models are refused anyway, so torch need not import its compiler (seconds) to keep it away."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs, trace, sort = kwargs or {}, self.trace, _sort(func)
        if sort.writes:
            for written in sort.written(args, kwargs):
                trace.memory.forget(written)
        if trace.inside or not sort.suspect:
            return func(*args, **kwargs)
        call = func.overloadpacket
        if call in _MATRICES:
            with trace.counting(), _unseen():
                self._count_matrices(func, *_MATRICES[call](*args))
        elif call is _aten.convolution:
            with trace.counting(), _unseen():
                convolution_pairs(trace.tally(args[1], "convolution"), *args, **kwargs)
        elif call is _aten._scaled_dot_product_flash_attention_for_cpu:
            with self:
                _spelled_out(*args, **kwargs)
        elif torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # whole in inference mode alone
                return func.decompose(*args, **kwargs)
        else:
            raise _uncountable(trace, str(call))
        return func(*args, **kwargs)

    def _count_matrices(self, func: Any, left: Tensor, right: Tensor) -> None:
        stored = self.trace.stored(left), self.trace.stored(right)
        weight = left if stored[0] is not None else right if stored[1] is not None else None
        tally = self.trace.tally(weight, func.overloadpacket.__name__)
        product_pairs(tally, left, right, is_weight=(stored[0] is not None, stored[1] is not None))


def _spelled_out(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
) -> None:
    """Attention as the two products that a fused kernel makes, each from a place of its own."""
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if causal:
        scores = scores.masked_fill(~torch.ones_like(scores, dtype=torch.bool).tril(), -torch.inf)
    if attn_mask is not None:
        masked = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -torch.inf) if masked else scores + attn_mask
    weights = scores.softmax(-1).nan_to_num(0.0)  # of a query that may look nowhere
    weights @ value  # the mode sees it


@dataclass(frozen=True)
class _Sort:
    """What is known of an operator.

    Attributes:
        suspect: whether it may be a product.
        writes: whether it writes into its arguments.
        places: of those among the positional arguments.
        names: of those among the named ones.
    """

    suspect: bool
    writes: bool
    places: tuple[int, ...]
    names: tuple[str, ...]

    def written(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Tensor]:
        """The tensors among the arguments that a call writes into."""
        found = [args[i] for i in self.places if i < len(args)] + [kwargs.get(name) for name in self.names]
        for given in found:
            for tensor in given if isinstance(given, list | tuple) else (given,):
                if isinstance(tensor, Tensor):
                    yield tensor


@cache
def _sort(func: Any) -> _Sort:
    suspect = func.overloadpacket in _PRODUCTS or func.namespace not in _KNOWN_NAMESPACES
    written = [
        (i, a) for i, a in enumerate(func._schema.arguments) if a.alias_info is not None and a.alias_info.is_write
    ]
    return _Sort(suspect, bool(written), tuple(i for i, _ in written), tuple(a.name for _, a in written))


@contextmanager
def _unseen() -> Iterator[None]:
    """Within, no mode sees what is called: it is our own."""
    with torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
        yield


def _as_fed(spikes: Tensor, form: Form | None) -> Tensor:
    """Spikes as the next layer will most likely read them, so that they are counted once for both."""
    if spikes.dim() == (5 if form in ("TB", "BT") else 4):
        return spikes.flatten(0, 1) if form in ("TB", "BT") else spikes
    return spikes.reshape(-1, spikes.shape[-1])


def are_spikes(values: Tensor, *, silent: bool = False) -> bool:
    """Whether all values are whole numbers of spikes, 0 to `MAX_LEVELS`; not all 0, unless silence counts too."""
    if values.dtype == torch.bool:
        return silent or bool(values.any())
    if not values.is_floating_point() or values.numel() == 0:
        return False
    flat = values.detach().reshape(-1)
    if not _are_whole(flat[:_HEAD]):  # others give themselves away early
        return False
    known = census(values.detach().reshape(-1, values.shape[-1] if values.dim() else 1), levels=False)
    return (known.only_ones or _are_whole(flat)) and (silent or known.total > 0)


def _are_whole(values: Tensor) -> bool:
    return bool(((values == values.round()) & (values >= 0) & (values <= MAX_LEVELS)).all())


_HEAD = 1024


def _stored(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and persistent buffers by qualified name: what may be a weight."""
    persistent = model.state_dict(keep_vars=True)
    return [(name, tensor) for name, tensor in persistent.items() if isinstance(tensor, Tensor) and tensor.numel()]


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _frame(depth: int) -> FrameType | None:
    return sys._getframe(depth + 1)


def _label(name: str, module: nn.Module) -> str:
    return f"layer {name!r} ({type(module).__name__})"


def _uncountable(trace: Trace, call: str) -> UncountableError:
    known = ", ".join(layer.__name__ for layer in COUNTED_LAYERS)
    kind = type(trace.calling[-1][1]).__name__ if trace.calling else "MODULE"
    return UncountableError(
        f"{_label(*trace.calling[-1]) if trace.calling else 'the model'} calls {call}, whose operations cannot be "
        f"counted; counted are the layers {known} and products of matrices; spikemark.count_rule({kind}, rule) says "
        "what it does"
    )
