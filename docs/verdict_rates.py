"""How often each verdict is given, by the true effect: simulated ledgers of claims that say "higher".

    python docs/verdict_rates.py > reports/verdict-rates.md

Samples of a test set are hard or easy for both arms, seeds have luck of their own, and the first arm is better by the
true effect. The numbers behind the luck are those that five seeds of small networks on Fashion-MNIST show.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spikemark.core.claims import contrast
from spikemark.core.statistics import Difference, paired_difference
from spikemark.report.verdicts import Verdict, decide, overall

LEDGERS = 400
SAMPLES = 10_000
ACCURACY = 0.9
SPREAD = 0.0025
"""Standard deviation over seeds of the difference between the arms."""
MARGINS = (0.2, 0.5)
EFFECTS = (0.0, 0.2, 0.5, 1.0)
VERDICTS: tuple[Verdict, ...] = ("holds", "undecided", "smaller than margin", "opposite found")


ROWS = (1, 3, 6)
SEEDS = (5, 10)


Rates = dict[Verdict, float]
Rows = list[tuple[float, int, int, float, Rates]]
"""Margin, rows, seeds, true effect, and the percentage of ledgers with each verdict."""


def main() -> None:
    """Print the report."""
    drawn = {(seeds, effect): ledgers(seeds, effect / 100) for seeds in SEEDS for effect in EFFECTS}
    found: Rows = []
    for margin in MARGINS:
        asked = contrast("one", "other", margin=margin)
        for rows in ROWS:
            for (seeds, effect), differences in drawn.items():
                verdicts = [overall(decide([(asked, one) for one in ledger[:rows]])) for ledger in differences]
                rates = {verdict: 100 * verdicts.count(verdict) / LEDGERS for verdict in VERDICTS}
                found.append((margin, rows, seeds, effect, rates))
    print("# How often each verdict is given\n\n## What this says\n")
    print("\n".join(f"- {sentence}" for sentence in says(found)))
    print(f"\n## How it was simulated\n\n{INTRODUCTION}")
    print(f"| margin | rows | seeds | true effect | {' | '.join(VERDICTS)} |")
    print(f"|{' --- |' * (4 + len(VERDICTS))}")
    for margin, rows, seeds, effect, rates in found:
        told = " | ".join(f"{rate:.1f}" for rate in rates.values())
        print(f"| {margin:g} | {rows} | {seeds} | {effect:g} | {told} |")


def says(found: Rows) -> list[str]:
    """What the table says, a sentence each."""
    alarms = max(rates["holds"] for *_, effect, rates in found if effect == 0)
    missed = max(rates["smaller than margin"] for margin, _, _, effect, rates in found if effect >= margin)
    wrong = max(rates["opposite found"] for *_, effect, rates in found if effect >= 0)
    held = {n: [rates["holds"] for _, _, seeds, effect, rates in found if (seeds, effect) == (n, 0.5)] for n in SEEDS}
    few, many = (f"{min(rates):.1f} to {max(rates):.1f} %" for rates in held.values())
    least, most = SEEDS
    return [
        f"Where nothing differs, a claim is said to hold in at most {alarms:.1f} % of ledgers.",
        f"An effect as large as the margin is called smaller than it in at most {missed:.1f} %, and the opposite of "
        f"the truth is found in at most {wrong:.1f} %.",
        f"An effect of 0.5 points is found in {few} of ledgers with {least} seeds and in {many} with {most}: the more "
        "rows a claim has, the harder it is to hold, since every row must.",
    ]


INTRODUCTION = f"""\
Simulated ledgers of one claim, "the first arm is more accurate than the second": percent of {LEDGERS} ledgers with each
verdict, by the true effect in percentage points, the claim's rows (each a data set or network of its own) and seeds.
Test sets have {SAMPLES:,} samples, arms an accuracy of about {ACCURACY:.0%}, and the difference between them a standard
deviation of {100 * SPREAD:g} points over seeds. "Holds" at a true effect of 0 is a false alarm: at most 5 %, of which
half in either direction. "Smaller than margin" is false where the true effect is at least the margin, "opposite found"
where the effect is not below 0: at most 5 % of ledgers each. Made by `python docs/verdict_rates.py`.
"""


def ledgers(seeds: int, effect: float) -> list[list[Difference]]:
    """Of every ledger, as many rows as the largest claim has."""
    random = np.random.default_rng([seeds, round(1e4 * effect)])
    return [[difference(random, seeds, effect) for _ in range(max(ROWS))] for _ in range(LEDGERS)]


def difference(random: np.random.Generator, seeds: int, effect: float) -> Difference:
    """One row: both arms' correctness for every seed and sample, tested as the ledger tests it."""
    easiness = random.normal(math.log(ACCURACY / (1 - ACCURACY)) * 2, 4, SAMPLES)
    right = 1 / (1 + np.exp(-easiness))
    slope = float((right * (1 - right)).mean())  # accuracy for each unit of easiness

    def arm(shift: float) -> NDArray[np.bool_]:
        return random.random(SAMPLES) < 1 / (1 + np.exp(-easiness - shift / slope))

    first = {seed: arm(effect + random.normal(0, SPREAD / math.sqrt(2))) for seed in range(seeds)}
    second = {seed: arm(random.normal(0, SPREAD / math.sqrt(2))) for seed in range(seeds)}
    return paired_difference(first, second, bounds=[bound / 100 for m in MARGINS for bound in (-m, m)])


if __name__ == "__main__":
    main()
