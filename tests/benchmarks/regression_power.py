"""How often `spikemark ab` cries wolf, and how often it misses: measured, see ``docs/regression.md``.

    python tests/benchmarks/regression_power.py measure [--visits 200]    # resumable; appends to out/regression-power/
    python tests/benchmarks/regression_power_report.py [--results DIR]    # judges; writes reports/regression-power.md

`measure` keeps one core busy with a second process and starts a fresh process for every visit. A visit times one layer
of two adapters alternately, and the second adapter twice more with a slowdown of 5 % and 10 % injected into every call.
A comparison draws its base side and its head side from different visits.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from spikemark.regression.visit import YARDSTICK, layer_work, time_in_turns, yardstick

POOL = Path("out/regression-power/visits.jsonl")
SECONDS = 0.8
SLOWED = "snntorch"
CASE = {"neuron": "lif", "phase": "forward", "steps": 4, "batch": 16, "shape": [128]}


def slowed(work, share):
    """The same work, slower by `share` in every call, whatever a call happens to take."""

    def slow():
        start = time.thread_time()
        work()
        now = time.thread_time()
        end = now + share * (now - start)
        while time.thread_time() < end:
            pass

    return slow


def visit(out: Path) -> None:
    import torch

    torch.set_num_threads(1)
    plain = {name: layer_work(CASE | {"framework": name}) for name in ("reference", SLOWED)}
    works = {YARDSTICK: yardstick()} | plain
    works |= {f"{SLOWED} +{share:.0%}": slowed(plain[SLOWED], share) for share in (0.05, 0.10)}
    start = time.perf_counter()
    timed = time_in_turns(works, SECONDS)
    took = time.perf_counter() - start
    out.write_text(json.dumps({"values": timed, "measuring": took}))


def measure(visits: int, with_rival: bool) -> None:
    POOL.parent.mkdir(parents=True, exist_ok=True)
    done = len(POOL.read_text().splitlines()) if POOL.exists() else 0
    # A session of its own, so that Linux's autogroup gives it a share of its own, as another tenant would have.
    rival = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) if with_rival else None
    part = POOL.with_suffix(".part")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    try:
        for index in range(done, visits):
            started, load = datetime.now(UTC).isoformat(timespec="seconds"), os.getloadavg()[0]
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-P", __file__, "visit", str(part)], env=environment, check=True)
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
    measuring.add_argument("--visits", type=int, default=200)
    measuring.add_argument("--no-rival", action="store_true", help="where other work loads the machine already")
    commands.add_parser("visit").add_argument("out", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "visit":
        visit(arguments.out)
    else:
        measure(arguments.visits, not arguments.no_rival)


if __name__ == "__main__":
    main()
