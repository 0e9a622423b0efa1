"""The training loop shared by every framework and every rule.

Batches, encodings and their order come from named streams, so contenders see the same work; selection uses the
validation split alone. What a batch changes is up to the rule; the loop knows neither frameworks nor records.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spikemark.core.adapter import SpikingNeurons, device_of
from spikemark.core.stages import ChannelNorm, has_line
from spikemark.core.streams import fingerprint, generator
from spikemark.data.encoders import encode
from spikemark.data.loading import Dataset, Split
from spikemark.networks.stages import SpikingNetwork, Stage
from spikemark.training.memory import saved_for_backward
from spikemark.training.parameters import ParameterChange, changes, observed
from spikemark.training.rule import Learner, Protocol, Rule


class DivergedError(ArithmeticError):
    """Training left the numbers (NaN) or the network fell silent; the message says which and when."""


class JobTimeoutError(TimeoutError):
    """The job's time is up."""


@dataclass(frozen=True)
class Epoch:
    """One line of the history."""

    epoch: int
    loss: float
    validation_accuracy: float
    seconds: float


@dataclass
class Watch:
    """Who follows a run: a deadline, checked every batch, and a listener told of every epoch."""

    seconds: float = math.inf
    listener: Callable[[dict[str, Any]], None] = lambda event: None
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.seconds

    def check(self) -> None:
        """Raise `JobTimeoutError` when time is up."""
        if time.monotonic() > self._end:
            raise JobTimeoutError(f"not finished within {self.seconds:g} s")


@dataclass(frozen=True)
class Trained:
    """What training leaves.

    Attributes:
        best_state: of the best-validation epoch.
        best_epoch: its number, from 1.
        last_state: of the last epoch.
        history: one line per epoch.
        fingerprints: hashes of the shared streams.
        saved_bytes: what autograd kept for backward in the first batch; 0 for rules without gradients.
        diagnostics: further numbers of the rule, by name.
        parameters: what thresholds and decays did.
    """

    best_state: dict[str, Tensor]
    best_epoch: int
    last_state: dict[str, Tensor]
    history: tuple[Epoch, ...]
    fingerprints: dict[str, str]
    saved_bytes: int
    diagnostics: Mapping[str, float]
    parameters: tuple[ParameterChange, ...]


@torch.no_grad()
def evaluate(model: SpikingNetwork, split: Split, protocol: Protocol, watch: Watch, *stream: str | int) -> Tensor:
    """Output rates ``[N, classes]`` for a whole split, in evaluation mode.

    Args:
        model: the network; its device is used.
        split: the samples.
        protocol: encoder, steps and batch size.
        watch: deadline.
        stream: axes of the encoding's stream.
    """
    model.eval()
    device = device_of(model)
    random = generator("encoding", *stream)
    batches = []
    for inputs in split.inputs.split(protocol.batch_size):
        watch.check()
        batches.append(scores(model, encode(protocol.encoder, inputs, protocol.steps, random).to(device)).cpu())
    return torch.cat(batches)


def scores(model: nn.Module, inputs: Tensor) -> Tensor:
    """Mean outputs ``[B, classes]`` over the steps for encoded inputs ``[T, B, ...]``, added up in the order of steps.

    `Tensor.mean` adds in an order that follows from the batch size, whose last bit decides between equal classes.
    """
    outputs: Tensor = model(inputs)
    return outputs.cumsum(0)[-1] / len(outputs)


def accuracy(outputs: Tensor, labels: Tensor) -> float:
    """Fraction of samples whose largest output is their label; the first of equal outputs counts."""
    return (outputs.argmax(1) == labels).double().mean().item()


def train(
    model: SpikingNetwork, rule: Rule, dataset: Dataset, protocol: Protocol, seed: int, watch: Watch | None = None
) -> Trained:
    """Train by a rule, in place, and keep the state of the last and of the best-validation epoch.

    Raises:
        DivergedError: the loss, a parameter or a membrane is not finite, or no output neuron fired in a whole epoch.
        JobTimeoutError: the watch's time is up.
    """
    watch = watch or Watch()
    learner = rule.learner(model, protocol, seed)
    learner.begin(dataset.train.inputs)
    fingerprints = {"initial_weights": fingerprint(*model.parameters())}
    before = late = observed(model)
    history: list[Epoch] = []
    best_state, best_epoch, best_accuracy = _state(model), 0, -1.0
    orders = []
    saved = 0
    for epoch in range(1, protocol.epochs + 1):
        if epoch == 1 + math.floor(0.8 * protocol.epochs):
            late = observed(model)
        start = time.monotonic()
        shuffle = generator("order", dataset.name, seed, epoch)
        orders.append(torch.randperm(len(dataset.train), generator=shuffle))
        loss, kept = _train_epoch(model, learner, dataset.train, orders[-1], protocol, (seed, epoch), watch)
        saved = saved or kept
        learner.end_epoch()
        with _finite_membranes(model, protocol.steps, epoch):
            outputs = evaluate(model, dataset.validation, protocol, watch, dataset.name, "validation")
        score = accuracy(outputs, dataset.validation.labels)
        history.append(Epoch(epoch, loss, score, time.monotonic() - start))
        watch.listener({"epoch": epoch, "epochs": protocol.epochs, "loss": loss, "validation_accuracy": score})
        if score > best_accuracy:
            best_state, best_epoch, best_accuracy = _state(model), epoch, score
    fingerprints["batch_order"] = fingerprint(*orders)
    return Trained(
        best_state,
        best_epoch,
        _state(model),
        tuple(history),
        fingerprints,
        saved,
        dict(learner.diagnostics()),
        changes(before, late, observed(model)),
    )


@contextmanager
def _finite_membranes(model: SpikingNetwork, steps: int, epoch: int) -> Iterator[None]:
    """That membranes of what is computed within are numbers: they are, while the currents into them are.

    Raises:
        DivergedError: a current is not finite; the message names the layer.
    """
    wrong: list[str] = []

    def check(name: str, currents: Tensor) -> None:
        if not bool(currents.isfinite().all()):
            wrong.append(name)

    def check_ends(name: str, norm: ChannelNorm, currents: Tensor) -> None:
        """The norm is a line per channel, so all that it gives lies between what it makes of the ends."""
        low, high = currents.movedim(1, 0).flatten(1).aminmax(dim=1)
        gain, offset = norm.line(None, None, 0, steps)
        check(name, torch.stack([gain * low + offset, gain * high + offset]))

    model.eval()
    names = {layer: name for name, layer in model.named_modules() if isinstance(layer, SpikingNeurons)}
    handles = []
    for stage in (module for module in model.modules() if isinstance(module, Stage) and module.form is not None):
        norm, neurons = stage.norm, stage.neurons
        if not (isinstance(norm, ChannelNorm) and has_line(norm) and isinstance(neurons, SpikingNeurons)):
            continue
        if norm.moments() is None:  # neurons that are watched would be computed module by module
            look = partial(check_ends, names.pop(neurons), norm)
            handles.append(stage.synapses.register_forward_hook(lambda _, inputs, out, look=look: look(out)))
    for layer, name in names.items():
        handles.append(layer.register_forward_pre_hook(lambda _, inputs, name=name: check(name, inputs[0])))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if wrong:
        raise DivergedError(f"the current into {wrong[0]} is not finite in epoch {epoch}")


def _state(model: SpikingNetwork) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


def _train_epoch(
    model: SpikingNetwork,
    learner: Learner[Any],
    split: Split,
    order: Tensor,
    protocol: Protocol,
    stream: tuple[int, int],
    watch: Watch,
) -> tuple[float, int]:
    """One pass over the split in the given order.

    Returns:
        The mean loss over the samples learnt from (a last batch of one is left out), and the bytes kept for backward in
        the first batch.
    """
    model.train()
    device = device_of(model)
    random = generator("encoding", *stream)
    total = torch.zeros((), device=device)
    spikes = torch.zeros((), device=device)
    saved = learnt = 0
    for number, batch in enumerate(order.split(protocol.batch_size)):
        watch.check()
        if len(batch) < 2:  # batch norm needs two samples
            continue
        encoded = encode(protocol.encoder, split.inputs[batch], protocol.steps, random).to(device)
        labels = split.labels[batch].to(device)
        very_first = number == 0 and stream[1] == 1
        with saved_for_backward(model, encoded) if very_first else nullcontext() as seen:
            loss, outputs = learner.learn(encoded, labels)
        saved = seen.bytes if seen is not None else saved
        total += loss * len(batch)
        learnt += len(batch)
        spikes += outputs.abs().sum()
    # Neurons whose parameters are NaN never fire, and outputs of 0 have a finite loss.
    for name, value in model.state_dict().items():
        if not bool(value.isfinite().all()):
            raise DivergedError(f"{name} is not finite in epoch {stream[1]}")
    mean_loss = total.item() / max(1, learnt)
    if not math.isfinite(mean_loss):
        raise DivergedError(f"the loss is {mean_loss} in epoch {stream[1]}")
    if spikes.item() == 0:
        raise DivergedError(f"no output neuron fired in epoch {stream[1]}: the network is dead")
    return mean_loss, saved
