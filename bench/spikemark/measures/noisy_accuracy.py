"""Accuracy under noise of a network trained once.

This module evaluates cases; `spikemark.noise` disturbs them. Draws depend on data set, noise, severity and seed alone,
so every framework and neuron meets the same ones, as the fingerprints prove; and every seed meets others, so that
intervals hold for the noise and not for one draw of it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Adapter, device_of
from spikemark.core.measurement import Measurement
from spikemark.core.streams import fingerprint, generator
from spikemark.data.recordings import Recordings
from spikemark.errors import InputError
from spikemark.noise.case import NOISES, Case, EncodeStep, Noise
from spikemark.training.loop import scores


def robustness(
    model: nn.Module,
    dataset_name: str,
    inputs: Tensor,
    labels: Tensor,
    encode_step: EncodeStep,
    noises: Iterable[str],
    severities: Iterable[int],
    batch_size: int,
    adapter: Adapter | None = None,
    recordings: Recordings | None = None,
    *,
    seed: int = 0,
) -> tuple[list[Measurement], dict[str, str]]:
    """Accuracy on the same samples, clean and under each noise and severity.

    The clean samples are evaluated once and stand as severity 0 of every noise.

    Args:
        model: trained; put in evaluation mode, otherwise unchanged.
        dataset_name: names the streams of the draws.
        inputs: test samples ``[N, ...]`` in 0..1, not encoded.
        labels: ``[N]``.
        encode_step: how a batch of samples reaches the network.
        noises: names in `spikemark.noise.NOISES`.
        severities: among 1 to 5.
        batch_size: samples at a time; it changes nothing but speed.
        adapter: the framework of the network's neurons; needed for mismatch of thresholds and decays alone.
        recordings: the event lists behind the samples (the first of them), for noises on events.
        seed: of all draws.

    Returns:
        The measurements, and a hash for each noise and severity of the noisy samples and of the generator's state after
        all draws: ``{"noise:gaussian:3": ...}``. Contenders with equal hashes met the same noise.

    Raises:
        UnknownNameError: no such noise.
        InputError: no samples, a severity outside 0..5, or a noise that does not fit the samples or the network.
    """
    if len(labels) == 0:
        raise InputError("robustness: there are no samples to evaluate")
    chosen = [NOISES[name] for name in noises]
    model.eval()
    case = Case(model, inputs, labels, encode_step, adapter, recordings and recordings.first(len(labels)))
    accuracy, clean = _accuracy(case, dataset_name, batch_size), fingerprint(inputs)
    rows: list[Measurement] = [_row(noise.name, 0, accuracy) for noise in chosen]
    fingerprints = {"noise:clean": clean}
    for noise in chosen:
        for severity in sorted(set(severities) - {0}):
            with _disturbed(case, noise, severity, dataset_name, seed, clean) as (disturbed, name):
                rows.append(_row(noise.name, severity, _accuracy(disturbed, dataset_name, batch_size)))
                fingerprints[f"noise:{noise.name}:{severity}"] = name()
    return rows, fingerprints


@contextmanager
def _disturbed(
    case: Case, noise: Noise, severity: int, dataset_name: str, seed: int, clean: str
) -> Iterator[tuple[Case, Callable[[], str]]]:
    """The disturbed case and, once it was evaluated, the hash of its samples and draws.

    Noisy samples that are the same for every network are made once per process, as far as memory is set aside for them.
    """
    binning = case.recordings.binning if case.recordings is not None and noise.domain == "events" else None
    key = (dataset_name, noise.name, noise.levels, severity, seed, binning, len(case.inputs))
    known = _NOISY.get(clean, key) if noise.shared else None
    if known is not None:
        yield replace(case, inputs=known[0]), lambda: known[1]
        return
    random = generator("noise", dataset_name, noise.name, severity, seed)
    with noise.apply(case, severity, random) as disturbed:
        name = cache(
            lambda: fingerprint(disturbed.inputs, random.get_state(), *(draws.get_state() for draws in disturbed.draws))
        )
        yield disturbed, name
        if noise.shared:
            _NOISY.put(clean, key, disturbed.inputs, name())


class _Store:
    """Noisy versions of one set of samples at a time: what is put first stays, up to a number of bytes.

    Contenders go through the noises in the same order, where a store that forgets the oldest would never be asked for
    what it still holds.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.clean = ""
        self.used = 0
        self.entries: dict[Hashable, tuple[Tensor, str]] = {}

    def get(self, clean: str, key: Hashable) -> tuple[Tensor, str] | None:
        """The noisy samples and their hash; None when they are not at hand."""
        return self.entries.get(key) if clean == self.clean else None

    def put(self, clean: str, key: Hashable, inputs: Tensor, name: str) -> None:
        """Keep them if there is room; other clean samples than before empty the store."""
        if clean != self.clean:
            self.clean, self.used, self.entries = clean, 0, {}
        if self.used + inputs.nbytes <= self.limit:
            self.used += inputs.nbytes
            self.entries[key] = inputs, name


_NOISY = _Store(limit=512 * 2**20)


@torch.no_grad()
def _accuracy(case: Case, dataset_name: str, batch_size: int) -> float:
    """Fraction of samples whose largest output rate is their label; the encoding's stream begins anew each time."""
    device = device_of(case.model)
    random = generator("encoding", dataset_name, "test")
    correct = 0
    batches = zip(torch.split(case.inputs, batch_size), torch.split(case.labels, batch_size), strict=True)
    for inputs, labels in batches:
        outputs = scores(case.model, case.encode_step(inputs, random).to(device))
        correct += int((outputs.argmax(1).cpu() == labels).sum())
    return correct / len(case.labels)


def _row(noise: str, severity: int, value: float) -> Measurement:
    return {
        "metric": "accuracy",
        "value": value,
        "unit": "fraction",
        "split": "test",
        "noise": noise,
        "severity": severity,
    }
