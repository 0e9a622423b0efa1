"""Exact counts of the synaptic operations that a network really does, layer by layer.

An operation is a pair of a nonzero input and a nonzero weight that a layer multiplies or adds; padding is no input.
This module turns what a `Trace` has seen into counts per sample; it knows nothing of energy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spikemark.core.counts import CountsItself, LayerCount, OperationCount, SpikingCount
from spikemark.core.foreign import Declared, first_tensor, reset_states, unchanged
from spikemark.errors import InputError
from spikemark.measures.counting.tracing import Activity, Trace, UncountableError, are_spikes

Layout = Literal["TB", "BT", "B"]


def count_operations(
    model: nn.Module,
    inputs: Tensor,
    *,
    neurons: Declared = (),
    reset: Callable[[Any], object] | None = None,
    layout: Layout | None = None,
) -> OperationCount:
    """Run the model once, from its first state, and count its operations and the updates of its neurons, exactly.

    The counts are those of inference: the model runs without gradients and in evaluation mode; afterwards its modes,
    states, attributes and hooks are as they were.

    Args:
        model: of any framework; gives scores, or a tuple that begins with them.
        inputs: ``[T, B, ...]``, ``[B, T, ...]`` or ``[B, ...]``, on the model's device.
        neurons: classes of spiking neurons beside those of our own and of the frameworks, each with one state
            variable per neuron; or numbers of state variables by class.
        reset: a function of the model that forgets earlier calls; modules of the frameworks need none.
        layout: of the inputs; when None what the outputs and the neurons show, and "TB" where they show both.

    Returns:
        Counts per sample: totals over the steps, divided by the number of samples.

    Raises:
        UncountableError: a layer does work that cannot be counted exactly, such as an embedding, a Fourier transform or
            an operator from outside PyTorch; or a module emits spikes and is not known.
        InputError: the number of samples cannot be told, or the neurons saw another one; or `neurons` is wrong.
    """
    if inputs.dim() < 2 or inputs.shape[0] == 0 or inputs.shape[1] == 0:
        raise InputError(f"inputs have shape {list(inputs.shape)}; expected [T, B, ...], [B, T, ...] or [B, ...]")
    with unchanged(model), torch.no_grad():
        model.eval()
        reset_states(model, reset)
        if isinstance(model, CountsItself):
            return model.count_operations(inputs)
        trace = Trace(model, neurons, (inputs,))
        with trace.watching():
            # A constant input is counted at every step, though networks compute it once.
            output = model(inputs.contiguous())
    _check_known(trace, inputs)
    batch = samples_seen(inputs, output, trace.batches, layout)
    counts = [tally.count(name, batch) for name, tally in trace.layers.items()]
    ruled = (
        LayerCount(n, "ruled", macs / batch, acs / batch, dense / batch)
        for n, (macs, acs, dense) in trace.ruled.items()
    )
    spiking = {name: activity for name, activity in trace.activity.items() if activity.site.known.spiking}
    return OperationCount(
        layers=(*counts, *ruled),
        spiking=tuple(_spiking_count(name, activity, batch) for name, activity in spiking.items()),
        integrating=tuple(
            SpikingCount(name, activity.updates / batch, 0.0, activity.site.words)
            for name, activity in trace.activity.items()
            if name not in spiking
        ),
    )


def weights_of(model: nn.Module, inputs: Tensor) -> tuple[str, ...]:
    """The names of all parameters and buffers that a run of the model multiplies with its inputs.

    Args:
        model: as in `count_operations`.
        inputs: on the model's device.

    Raises:
        UncountableError: see `count_operations`.
        InputError: a layer multiplies a weight that is computed from others, so that it cannot be told.
    """
    with unchanged(model), torch.no_grad():
        model.eval()
        reset_states(model)
        trace = Trace(model, (), (inputs,))
        with trace.watching():
            model(inputs.contiguous())
    if trace.computed:
        raise InputError(
            f"layer {next(iter(trace.computed))!r} multiplies a weight that is computed at every call; bake it in "
            "first, such as by torch.nn.utils.parametrize.remove_parametrizations"
        )
    names = [name for name, _ in model.state_dict(keep_vars=True).items()]
    return tuple(sorted(trace.weights, key=names.index))


def samples_seen(inputs: Tensor, output: Any, neurons: dict[int, str], layout: Layout | None = None) -> int:
    """How many samples a model was given, told by what it gave and by the samples that its neurons saw.

    Args:
        inputs: ``[T, B, ...]``, ``[B, T, ...]`` or ``[B, ...]``.
        output: of the model.
        neurons: numbers of samples that neurons saw, and which.
        layout: of the inputs, where it is known.

    Raises:
        InputError: the signs are missing, or contradict each other.
    """
    scores = first_tensor(output)
    shape, plain = tuple(inputs.shape), False
    sizes = {"TB": shape[1], "BT": shape[0], "B": shape[0]}
    if layout is not None:
        possible = [sizes[layout]]
    elif scores is None:
        raise InputError(
            f"the model gave a {type(output).__name__}, which does not tell the samples in inputs of shape "
            f"{list(shape)}; expected scores, or give layout='TB', 'BT' or 'B'"
        )
    else:
        plain = _is_plain(shape, tuple(scores.shape))
        possible = [sizes[name] for name in _readings(shape, tuple(scores.shape))]
        if not possible:
            raise InputError(
                f"the model gave {list(scores.shape)} for inputs of shape {list(shape)}: neither [B, ...] nor "
                "[T, B, ...] of these samples; give layout='TB', 'BT' or 'B'"
            )
    seen = [batch for batch in dict.fromkeys(possible) if not neurons or set(neurons) == {batch}]
    if not seen:
        found = ", ".join(f"{name!r} saw {batch}" for batch, name in neurons.items())
        raise InputError(
            f"inputs of shape {list(shape)} hold {' or '.join(map(str, dict.fromkeys(possible)))} samples, but of the "
            f"neurons {found}: are their step mode and the layout right?"
        )
    if len(seen) > 1 and not plain:
        raise InputError(
            f"inputs of shape {list(shape)} may hold {' or '.join(map(str, seen))} samples, going by what the model "
            "gave; give layout='TB', 'BT' or 'B'"
        )
    return seen[0]


def _is_plain(inputs: tuple[int, ...], scores: tuple[int, ...]) -> bool:
    """Whether scores are of each step, in the order of the inputs: ``[T, B, ...]`` unless neurons say otherwise."""
    return len(scores) > 2 and scores[:2] == inputs[:2]


def _readings(inputs: tuple[int, ...], scores: tuple[int, ...]) -> list[Layout]:
    """The layouts in which scores of this shape may belong to these inputs."""
    first, second = inputs[:2]
    found: dict[Layout, bool]
    match scores:
        case ():
            return []
        case (a, b, _, *_):
            of_steps = (a, b) in ((first, second), (second, first))
            found = {"TB": of_steps, "BT": of_steps, "B": first in (a, b)}
        case (a, *rest):
            steps = rest == [second] and a == first and len(inputs) > 2  # one score for each step and sample
            found = {"TB": a == second or steps, "B": a == first}
    if not any(found.values()) and scores[0] == first * second:
        return ["TB"]
    return [layout for layout, fits in found.items() if fits]


def _check_known(trace: Trace, inputs: Tensor) -> None:
    """That every spike comes from known neurons.

    Raises:
        UncountableError: one does not; the message says how to declare where it comes from.
    """
    for name, module in trace.emitting.items():
        kind = type(module).__name__
        raise UncountableError(
            f"layer {name!r} ({kind}) emits spikes and is not known, so its neurons cannot be counted; say "
            f"neurons=({kind},) if it is a layer of neurons, or neurons={{{kind}: 2}} if each has two state variables"
        )
    fed = next((name for name, tally in trace.layers.items() if tally.operations and tally.kind == "binary"), None)
    if fed is not None and not trace.activity and not are_spikes(inputs, silent=True):
        raise UncountableError(
            f"{fed!r} is given spikes that no module emits, so their neurons cannot be counted; put what fires "
            "into a module of its own, and say neurons=(ITS_CLASS,)"
        )


def _spiking_count(name: str, activity: Activity, batch: int) -> SpikingCount:
    return SpikingCount(name, activity.updates / batch, activity.spikes / activity.updates, activity.site.words)
