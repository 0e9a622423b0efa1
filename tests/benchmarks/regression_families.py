"""How often a loss in one cell among many is found, and how often chance alone is called a loss: simulated comparisons.

Each has 128 cells with three seeds and 500 test samples. In the first cell the same predictions are lost in every seed.
Beside that, no cell moves, or all win and lose some predictions at random: as many of each on average, equally many in
all cells or not. Prints a table for ``docs/regression.md``.
"""

import argparse

import numpy as np

from spikemark.measures.measure import MEASURES
from spikemark.regression.compare import compare
from spikemark.regression.series import Side

CELLS, SEEDS, SAMPLES = 128, 3, 500
ACCURACY = next(metric for metric in MEASURES["accuracy"].metrics if metric.name == "accuracy")

OTHERS = {
    "are as they were": lambda rng: 0,
    "win and lose 2 to 6 predictions each at random": lambda rng: 1,
    "likewise, from none up to 20 times as many": lambda rng: np.exp(rng.uniform(-3, 3)),
}


def draw(rng, lost, others):
    """The cells that one comparison calls worse."""
    base, head = Side("base"), Side("head")
    for cell in range(CELLS):
        strength = OTHERS[others](rng)
        for seed in range(SEEDS):
            before = rng.random(SAMPLES) < 0.8
            before[:lost] = True
            after = before.copy()
            for right in (True, False) if strength else ():
                fitting = np.flatnonzero(before == right)[lost if right else 0 :]
                flips = min(int(strength * rng.uniform(2, 7)), fitting.size)
                after[rng.choice(fitting, flips, replace=False)] = not right
            if cell == 0:
                after[:lost] = False
            for side, correct in ((base, before), (head, after)):
                side.place(str(cell), ACCURACY).scores[seed] = correct.astype(float)
    return {finding.benchmark for finding in compare(base, head).regressions}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=30)
    comparisons = parser.parse_args().comparisons
    print("| lost in every seed of one cell | the cells | found | false alarms |\n|---|---|---|---|")  # noqa: T201
    for others in OTHERS:
        for lost in (0, 5, 8, 15):
            rng = np.random.default_rng(1)
            called = [draw(rng, lost, others) for _ in range(comparisons)]
            found = f"{sum('0' in one for one in called)} of {comparisons}" if lost else ""
            false = sum(bool(one - {"0"} if lost else one) for one in called)
            what = f"the same {lost} predictions ({100 * lost / SAMPLES:.1f} points)" if lost else "none"
            print(f"| {what} | {others} | {found} | {false} of {comparisons} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
