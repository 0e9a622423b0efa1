"""How often `spikemark ab` cries wolf, and how often it misses: measured, see ``docs/regression.md``.

    python tests/benchmarks/regression_power.py measure [--visits 300]    # resumable; appends to out/regression-power/
    python tests/benchmarks/regression_power_report.py [--results DIR]    # judges; writes reports/regression-power.md

A visit is one of `spikemark ab` in a clone of snnTorch: a fresh process that times for a second the layers that the
suite `gate` watches there. It also times one of them with a slowdown of 5 % and 10 % injected into every call. A
comparison draws its base side and its head side from different visits.
"""

from __future__ import annotations

import argparse
import json
import operator
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from spikemark.regression.visit import YARDSTICK, prepare, time_in_turns, yardstick

POOL = Path("out/regression-power/visits.jsonl")
PACKAGE, SLOWED = "snntorch", "snntorch snntorch:leaky forward"
SHARES = (0.05, 0.10)


def slowed(work, share):
    """The same work with further steps of the interpreter in every call, as many as take that share of its time.

    No clock is read in a call: that would slow down what comes after it, too.
    """
    thousand = range(1000)

    def step():
        for _ in thousand:
            pass

    timed = time_in_turns({"work": work, "step": step}, 0.2)
    further = range(round(1000 * share * statistics.median(map(operator.truediv, timed["work"], timed["step"]))))

    def slow():
        work()
        for _ in further:
            pass

    return slow


def visit(order: Path, out: Path) -> None:
    asked = json.loads(order.read_text())
    works, failed = prepare(asked["cases"])
    if failed:
        sys.exit(str(failed))
    works = {YARDSTICK: yardstick()} | works | {f"{SLOWED} +{s:.0%}": slowed(works[SLOWED], s) for s in SHARES}
    start = time.perf_counter()
    timed = time_in_turns(works, asked["seconds"])
    out.write_text(json.dumps({"values": timed, "measuring": time.perf_counter() - start}))


def write_order(file: Path) -> None:
    from spikemark.regression.ab import layer_cases
    from spikemark.regression.visits import VISIT_SECONDS
    from spikemark.suites.suite import load_suite

    cases = layer_cases(load_suite("gate"), (PACKAGE,))
    # The two slowed cases are no part of a visit of `spikemark ab`: their time comes on top.
    seconds = VISIT_SECONDS * (1 + len(SHARES) / (1 + len(cases)))
    file.write_text(json.dumps({"cases": cases, "seconds": seconds}))


def measure(visits: int, with_rival: bool) -> None:
    POOL.parent.mkdir(parents=True, exist_ok=True)
    done = len(POOL.read_text().splitlines()) if POOL.exists() else 0
    # A session of its own, so that Linux's autogroup gives it a share of its own, as another tenant would have.
    rival = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) if with_rival else None
    part, order = POOL.with_suffix(".part"), POOL.with_suffix(".order")
    write_order(order)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    try:
        for index in range(done, visits):
            started, load = datetime.now(UTC).isoformat(timespec="seconds"), os.getloadavg()[0]
            begin = time.perf_counter()
            subprocess.run(
                [sys.executable, "-P", __file__, "visit", str(order), str(part)], env=environment, check=True
            )
            line = {
                "index": index,
                "started": started,
                "load": load,
                "rival": with_rival,
                "wall": time.perf_counter() - begin,
            }
            with POOL.open("a") as file:
                file.write(json.dumps(line | json.loads(part.read_text())) + "\n")
    finally:
        if rival is not None:
            rival.kill()
            rival.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--visits", type=int, default=300)
    measuring.add_argument("--no-rival", action="store_true", help="where other work loads the machine already")
    visiting = commands.add_parser("visit")
    visiting.add_argument("order", type=Path)
    visiting.add_argument("out", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "visit":
        visit(arguments.order, arguments.out)
    else:
        measure(arguments.visits, not arguments.no_rival)


if __name__ == "__main__":
    main()
