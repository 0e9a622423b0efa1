"""Whether a trained network says anything: classes that it never predicts, neurons that never fire, chance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from spikemark.core.foreign import Site, first_tensor, neuron_sites
from spikemark.core.streams import generator
from spikemark.data.encoders import encode
from spikemark.training.loop import accuracy

if TYPE_CHECKING:
    from spikemark.measures.subject import Subject

MOST_SILENT = 0.5
"""The largest share of silent neurons that a network may have."""
_SAMPLES = 256


def recall(outputs: Tensor, labels: Tensor, classes: int) -> list[float | None]:
    """For each class the fraction of its samples that is recognised; None for a class without samples."""
    right = outputs.argmax(1) == labels
    return [
        right[labels == number].double().mean().item() if bool((labels == number).any()) else None
        for number in range(classes)
    ]


@torch.no_grad()
def silent_shares(subject: Subject) -> dict[str, float]:
    """By spiking layer, the share of neurons that never fire on the first test samples (at most 256)."""
    model, protocol, data = subject.model, subject.protocol, subject.dataset
    fired: dict[str, Tensor] = {}
    random = generator("encoding", data.name, "test")
    for inputs in data.test.inputs[:_SAMPLES].split(protocol.batch_size):
        subject.watch.check()
        with _watching(model, fired, len(inputs)):
            model(encode(protocol.encoder, inputs, protocol.steps, random).to(subject.device))
    return {name: 1 - seen.double().mean().item() for name, seen in fired.items()}


@contextmanager
def _watching(model: nn.Module, fired: dict[str, Tensor], samples: int) -> Iterator[None]:
    def hook(site: Site, output: Any) -> None:
        spikes = first_tensor(output)
        if spikes is not None:
            now = (site.per_neuron(spikes, samples) != 0).any(0)
            fired[site.name] = fired[site.name] | now if site.name in fired else now

    handles = [
        site.module.register_forward_hook(lambda _, __, output, site=site: hook(site, output))
        for site in neuron_sites(model)
        if site.known.spiking and site.known.counted
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def degenerate(subject: Subject) -> str | None:
    """Why contrasts must not use the network; None where they may."""
    outputs, labels, classes = subject.test_outputs, subject.dataset.test.labels, subject.dataset.classes
    predicted = outputs.argmax(1)
    never = [number for number in labels.unique().tolist() if not bool((predicted == number).any())]
    if never:
        return f"{len(never)} of {classes} classes are never predicted"
    score, chance = accuracy(outputs, labels), 1 / classes
    if score <= chance + 2 * math.sqrt(chance * (1 - chance) / len(labels)):
        return f"accuracy {score:.1%} is no better than chance"
    shares = silent_shares(subject)
    silent = sum(shares.values()) / len(shares) if shares else 0.0
    return f"{silent:.0%} of the neurons never fire" if silent > MOST_SILENT else None
