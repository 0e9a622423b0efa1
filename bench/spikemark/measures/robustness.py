"""Accuracy under noise of a network trained once, and the numbers that sum up its curves.

The measure evaluates cases; what disturbs them is the affair of `spikemark.noise`. Draws depend on data set, noise and
severity alone, so every framework, neuron and seed meets the same ones; the fingerprints prove it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn

from spikemark.adapter import Adapter
from spikemark.datasets import Recordings
from spikemark.errors import InputError
from spikemark.noise import Case, EncodeStep, Noise, find_noise
from spikemark.results import Measurement
from spikemark.streams import fingerprint, generator

Curve = Mapping[int, float]
"""Accuracy at each severity; 0 is clean."""


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
        batch_size: samples at a time; noise on spikes is drawn batch by batch, so it belongs to the protocol.
        adapter: the framework of the network's neurons; needed for mismatch of thresholds and decays alone.
        recordings: the event lists behind the samples (the first of them), for noises on events.

    Returns:
        The measurements, and a hash for each noise and severity of the noisy samples and of the generator's state after
        all draws: ``{"noise:gaussian:3": ...}``. Contenders with equal hashes met the same noise.

    Raises:
        UnknownNameError: no such noise.
        InputError: no samples, a severity outside 0..5, or a noise that does not fit the samples or the network.
    """
    if len(labels) == 0:
        raise InputError("robustness: there are no samples to evaluate")
    chosen = [find_noise(name) for name in noises]
    model.eval()
    case = Case(model, inputs, labels, encode_step, adapter, recordings and recordings.first(len(labels)))
    clean = _accuracy(case, dataset_name, batch_size)
    rows: list[Measurement] = [_row(noise.name, 0, clean) for noise in chosen]
    fingerprints = {"noise:clean": fingerprint(inputs)}
    for noise in chosen:
        for severity in sorted(set(severities) - {0}):
            with _disturbed(case, noise, severity, dataset_name, fingerprints["noise:clean"]) as (disturbed, name):
                rows.append(_row(noise.name, severity, _accuracy(disturbed, dataset_name, batch_size)))
                fingerprints[f"noise:{noise.name}:{severity}"] = name()
    return rows, fingerprints


@contextmanager
def _disturbed(
    case: Case, noise: Noise, severity: int, dataset_name: str, clean: str
) -> Iterator[tuple[Case, Callable[[], str]]]:
    """The disturbed case and, once it was evaluated, the hash of its samples and draws.

    Noisy samples that are the same for every network are made once a process, as far as memory is set aside for them.
    """
    binning = case.recordings.binning if case.recordings is not None and noise.domain == "events" else None
    key = (dataset_name, noise.name, noise.levels, severity, binning, len(case.inputs))
    known = _NOISY.get(clean, key) if noise.shared else None
    if known is not None:
        yield replace(case, inputs=known[0]), lambda: known[1]
        return
    random = generator("noise", dataset_name, noise.name, severity)
    with noise.apply(case, severity, random) as disturbed:
        name = cache(lambda: fingerprint(disturbed.inputs, random.get_state()))
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
    parameter = next(case.model.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    random = generator("encoding", dataset_name, "test")
    correct = 0
    batches = zip(torch.split(case.inputs, batch_size), torch.split(case.labels, batch_size), strict=True)
    for inputs, labels in batches:
        outputs: Tensor = case.model(case.encode_step(inputs, random).to(device))
        correct += int((outputs.mean(0).argmax(1).cpu() == labels).sum())
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


def mean_accuracy(curve: Curve) -> float:
    """Mean over the noisy severities, without the clean one."""
    noisy = [accuracy for severity, accuracy in curve.items() if severity > 0]
    return math.fsum(noisy) / len(noisy)


def normalised_area(curve: Curve, chance: float) -> float:
    """Area under the margin over chance, from clean to the last severity, as a fraction of keeping all of it.

    1: nothing is lost at any severity; 0: chance throughout. By the trapezoidal rule; NaN where the clean accuracy
    itself is no better than chance.
    """
    severities = sorted(curve)
    margin = curve[0] - chance
    if margin <= 0:
        return math.nan
    area = math.fsum((b - a) * (curve[a] + curve[b] - 2 * chance) / 2 for a, b in pairwise(severities))
    return area / (margin * (severities[-1] - severities[0]))


def half_margin_severity(curve: Curve, chance: float) -> float | None:
    """The severity at which half of the clean margin over chance is first lost, interpolated linearly.

    None where that does not happen up to the last severity; NaN where there is no margin to lose.
    """
    if curve[0] <= chance:
        return math.nan
    half = (curve[0] + chance) / 2
    for a, b in pairwise(sorted(curve)):
        if curve[b] <= half:
            return a + (b - a) * (curve[a] - half) / (curve[a] - curve[b])
    return None


def corruption_error(curve: Curve, baseline: Curve) -> float:
    """``sum_s E_s / sum_s E_s(baseline)`` over the noisy severities, E the error rate.

    CE of Hendrycks and Dietterich, ICLR 2019, as a fraction: 1 is the baseline's. NaN where the baseline never errs.
    """
    return _quotient(curve, baseline, lambda c, severity: 1 - c[severity])


def relative_corruption_error(curve: Curve, baseline: Curve) -> float:
    """``sum_s (E_s - E_0) / sum_s (E_s - E_0)(baseline)``: the errors that the noise adds to the clean ones.

    Relative CE of Hendrycks and Dietterich, ICLR 2019, as a fraction. NaN where the baseline loses nothing.
    """
    return _quotient(curve, baseline, lambda c, severity: c[0] - c[severity])


def mean_over_noises(
    number: Callable[[Curve, Curve], float], curves: Mapping[str, Curve], baseline: Mapping[str, Curve]
) -> float:
    """The mean over noises: mCE of `corruption_error`, relative mCE of `relative_corruption_error`.

    Raises:
        ValueError: the baseline was measured under other noises.
    """
    if set(curves) != set(baseline) or not curves:
        names = ", ".join(sorted(set(curves) ^ set(baseline))) or "none at all"
        raise ValueError(f"system and baseline need the same noises; they differ in: {names}")
    return math.fsum(number(curves[noise], baseline[noise]) for noise in curves) / len(curves)


def _quotient(curve: Curve, baseline: Curve, error: Callable[[Curve, int], float]) -> float:
    severities: Sequence[int] = sorted(set(curve) - {0})
    if set(curve) != set(baseline):
        raise ValueError(f"curves have other severities: {sorted(curve)} and {sorted(baseline)}")
    below = math.fsum(error(baseline, severity) for severity in severities)
    above = math.fsum(error(curve, severity) for severity in severities)
    return above / below if below else math.nan
