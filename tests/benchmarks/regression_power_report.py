"""Judges comparisons drawn from the visits that ``regression_power.py measure`` took; writes the report.

    python tests/benchmarks/regression_power_report.py [--results DIR]

Every comparison draws its base side and its head side without replacement from one pool of visits. `spikemark ab` is
replayed with its stopping rule; `spikemark compare`, pytest-benchmark and asv get the raw times of one visit, or
several, as their files would hold them. The peers' rules are their own code: asv must be installed beside Spikemark.
With ``--results``, a folder of real records with 5 seeds or more, one spike, one operation and one point of accuracy
are injected into them.
"""

import argparse
import copy
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from asv.commands.compare import _is_result_better
from pytest_benchmark.utils import parse_compare_fail
from regression_power import POOL, SHARES, SLOWED
from tabulate import tabulate

from spikemark.core.files import write_files
from spikemark.core.measurement import pack_correct, unpack_correct
from spikemark.regression.ab import EARLY_ALPHA, clear
from spikemark.regression.compare import compare
from spikemark.regression.ratios import FEWEST_VALUES
from spikemark.regression.series import TIME, Side
from spikemark.regression.sources import records_side
from spikemark.regression.verdicts import Limits
from spikemark.regression.visit import YARDSTICK
from spikemark.regression.visits import VISIT_SECONDS, Visits, looks
from spikemark.suites.records import load_records

REPORT, ALARMS = Path("reports/regression-power.md"), Path("results/regression-power.csv")
INJECTED = {"none (A/A)": ""} | {f"{share:.0%}".replace("%", " %"): f"{SLOWED} +{share:.0%}" for share in SHARES}
PLANS = ((0.05, 6.0), (0.05, 20.0), (0.05, 60.0), (0.02, 20.0), (0.02, 60.0))
"""Thresholds and budgets of `spikemark ab`; the second one is the default."""
SAID = (
    "spikemark ab --threshold 5% --budget 20",
    "spikemark ab --threshold 2% --budget 20",
    "spikemark compare, 6 files on each side",
    "pytest-benchmark mean:5%",
    "asv continuous, factor 1.1",
)
"""The rules that the findings name."""
RUNS = (1, 3, 6)
"""Files on each side of `spikemark compare`."""


def draw(pool, rng, variant):
    """Two lists of visits, in random order; in the head's, the slowed case is the chosen variant."""
    order = rng.permutation(len(pool))
    base, head = order[: len(pool) // 2], order[len(pool) // 2 :]

    def values(index, slowed):
        seen = pool[index]["values"]
        return {name: seen[slowed if name == SLOWED and slowed else name] for name in seen if " +" not in name}

    return [values(i, "") for i in base], [values(i, variant) for i in head]


def called(verdict):
    return tuple({f.benchmark for f in verdict.findings if f.verdict == word} for word in ("slower", "faster"))


def judge_ab(visits, threshold, budget):
    """The verdict that `spikemark ab` would have come to: what it calls slower, and faster; visits on each side."""
    limits = Limits(threshold=threshold)
    most = min(max(FEWEST_VALUES, math.ceil(budget / VISIT_SECONDS)), len(visits[0]))
    for count in [n for n in range(1, most) if looks(n)] + [most]:
        seen = Visits("", timed=(visits[0][:count], visits[1][:count]))
        sides = Side("base"), Side("head")
        seen.add_to(sides)
        last = count == most
        verdict = compare(*sides, limits if last else replace(limits, alpha=EARLY_ALPHA), paired=True)
        if last or clear(verdict):
            break
    return *called(verdict), count


def judge_compare(visits, runs):
    """`spikemark compare` of as many pytest-benchmark files on each side, without a stored floor."""
    sides = Side("base"), Side("head")
    for side, seen in zip(sides, visits, strict=True):
        for run in seen[:runs]:
            for name, values in run.items():
                if name != YARDSTICK:
                    side.place(name, TIME).runs.append(tuple(values))
    return *called(compare(*sides)), runs


def judge_pytest_benchmark(visits):
    """``--benchmark-compare-fail=mean:5%``: one run on each side, means over its rounds."""
    base, head = (side[0] for side in visits)
    check = parse_compare_fail("mean:5%")
    means = {name: [{"mean": float(np.mean(side[name]))} for side in (head, base)] for name in base}
    return {name for name, (now, then) in means.items() if name != YARDSTICK and check.fails(now, then)}, set(), 1


def judge_asv(visits):
    """``asv continuous --factor 1.1``: samples of two processes on each side."""
    alarms = set()
    for name in visits[0][0]:
        base, head = (np.concatenate([seen[name] for seen in side[:2]]).tolist() for side in visits)
        stats = [{"repeat": len(samples)} for samples in (base, head)]
        given = (float(np.median(base)), float(np.median(head)), (stats[0], base), (stats[1], head))
        if name != YARDSTICK and _is_result_better(*given, 1.1):
            alarms.add(name)
    return alarms, set(), 2


def rules():
    """By name, what judges a comparison."""
    return {
        **{
            f"spikemark ab --threshold {100 * threshold:g}% --budget {budget:g}": (
                lambda visits, threshold=threshold, budget=budget: judge_ab(visits, threshold, budget)
            )
            for threshold, budget in PLANS
        },
        **{
            f"spikemark compare, {runs} {'file' if runs == 1 else 'files'} on each side": (
                lambda visits, runs=runs: judge_compare(visits, runs)
            )
            for runs in RUNS
        },
        "pytest-benchmark mean:5%": judge_pytest_benchmark,
        "asv continuous, factor 1.1": judge_asv,
    }


def timing_rows(pool, comparisons):
    rows = []
    for what, variant in INJECTED.items():
        rng = np.random.default_rng(0)
        drawn = [draw(pool, rng, variant) for _ in range(comparisons)]
        for name, judge in rules().items():
            verdicts = [judge(visits) for visits in drawn]
            # Where nothing was injected any alarm counts; elsewhere those of the slowed case, and of others apart.
            found = [SLOWED in slower if variant else bool(slower) for slower, _, _ in verdicts]
            false = [bool(slower - {SLOWED}) if variant else bool(faster) for slower, faster, _ in verdicts]
            counts = np.array([count for *_, count in verdicts])
            rows.append(
                [what, name, _percent(found), _percent(false), f"{np.median(counts):g} (at most {counts.max()})"]
            )
            print(*rows[-1], sep=" | ", flush=True)  # noqa: T201
    return rows


def _percent(hits):
    return f"{100 * np.mean(hits):.1f} %"


def _found(records, change):
    """Whether a change of the records is a regression."""
    changed = copy.deepcopy(records)
    change(changed)
    return not compare(records_side("base", records), records_side("head", changed)).passed


def _has(metric):
    return lambda record: any(row["metric"] == metric for row in record["measurements"])


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
        ("one spike more that differs", _has("differing_spikes"), _bump("differing_spikes"), 1),
        ("one counted operation more", _has("macs"), _bump("macs"), 1),
        ("1 point of accuracy lost in every seed", lambda record: "correct" in record, _lose_a_point, 5),
    )
    rows = []
    for what, fits, change, seeds in cases:
        fitting = [records for records in groups.values() if len(records) >= seeds and all(map(fits, records))]
        found = [_found(records, change) for records in fitting]
        quiet = [not _found(records, lambda same: None) for records in fitting]
        missed = {
            unpack_correct(records[0]["correct"]).size
            for records, hit in zip(fitting, found, strict=True)
            if not hit and "correct" in records[0]
        }
        why = f" (the others have {' or '.join(map(str, sorted(missed)))} test samples)" if missed else ""
        rows.append([what, f"{sum(found)} of {len(found)}{why}", f"{len(quiet) - sum(quiet)} of {len(quiet)}"])
    return rows


def says(timed):
    """What the table of timings says, a sentence for each thing injected."""
    found = {}
    for what, rule, slower, *_ in timed:
        found.setdefault(what, {}).update({rule: slower} if rule in SAID else {})
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


def spread(pool):
    """Standard deviation over visits of the logarithm of a case's time: as it is, and relative to the yardstick's."""
    names = [name for name in pool[0]["values"] if name != YARDSTICK and " +" not in name]
    plain = [[math.log(np.median(visit["values"][n])) for visit in pool] for n in names]
    relative = [
        [math.log(np.median(np.divide(visit["values"][n], visit["values"][YARDSTICK]))) for visit in pool]
        for n in names
    ]
    return [float(np.median(np.std(logs, axis=1, ddof=1))) for logs in (plain, relative)]


def write(pool, comparisons, results, note):
    loads, walls = ([visit[name] for visit in pool] for name in ("load", "wall"))
    cases = len(pool[0]["values"]) - 1 - len(SHARES)
    rounds = np.median([len(visit["values"][YARDSTICK]) for visit in pool])
    plain, relative = spread(pool)
    timed = timing_rows(pool, comparisons)
    rival = sum(visit["rival"] for visit in pool)
    lines = [
        "# How often the regression gate cries wolf, and how often it misses",
        "",
        "## What this says",
        "",
        *(f"- {sentence}" for sentence in says(timed)),
        "",
        "## How it was measured",
        "",
        f"{len(pool)} visits as `spikemark ab` makes them in a clone of snnTorch: each a fresh process that times "
        f"{cases} layers, {rounds:g} rounds of them in {VISIT_SECONDS:g} s; {np.median(walls):.1f} s in all. "
        f"{pool[0]['started']} to {pool[-1]['started']}. Load average {np.min(loads):.1f} to {np.max(loads):.1f}, "
        f"median {np.median(loads):.1f}, on two cores"
        + (f"; a second process kept one core busy during {rival} of the visits" if rival else "")
        + f". {note}".rstrip(),
        "",
        f"Between visits a layer's processor time has a standard deviation of {_percent(plain)}, and "
        f"{_percent(relative)} relative to the yardstick.",
        "",
        f"Each line: {comparisons} comparisons whose two sides are drawn, without replacement within a comparison, "
        "from these visits; comparisons share visits, so they are not independent. The slowdown is in every call of "
        f"one layer, `{SLOWED}`. *Found* counts comparisons that call it slower; where nothing was injected, any layer "
        "called slower is an alarm. *Other alarms*: another layer called slower; where nothing was injected, one "
        "called faster.",
        "",
        tabulate(
            timed,
            ("injected slowdown", "rule", "found, or alarms", "other alarms", "visits on each side"),
            tablefmt="github",
            disable_numparse=True,
        ),
    ]
    if results is not None:
        table = tabulate(
            exact_rows(results), ("injected into real records", "found", "alarms without it"), tablefmt="github"
        )
        lines += ["", table]
    lines += [
        "",
        "`tests/benchmarks/regression_power.py` measures, `regression_power_report.py` beside it judges; the rules of "
        "pytest-benchmark and asv are their own code. [regression.md](../docs/regression.md) has the commands.",
    ]
    quiet = [row for row in timed if row[0].startswith("none")]
    alarms = pd.DataFrame(
        [(row[1], row[2].removesuffix(" %")) for row in quiet if row[1] in SAID], columns=["rule", "false_alarms"]
    )
    write_files({REPORT: "\n".join(lines) + "\n", ALARMS: alarms.to_csv(index=False)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=100)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--note", default="", help="what else was running")
    arguments = parser.parse_args()
    pool = [json.loads(line) for line in POOL.read_text().splitlines()]
    write(pool, arguments.comparisons, arguments.results, arguments.note)


if __name__ == "__main__":
    main()
