"""Judges comparisons drawn from the visits that ``regression_power.py measure`` took; writes the report.

    python tests/benchmarks/regression_power_report.py [--results DIR]

Every comparison draws its base side and its head side without replacement from one pool of visits, and replays the
stopping rule of `spikemark ab` on them. With ``--results``, a folder of real records with 5 seeds or more, one spike,
one operation and one point of accuracy are injected into them.
"""

import argparse
import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from regression_power import POOL, SLOWED
from scipy import stats
from tabulate import tabulate

from spikemark.core.files import write_files
from spikemark.core.measurement import pack_correct, unpack_correct
from spikemark.regression.ab import EARLY_ALPHA, Visits, clear, looks
from spikemark.regression.compare import compare
from spikemark.regression.series import Side
from spikemark.regression.sources import records_side
from spikemark.regression.verdicts import Limits
from spikemark.regression.visit import YARDSTICK
from spikemark.suites.records import load_records

REPORT, ALARMS = Path("reports/regression-power.md"), Path("results/regression-power.csv")
BUDGET = 60.0
INJECTED = {"none (A/A)": "", "5 %": f"{SLOWED} +5%", "10 %": f"{SLOWED} +10%"}


def draw(pool, rng, variant):
    """Two lists of visits, in random order; the head's slowed adapter is the chosen variant."""
    order = rng.permutation(len(pool))
    base, head = order[: len(pool) // 2], order[len(pool) // 2 :]
    kept = (YARDSTICK, "reference", SLOWED)

    def values(index, slowed):
        seen = pool[index]["values"]
        return {name: seen[slowed if name == SLOWED and slowed else name] for name in kept}

    return [values(i, "") for i in base], [values(i, variant) for i in head]


def judge(visits, seconds, limits):
    """The verdict that `spikemark ab` would have come to: alarms, faster verdicts, visits a side."""
    most = min(int(BUDGET / seconds), len(visits[0]))
    for count in [n for n in range(1, most) if looks(n)] + [most]:
        seen = Visits(timed=(visits[0][:count], visits[1][:count]))
        sides = Side("base"), Side("head")
        seen.add_to(sides)
        last = count == most
        verdict = compare(*sides, limits if last else replace(limits, alpha=EARLY_ALPHA), paired=True)
        if last or clear(verdict):
            break
    slower = {f.benchmark for f in verdict.findings if f.verdict == "slower"}
    faster = {f.benchmark for f in verdict.findings if f.verdict == "faster"}
    return slower, faster, count


def pytest_benchmark_alarms(visits):
    """``--benchmark-compare-fail=mean:5%``: one run a side, means over its rounds."""
    base, head = (side[0] for side in visits)
    return {n for n in base if n != YARDSTICK and np.mean(head[n]) > 1.05 * np.mean(base[n])}


def asv_alarms(visits):
    """asv's `continuous`: samples of two processes a side; Mann-Whitney p below 0.002, and 1.1 times slower."""
    alarms = set()
    for name in visits[0][0]:
        base, head = (np.concatenate([seen[name] for seen in side[:2]]) for side in visits)
        different = stats.mannwhitneyu(base, head).pvalue < 0.002
        if name != YARDSTICK and different and np.median(head) > 1.1 * np.median(base):
            alarms.add(name)
    return alarms


def timing_rows(pool, comparisons):
    seconds = float(np.median([visit["measuring"] for visit in pool]))
    rows = []
    for what, variant in INJECTED.items():
        rng = np.random.default_rng(0)
        drawn = [draw(pool, rng, variant) for _ in range(comparisons)]

        def rate(alarms, variant=variant):
            """Any alarm counts where nothing was injected; the slowed adapter's elsewhere."""
            return f"{100 * np.mean([SLOWED in a if variant else bool(a) for a in alarms]):.1f} %"

        for threshold in (0.01, 0.02, 0.05):
            verdicts = [judge(visits, seconds, Limits(threshold=threshold)) for visits in drawn]
            faster = f"{100 * np.mean([bool(f) for _, f, _ in verdicts]):.1f} %"
            counts = np.array([count for _, _, count in verdicts])
            measured = f"{np.median(counts) * seconds:.0f} s (at most {counts.max() * seconds:.0f} s)"
            rows.append(
                [what, f"spikemark ab --threshold {threshold:.0%}", rate([s for s, _, _ in verdicts]), faster, measured]
            )
        rows.append(
            [what, "pytest-benchmark mean:5%", rate(map(pytest_benchmark_alarms, drawn)), "", f"{seconds:.1f} s"]
        )
        rows.append([what, "asv continuous, factor 1.1", rate(map(asv_alarms, drawn)), "", f"{2 * seconds:.1f} s"])
    return rows


def _found(records, change):
    """Whether a change of the records is a regression."""
    changed = copy.deepcopy(records)
    change(changed)
    return not compare(records_side("base", records), records_side("head", changed)).passed


def _bump(metric):
    def change(records):
        row = next(row for record in records for row in record["measurements"] if row["metric"] == metric)
        row["value"] += 1

    return change


def _lose_a_point(records):
    for record in records:
        if "correct" in record:
            correct = unpack_correct(record["correct"])
            rng = np.random.default_rng(record["cell"]["seed"])
            lost = rng.choice(np.flatnonzero(correct), round(0.01 * correct.size), replace=False)
            correct[lost] = False
            record["correct"] = pack_correct(correct)


def exact_rows(folder):
    groups = {}
    for record in load_records(folder):
        if record["status"] == "ok":
            axes = ("measure", "framework", "system", "neuron", "dataset", "axis", "variant")
            key = tuple(record["cell"].get(axis) for axis in axes)
            groups.setdefault((*key, record["suite"]), []).append(record)
    cases = (
        ("one spike more that differs", "differing_spikes", _bump("differing_spikes"), 1),
        ("one counted operation more", "macs", _bump("macs"), 1),
        ("1 point of accuracy lost in every seed", "accuracy", _lose_a_point, 5),
    )
    rows = []
    for what, metric, change, seeds in cases:
        having = [records for records in groups.values() if len(records) >= seeds]
        fitting = [
            records
            for records in having
            if all(any(row["metric"] == metric for row in record["measurements"]) for record in records)
        ]
        found = [_found(records, change) for records in fitting]
        quiet = [not _found(records, lambda same: None) for records in fitting]
        rows.append([what, f"{sum(found)} of {len(found)}", f"{len(quiet) - sum(quiet)} of {len(quiet)}"])
    return rows


def says(timed):
    """What the table of timings says, a sentence for each thing injected."""
    found = {}
    for what, rule, slower, *_ in timed:
        found.setdefault(what, {})[rule] = slower
    sentences = []
    for what, rules in found.items():
        told = "; ".join(f"{rule} {rate}" for rule, rate in rules.items())
        start = (
            "Where nothing changed, these gave false alarms"
            if what.startswith("none")
            else f"{what} slower was found by"
        )
        sentences.append(f"{start}: {told}.")
    return sentences


def write(pool, comparisons, results, note):
    loads, walls = ([visit[name] for visit in pool] for name in ("load", "wall"))
    timed = timing_rows(pool, comparisons)
    lines = [
        "# How often the regression gate cries wolf, and how often it misses",
        "",
        "## What this says",
        "",
        *(f"- {sentence}" for sentence in says(timed)),
        "",
        "## How it was measured",
        "",
        f"{len(pool)} visits, each a fresh process, {np.median([v['measuring'] for v in pool]):.2f} s of measuring and "
        f"{np.median(walls):.1f} s in all; {pool[0]['started']} to {pool[-1]['started']}. Load average "
        f"{np.min(loads):.1f} to {np.max(loads):.1f}, median {np.median(loads):.1f}; a second process kept one core "
        f"busy during {sum(v['rival'] for v in pool)} of the visits. {note}".rstrip(),
        "",
        f"Each line: {comparisons} comparisons whose two sides are drawn, without replacement within a comparison, "
        "from these visits; comparisons share visits, so they are not independent. Watched are layers of two adapters; "
        f"the slowdown is in every call of {SLOWED}'s. An alarm where nothing was injected is false.",
        "",
        tabulate(
            timed,
            ("injected slowdown", "rule", "called slower", "called faster", "measuring a side"),
            tablefmt="github",
            disable_numparse=True,
        ),
    ]
    if results is not None:
        table = tabulate(
            exact_rows(results), ("injected into real records", "found", "alarms without it"), tablefmt="github"
        )
        lines += ["", table]
    lines += ["", "`tests/benchmarks/regression_power.py` measures, `regression_power_report.py` beside it judges."]
    quiet = [row for row in timed if row[0].startswith("none")]
    alarms = pd.DataFrame([(row[1], row[2].removesuffix(" %")) for row in quiet], columns=["rule", "false_alarms"])
    write_files({REPORT: "\n".join(lines) + "\n", ALARMS: alarms.to_csv(index=False)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=200)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--note", default="", help="what else was running")
    arguments = parser.parse_args()
    pool = [json.loads(line) for line in POOL.read_text().splitlines()]
    write(pool, arguments.comparisons, arguments.results, arguments.note)


if __name__ == "__main__":
    main()
