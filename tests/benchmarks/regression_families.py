"""How often a loss in one cell among many is found, and how often chance alone is called a loss: simulated comparisons.

Each has 128 cells with three seeds and 500 test samples. In the first cell the same predictions are lost in every seed.
The other cells are as they were, or win and lose some predictions at random. Prints a table for ``docs/regression.md``.
"""

import argparse

import numpy as np

from spikemark.measures.measure import MEASURES
from spikemark.regression.compare import compare
from spikemark.regression.series import Side

CELLS, SEEDS, SAMPLES = 128, 3, 500
ACCURACY = next(metric for metric in MEASURES["accuracy"].metrics if metric.name == "accuracy")


def draw(rng, lost, noisy):
    """The cells that one comparison calls worse."""
    base, head = Side("base"), Side("head")
    for cell in range(CELLS):
        for seed in range(SEEDS):
            before = rng.random(SAMPLES) < 0.95
            before[:lost] = True
            after = before.copy()
            for right in (True, False) if noisy else ():
                fitting = np.flatnonzero(before == right)
                after[rng.choice(fitting[fitting >= lost], rng.integers(2, 7), replace=False)] = not right
            if cell == 0:
                after[:lost] = False
            for side, correct in ((base, before), (head, after)):
                side.place(str(cell), ACCURACY).scores[seed] = correct.astype(float)
    return {finding.benchmark for finding in compare(base, head).regressions}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=30)
    comparisons = parser.parse_args().comparisons
    print("| lost in every seed of one cell | other cells | found | false alarms |\n|---|---|---|---|")  # noqa: T201
    for lost, noisy in ((8, False), (5, False), (0, True), (8, True), (15, True)):
        rng = np.random.default_rng(1)
        called = [draw(rng, lost, noisy) for _ in range(comparisons)]
        found = sum("0" in one for one in called) if lost else 0
        false = sum(bool(one - {"0"} if lost else one) for one in called)
        points, others = 100 * lost / SAMPLES, "win and lose at random" if noisy else "as they were"
        print(f"| {lost} ({points:.1f} points) | {others} | {found} of {comparisons} | {false} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
