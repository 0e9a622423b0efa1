"""Judges one number: what may be said of HEAD against BASE, and whether it is a regression.

Deterministic numbers differ or do not. Scores are paired over seeds and tested against a margin. Costs are noisy: a
verdict needs the whole interval of their ratio on one side of the threshold. What cannot be told is "undecided", with
the effect that could have been seen. `docs/regression.md` has the reasons and the measured error rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spikemark.core.statistics import ALPHA, POWER, Difference, holm, minimum_detectable_effect, paired_difference
from spikemark.regression.pooled import Moved, lower_tails
from spikemark.regression.ratios import FEWEST_VALUES, LARGEST_LOG, Ratio, median_ratio
from spikemark.regression.series import INSTRUCTIONS, Series, Values

FindingVerdict = Literal["slower", "faster", "worse", "better", "same", "undecided"]


@dataclass(frozen=True)
class Limits:
    """How much change passes.

    Attributes:
        threshold: for costs, as a fraction: 0.05 lets 5 % more time pass.
        margin: for scores, in their unit: 0.005 is half a point of accuracy.
        instructions: for instruction counts, as a fraction; they vary by some 0.3 % between processes.
        alpha: two-sided chance of a false alarm, shared by all noisy benchmarks of a comparison.

    Raises:
        ValueError: a limit is out of its range.
    """

    threshold: float = 0.05
    margin: float = 0.005
    instructions: float = 0.01
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 10:
            raise ValueError(f"threshold: {self.threshold:g} lies outside 0 % to 1000 %")
        if not 0 < self.margin < 1:
            raise ValueError(f"margin: {self.margin:g} lies outside 0 to 1")
        if not self.instructions >= 0:
            raise ValueError(f"instructions: {self.instructions:g} is negative")


FEWEST_FLOOR_RUNS = 3
"""Of the same code, to tell how far runs lie apart."""


@dataclass(frozen=True)
class Floor:
    """How far two runs of the same code lie apart on this machine, measured by A/A runs.

    Attributes:
        deviation: standard deviation of the logarithm of a run's median.
        runs: how many runs it was measured with.
    """

    deviation: float
    runs: int


@dataclass(frozen=True)
class Finding:
    """The verdict on one number.

    Attributes:
        benchmark: whose number.
        label: which number.
        unit: of `base` and `head`.
        kind: "exact", "score" or "cost".
        verdict: what may be said of HEAD.
        regression: whether it makes the comparison fail.
        base: BASE's typical value.
        head: HEAD's.
        change: relative to BASE; for scores, the difference.
        low: lower end of the 95 % interval of `change`; NaN where there is none.
        high: upper end.
        detectable: for "undecided", the smallest change (in the unit of `change`) found in 80 of 100 such comparisons.
        note: what else must be known.
        lost: predictions that are no longer right, over the seeds that both sides have.
        won: predictions that have become right.
    """

    benchmark: str
    label: str
    unit: str
    kind: str
    verdict: FindingVerdict
    regression: bool
    base: float
    head: float
    change: float
    low: float = math.nan
    high: float = math.nan
    detectable: float = math.nan
    note: str = ""
    lost: int = 0
    won: int = 0


@dataclass(frozen=True)
class Evidence:
    """A noisy number before the verdict, which depends on how many others are judged with it.

    Attributes:
        finding: everything but the verdict.
        p_worse: one-sided, of "not worse by more than what passes".
        p_better: likewise.
        inside: whether the interval lies wholly within what passes.
        worse: what a change for the worse is called.
        better: what one for the better is called.
        family: numbers that are judged together share one chance of a false alarm.
        least: the smallest two-sided p-value that such numbers can give.
        moved: how a score moved in each seed; None for others, and where it did not.
        shown: what a verdict rests on, beside the number itself.
    """

    finding: Finding
    p_worse: float
    p_better: float
    inside: bool
    worse: FindingVerdict
    better: FindingVerdict
    family: str = "cost"
    least: float = 0.0
    moved: Moved | None = None
    shown: str = ""


def judge_exact(base: Series, head: Series, limits: Limits) -> Finding:
    """A deterministic number: any difference, in any place that both sides have, is a finding.

    Instruction counts are nearly that: their differences count beyond `Limits.instructions`.
    """
    metric = base.metric
    shared = [place for place in base.exact if place in head.exact]
    differing = [place for place in shared if base.exact[place] != head.exact[place]]
    totals = [place for place in shared if not place[1]] or shared
    before, after = (sum(side.exact[place] for place in totals) / len(totals) for side in (base, head))
    change = (after - before) / abs(before) if before else math.copysign(math.inf, after) if after else 0.0
    worse, better = _words(base)
    verdict: FindingVerdict = "same"
    if differing and not (base.metric is INSTRUCTIONS and abs(change) <= limits.instructions):
        # Layers may move while their total stands still; that too is a change for the worse until someone says not.
        grown = after >= before
        verdict = better if grown == metric.more else worse
    places = "" if len(differing) < 2 else f"differs in {len(differing)} of {len(shared)} places"
    return Finding(
        base.benchmark, base.label, base.unit, "exact", verdict, verdict == worse, before, after, change,
        change, change, note="; ".join(part for part in (places, head.said) if part),
    )  # fmt: skip


def weigh_score(base: Series, head: Series, limits: Limits) -> Evidence:
    """Accuracy: worse when a loss is certain and a loss beyond the margin is not excluded (non-inferiority).

    Of one seed, only the samples can say something: it is worse when the loss is certain to exceed the margin.

    Raises:
        ValueError: the sides have no seed in common.
    """
    scores = [dict(side.scores) for side in (head, base)]
    if len({np.size(score) for side in scores for score in side.values()}) > 1:
        scores = [{seed: float(np.mean(score)) for seed, score in side.items()} for side in scores]
    difference = paired_difference(*scores)
    shared = sorted(set(base.scores) & set(head.scores))
    before, after = (float(np.mean([np.mean(side.scores[s]) for s in shared])) for side in (base, head))
    equal = all(np.array_equal(scores[0][s], scores[1][s]) for s in shared)
    low, high, half = difference.low, difference.high, difference.p / 2
    alone = len(shared) == 1 and not equal
    if equal or (len(shared) > 1 and not difference.error > 0 and difference.value != 0):
        # No spread at all: nothing for a test to work with, and nothing for it to doubt.
        low = high = difference.value
        half = 1.0 if equal else 0.0
    inside = low > -limits.margin and high < limits.margin
    p_worse = half if difference.value < 0 and not low > -limits.margin else 1.0
    p_better = half if difference.value > 0 else 1.0
    changes = np.asarray(scores[0][shared[0]], dtype=np.float64) - scores[1][shared[0]]
    if alone and changes.size > 1:
        low, high, p_worse, p_better = _of_one_network(changes, limits.margin)
        inside = False
    moved = np.stack([np.atleast_1d(scores[0][s]) - np.atleast_1d(scores[1][s]) for s in shared])
    lost, won = (int((moved < 0).sum()), int((moved > 0).sum())) if moved.shape[1] > 1 else (0, 0)
    told = [f"{lost + won} predictions changed ({lost} lost, {won} won)"] if lost + won else []
    told += ["one seed: it tells of this network alone"] if alone else []
    finding = Finding(
        base.benchmark, base.label, base.unit, "score", "undecided", False, before, after, difference.value, low, high,
        detectable=_seen(difference), note="; ".join(told), lost=lost, won=won,
    )  # fmt: skip
    # However the samples that changed fall, all to one side is the most that they can show.
    least = 1.0 if equal else 2 * 0.5 ** int(moved.mean(axis=0).astype(bool).sum()) if lost + won and not alone else 0.0
    step = 1 / moved.shape[1] if moved.shape[1] > 1 else 0.0
    by_seed = None if equal or len(shared) < 2 else Moved(tuple(map(float, moved.mean(axis=1))), step)
    return Evidence(finding, p_worse, p_better, inside, "worse", "better", base.family, least, by_seed)


def _of_one_network(changes: NDArray[np.float64], margin: float) -> tuple[float, float, float, float]:
    """Ends of the 95 % interval over samples, and one-sided p-values of a loss and a gain within the margin.

    Half an imaginary sample at each bound keeps samples that all agree from being certainty.
    """
    values, weights = np.append(changes, [-1.0, 1.0]), np.append(np.ones(changes.size), [0.5, 0.5])
    change = float(changes.mean())
    spread = float(np.average((values - np.average(values, weights=weights)) ** 2, weights=weights))
    error = math.sqrt(spread / changes.size)
    reach = float(stats.norm.ppf(1 - ALPHA / 2)) * error
    tails = [float(stats.norm.cdf((side * change + margin) / error)) for side in (1, -1)]
    return change - reach, change + reach, tails[0], tails[1]


def weigh_cost(
    base: Series, head: Series, limits: Limits, *, paired: bool = False, floor: Floor | None = None
) -> Evidence:
    """Time or memory: the ratio of medians with its interval.

    With enough runs on both sides a run's median is one value; otherwise all repeats of all runs are the values, which
    do not show how runs differ: that is what `floor` adds, or else the runs themselves where a side has some. Without
    either such evidence counts for nothing.
    """
    samples, between, note, known = [head.runs, base.runs], 0.0, "", True
    if min(len(side) for side in samples) >= FEWEST_VALUES:
        values = [[float(np.median(run)) for run in side] for side in samples]
    else:
        paired = False
        values = [[value for run in side for value in run] for side in samples]
        floor = floor or _own_floor(samples)
        if floor is not None:
            between = floor.deviation * math.sqrt(sum(1 / len(side) for side in samples))
        else:
            known = False
            note = (
                f"no noise floor is known: compare {FEWEST_VALUES} runs on each side (or {FEWEST_FLOOR_RUNS} on one), "
                "or measure it with --same-code"
            )
    if min(map(min, values)) <= 0:
        return _without_ratio(base, *(float(np.median(side)) for side in reversed(values)))
    ratio = median_ratio(*values, paired=paired, between=between, degrees=floor.runs - 1 if floor else 0)
    before, after = (float(np.median(side)) for side in reversed(values))
    if not ratio.draws.size:
        note = f"fewer than {FEWEST_VALUES} values on a side, and no noise floor is known"
    limit = 1 + limits.threshold
    p_more, p_less = (ratio.p_beyond(limit), ratio.p_beyond(1 / limit)) if known else (1.0, 1.0)
    more_is_better = base.metric.more
    finding = Finding(
        base.benchmark, base.label, base.unit, "cost", "undecided", False, before, after,
        ratio.value - 1, ratio.low - 1, ratio.high - 1, detectable=_detectable(ratio, limit, limits.alpha), note=note,
    )  # fmt: skip
    worse, better = _words(base)
    return Evidence(
        finding, p_less if more_is_better else p_more, p_more if more_is_better else p_less,
        known and 1 / limit < ratio.low and ratio.high < limit, worse, better, least=0.0 if known else 1.0,
    )  # fmt: skip


def _own_floor(sides: list[list[Values]]) -> Floor | None:
    """How far runs of one side lie apart, both sides taken together; None where neither has runs enough."""
    logs = [np.log([np.median(run) for run in side]) for side in sides if min(map(min, side)) > 0]
    if len(logs) < len(sides) or max(map(len, logs)) < FEWEST_FLOOR_RUNS:
        return None
    degrees = sum(log.size - 1 for log in logs)
    squares = sum(float(((log - log.mean()) ** 2).sum()) for log in logs)
    return Floor(math.sqrt(squares / degrees), degrees + 1)


def _without_ratio(base: Series, before: float, after: float) -> Evidence:
    """Costs of 0, such as memory too small to be seen."""
    change = 0.0 if before == after else math.copysign(math.inf, after - before)
    note = "" if before == after else "a value of 0 or less has no ratio to others"
    finding = Finding(
        base.benchmark, base.label, base.unit, "cost", "undecided", False, before, after, change, note=note
    )
    return Evidence(finding, 1.0, 1.0, before == after, *_words(base), least=1.0)


def decide(evidence: list[Evidence], limits: Limits) -> list[Finding]:
    """Verdicts on the noisy numbers of one comparison; together they raise a false alarm with probability `alpha`.

    Families (accuracy, accuracy under noise, costs) share `alpha` evenly, so that many noises do not hide what happened
    to the clean accuracy. Within one, Holm's correction is over the numbers that could be significant at all (Tarone,
    Biometrics 46, 1990): predictions that did not change cannot, and take nothing from those that did. A number is
    "same" when its interval lies within what passes.
    """
    evidence = _beside_the_others(evidence)
    families: dict[str, list[int]] = {}
    for index, item in enumerate(evidence):
        if item.least < limits.alpha:
            families.setdefault(item.family, []).append(index)
    share = limits.alpha / max(1, len(families))
    corrected = [1.0] * len(evidence)
    for members in families.values():
        testable = _testable([evidence[index].least for index in members], share)
        kept = [index for index, may in zip(members, testable, strict=True) if may]
        for index, p in zip(kept, holm([_two_sided(evidence[index]) for index in kept]), strict=True):
            corrected[index] = p
    findings = []
    for item, p in zip(evidence, corrected, strict=True):
        verdict: FindingVerdict = "same" if item.inside else "undecided"
        if p < share:
            verdict = item.worse if item.p_worse < item.p_better else item.better
        certain = verdict in (item.worse, item.better)
        findings.append(
            replace(
                item.finding,
                verdict=verdict,
                regression=verdict == item.worse,
                detectable=item.finding.detectable if verdict == "undecided" else math.nan,
                note="; ".join(part for part in (item.finding.note, item.shown if certain else "") if part),
            )
        )
    return findings


def _beside_the_others(evidence: list[Evidence]) -> list[Evidence]:
    """Scores with a second look, in which the seeds of all that moved tell how far one of them moves by chance.

    The two looks (this one, and that at the series' own seeds and samples) share the chance of a false alarm.
    """
    families: dict[str, list[int]] = {}
    for index, item in enumerate(evidence):
        if item.moved is not None:
            families.setdefault(item.family, []).append(index)
    found = list(evidence)
    for members in families.values():
        tails = lower_tails([moved for index in members if (moved := evidence[index].moved) is not None])
        for index, tail in zip(members, tails, strict=False):
            item = evidence[index]
            second = min(tail, 1 - tail) < min(item.p_worse, item.p_better)
            found[index] = replace(
                item,
                p_worse=_either(item.p_worse, tail),
                p_better=_either(item.p_better, 1 - tail),
                least=0.0,
                shown=f"shown by the seeds of all {len(members)} series that moved" if second else "",
            )
    return found


def _either(p: float, second: float) -> float:
    """One of two looks; 1 says that this verdict is out of the question."""
    return p if p == 1 else min(1.0, 2 * min(p, second))


def _two_sided(item: Evidence) -> float:
    return 2 * min(item.p_worse, item.p_better, 0.5)


def _testable(least: list[float], alpha: float) -> list[bool]:
    """Which tests take part in a correction: those that could be significant in a family of their own size."""
    size = next(k for k in range(1, len(least) + 1) if sum(p <= alpha / k for p in least) <= k)
    return [p <= alpha / size for p in least]


def _words(series: Series) -> tuple[FindingVerdict, FindingVerdict]:
    return ("slower", "faster") if series.metric.timed else ("worse", "better")


def _seen(difference: Difference) -> float:
    return math.nan if math.isnan(difference.error) else minimum_detectable_effect(difference)


def _detectable(ratio: Ratio, limit: float, alpha: float) -> float:
    if not ratio.error > 0:
        return math.nan
    quantiles = stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(POWER)
    return limit * math.exp(min(float(quantiles) * ratio.error, LARGEST_LOG)) - 1
