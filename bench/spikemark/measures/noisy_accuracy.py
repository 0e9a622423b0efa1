"""Accuracy under noise of a network trained once.

This module evaluates cases; `spikemark.noise` disturbs them. Draws depend on data set, noise, severity and seed alone,
so every framework and neuron meets the same ones, as the fingerprints prove; and every seed meets others, so that
intervals hold for the noise and not for one draw of it. A seed may meet several: of hardware noise each draw is a chip.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikemark.core.adapter import Adapter, Unsupported, device_of
from spikemark.core.measurement import Measurement, pack_correct
from spikemark.core.streams import Fingerprint, generator
from spikemark.data.recordings import Recordings
from spikemark.errors import InputError
from spikemark.noise.case import (
    NOISES,
    WORST,
    Case,
    EncodeStep,
    Levels,
    Noise,
    SearchLog,
    Threat,
    adversaries,
    within,
)
from spikemark.training.loop import scores

Right = NDArray[np.bool_]
"""Whether each sample is read correctly, ``[draws, samples]``."""

STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""After how many steps of an attack accuracy is told, as far as it makes them."""


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
    draws: int = 1,
    per_sample: bool = False,
    budgets: Mapping[Threat, Levels] | None = None,
    multiplied: Callable[[], Sequence[str]] | None = None,
    left_out: dict[str, str] | None = None,
) -> tuple[list[Measurement], dict[str, str]]:
    """Accuracy on the same samples, clean and under each noise and severity.

    The clean samples are evaluated once and stand as severity 0 of every noise. Several attacks of one threat are one
    adversary, whose row is called ``worst-THREAT``: a sample counts as read correctly if no attack made the network
    misread it, neither at the severity nor at a smaller level, whose ball lies within.

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
        draws: of each noise and severity; attacks search once.
        per_sample: whether measurements hold the correctness of every sample.
        budgets: levels of attacks, by threat, in place of the catalogue's.
        multiplied: see `Case.multiplied`.
        left_out: told of every noise that the neurons do not allow, and why; without it such a noise is an error.

    Returns:
        The measurements, and a hash for each noise and severity of the noisy samples and of the generator's state after
        all draws: ``{"noise:gaussian:3": ...}``. Contenders with equal hashes met the same noise.

    Raises:
        UnknownNameError: no such noise.
        spikemark.core.adapter.Unsupported: the neurons do not allow a noise, or none of those that are asked for.
        InputError: no samples, a severity outside 0..5, or a noise that does not fit the samples or the network.
    """
    if len(labels) == 0:
        raise InputError("robustness: there are no samples to evaluate")
    chosen = [within(NOISES[name], budgets or {}) for name in noises]
    together = adversaries(chosen)
    model.eval()
    recorded = recordings and recordings.first(len(labels))
    case = Case(model, inputs, labels, encode_step, adapter, recorded, multiplied=multiplied)
    clean, unharmed = Fingerprint(inputs), _right(case, dataset_name, batch_size)[None]
    found: dict[tuple[str, int], Right] = {}
    searches: dict[tuple[str, int], SearchLog] = {}
    fingerprints = {"noise:clean": str(clean)}
    refused: dict[str, str] = {}
    for noise in chosen:
        own = _Under(noise, {(noise.name, 0): unharmed}, {}, {})
        try:
            for severity in sorted(set(severities) - {0}):
                own.add(case, severity, dataset_name, batch_size, seed, draws, clean)
        except Unsupported as error:
            if left_out is None:
                raise
            refused[noise.name] = str(error)
            continue
        found |= own.found
        searches |= own.searches
        fingerprints |= own.fingerprints
    if chosen and len(refused) == len(chosen):
        raise Unsupported("; ".join(dict.fromkeys(refused.values())))
    if left_out is not None:
        left_out |= refused
    for threat, attacks in together.items():
        found |= _worst(WORST + threat, attacks, found)
    rows = [_row(*place, right, per_sample) for place, right in sorted(found.items(), key=lambda item: item[0][1] > 0)]
    rows += [row for place, log in searches.items() for row in _search_rows(*place, log)]
    return rows, fingerprints


@dataclass
class _Under:
    """What is found of a network under one noise, by severity; `fingerprints` and `searches` as well."""

    noise: Noise
    found: dict[tuple[str, int], Right]
    searches: dict[tuple[str, int], SearchLog]
    fingerprints: dict[str, str]

    def add(
        self, case: Case, severity: int, dataset_name: str, batch_size: int, seed: int, draws: int, clean: Fingerprint
    ) -> None:
        """Evaluate the case at a severity, once for every draw."""
        right = []
        for draw in range(draws if self.noise.domain != "adversary" else 1):
            with _disturbed(case, self.noise, severity, dataset_name, seed, draw, clean) as (disturbed, name):
                right.append(_right(disturbed, dataset_name, batch_size))
                self.fingerprints[":".join(["noise", self.noise.name, str(severity), *_extra(draw)])] = name()
                if disturbed.search is not None:
                    self.searches[self.noise.name, severity] = disturbed.search
        self.found[self.noise.name, severity] = np.stack(right)


def _worst(name: str, attacks: Sequence[Noise], found: Mapping[tuple[str, int], Right]) -> dict[tuple[str, int], Right]:
    """What no attack at a severity's level, or at a smaller one, makes the network misread."""
    severities = sorted({severity for noise, severity in found if noise == attacks[0].name})
    levels = {severity: attacks[0].levels[severity - 1] if severity else 0.0 for severity in severities}
    return {
        (name, severity): np.logical_and.reduce(
            [found[attack.name, other] for attack in attacks for other in severities if levels[other] <= level]
        )
        for severity, level in levels.items()
    }


def _extra(draw: int) -> tuple[str, ...]:
    """What tells a draw from the first in names."""
    return (str(draw),) if draw else ()


@contextmanager
def _disturbed(
    case: Case, noise: Noise, severity: int, dataset_name: str, seed: int, draw: int, clean: Fingerprint
) -> Iterator[tuple[Case, Callable[[], str]]]:
    """The disturbed case and, once it was evaluated, the hash of its samples and draws.

    Noisy samples that are the same for every network are made once per process, as far as memory is set aside for them.
    """
    binning = case.recordings.binning if case.recordings is not None and noise.domain == "events" else None
    key = (dataset_name, noise.name, noise.levels, severity, seed, draw, binning, len(case.inputs))
    known = _NOISY.get(str(clean), key) if noise.shared else None
    if known is not None:
        yield replace(case, inputs=known[0]), lambda: known[1]
        return
    random = generator("noise", dataset_name, noise.name, severity, seed, *_extra(draw))
    with noise.apply(case, severity, random) as disturbed:
        samples = clean if disturbed.inputs is case.inputs else Fingerprint(disturbed.inputs)
        name = cache(lambda: str(samples.followed_by(*(draws.get_state() for draws in (random, *disturbed.draws)))))
        yield disturbed, name
        if noise.shared:
            _NOISY.put(str(clean), key, disturbed.inputs, name())


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
def _right(case: Case, dataset_name: str, batch_size: int) -> Right:
    """Whether each sample's largest output rate is its label's; the encoding's stream begins anew each time."""
    device = device_of(case.model)
    random = generator("encoding", dataset_name, "test")
    right = []
    batches = zip(torch.split(case.inputs, batch_size), torch.split(case.labels, batch_size), strict=True)
    for inputs, labels in batches:
        outputs = scores(case.model, case.encode_step(inputs, random).to(device))
        right.append(outputs.argmax(1).cpu() == labels)
    return torch.cat(right).numpy()


def _row(noise: str, severity: int, right: Right, per_sample: bool) -> Measurement:
    row: Measurement = {
        "metric": "accuracy",
        "value": float(right.mean()),
        "unit": "fraction",
        "split": "test",
        "noise": noise,
        "severity": severity,
    }
    if len(right) > 1:
        row["values"] = right.mean(axis=1).tolist()
    if per_sample:
        row["correct"] = pack_correct(right.ravel())
    return row


def _search_rows(noise: str, severity: int, log: SearchLog) -> list[Measurement]:
    """Accuracy as the attack saw it after some of its steps, and how often it had no gradient to begin with."""
    rows: list[Measurement] = [
        {
            "metric": "accuracy_after_steps",
            "value": ((log.fooled_at < 0) | (log.fooled_at > steps)).double().mean().item(),
            "unit": "fraction",
            "split": "test",
            "noise": noise,
            "severity": severity,
            "point": {"steps": steps},
        }
        for steps in sorted({steps for steps in STEPS if steps < log.steps} | {log.steps})
    ]
    if log.flat is not None:
        flat: Measurement = {"metric": "zero_gradients", "value": log.flat, "unit": "fraction", "split": "test"}
        rows.append(flat | {"noise": noise, "severity": severity})
    return rows
