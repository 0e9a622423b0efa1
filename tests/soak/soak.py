"""Runs one small suite again and again, each time with a fault at a random moment, and counts what came of its records.

After the fault the same command is given once more, as a person would; then all records must be there, once, whole, and
equal to those of an undisturbed run. By hand, about a quarter of an hour::

    python tests/soak/soak.py --runs 24

It prints the table of docs/reliability.md. Disks are filled for real where this process may mount one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from machines import Machines

SUITE = """
name = "soak"
frameworks = ["reference"]
systems = ["mlp-lif", "mlp-stl"]
datasets = ["digits"]
seeds = [0, 1, 2]
measures = ["accuracy", "energy"]
timeout = 300
[training]
epochs = {epochs}
"""
JOBS = 12
HANG_SECONDS = 400.0
TIMES = ("started", "seconds")


@dataclass
class Soak:
    """What a fault may touch.

    Attributes:
        folder: of this run alone.
        suite: the suite file.
        stop_seconds: how long a stopped process stays so.
        random: of this run.
        out: where the records go.
        machines: the cluster, where there is one.
    """

    folder: Path
    suite: Path
    stop_seconds: float
    random: random.Random
    out: Path = field(init=False)
    machines: Machines = field(init=False)

    def __post_init__(self) -> None:
        self.out = self.folder / "out"
        self.machines = Machines(self.folder)

    def run(self, *options: str | int) -> subprocess.Popen[str]:
        """Give the command."""
        command = [sys.executable, "-m", "spikemark", "run", self.suite, "--out", self.out, *options]
        return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run_here(self) -> subprocess.Popen[str]:
        """On two worker processes."""
        return self.run("--workers", 2)

    def run_on_cluster(self) -> subprocess.Popen[str]:
        """On the machines."""
        self.machines.wait()
        return self.run("--scheduler", self.machines.address, "--patience", 2)

    def a_moment(self, running: subprocess.Popen[str]) -> None:
        """Let some records be written, and a little time pass."""
        wanted = self.random.randrange(JOBS - 2)
        end = time.monotonic() + HANG_SECONDS
        while len(list(self.out.glob("*.json"))) < wanted and running.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(self.random.random())


def kill_main(soak: Soak) -> subprocess.Popen[str]:
    running = soak.run_here()
    soak.a_moment(running)
    running.kill()
    return running


def _workers(running: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(running.pid).children(recursive=True) if running.poll() is None else []
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def kill_worker(soak: Soak) -> subprocess.Popen[str]:
    running = soak.run_here()
    soak.a_moment(running)
    for worker in _workers(running)[:1]:
        worker.kill()
    return running


def stop_worker(soak: Soak) -> subprocess.Popen[str]:
    running = soak.run_here()
    soak.a_moment(running)
    for worker in _workers(running)[:1]:
        worker.suspend()
        time.sleep(soak.stop_seconds)
        worker.resume()
    return running


def interrupt(soak: Soak) -> subprocess.Popen[str]:
    running = soak.run_here()
    soak.a_moment(running)
    running.send_signal(signal.SIGINT)
    return running


def terminate(soak: Soak) -> subprocess.Popen[str]:
    running = soak.run_here()
    soak.a_moment(running)
    running.send_signal(signal.SIGTERM)
    return running


def full_disk(soak: Soak) -> subprocess.Popen[str]:
    soak.out.mkdir()
    size = soak.random.randrange(16, 400)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "soak", soak.out], check=True)
    running = soak.run_here()
    running.wait(HANG_SECONDS)
    subprocess.run(["mount", "-o", "remount,size=64m", soak.out], check=True)
    return running


def _cluster(soak: Soak, **second: str) -> subprocess.Popen[str]:
    soak.machines.scheduler()
    soak.machines.worker("one")
    soak.machines.worker("two", **second)
    return soak.run_on_cluster()


def kill_cluster_worker(soak: Soak) -> subprocess.Popen[str]:
    running = _cluster(soak)
    soak.a_moment(running)
    soak.machines.processes[1].kill()
    return running


def stop_cluster_worker(soak: Soak) -> subprocess.Popen[str]:
    running = _cluster(soak)
    soak.a_moment(running)
    soak.machines.processes[1].send_signal(signal.SIGSTOP)
    time.sleep(soak.stop_seconds)
    soak.machines.processes[1].send_signal(signal.SIGCONT)
    return running


def kill_scheduler(soak: Soak) -> subprocess.Popen[str]:
    running = _cluster(soak)
    soak.a_moment(running)
    soak.machines.end()
    time.sleep(2.0)
    soak.machines.scheduler()
    soak.machines.worker("three")
    return running


def no_data(soak: Soak) -> subprocess.Popen[str]:
    return _cluster(soak, SPIKEMARK_DATA="/nowhere")


def other_version(soak: Soak) -> subprocess.Popen[str]:
    return _cluster(soak, **soak.machines.another_torch())


FAULTS: dict[str, tuple[Callable[[Soak], subprocess.Popen[str]], str]] = {
    "kill main": (kill_main, "kill -9 of the run, `--workers 2`"),
    "kill worker": (kill_worker, "kill -9 of a worker, `--workers 2`"),
    "stop worker": (stop_worker, "SIGSTOP of a worker for 60 s, `--workers 2`"),
    "interrupt": (interrupt, "one interrupt, `--workers 2`"),
    "terminate": (terminate, "SIGTERM, `--workers 2`"),
    "full disk": (full_disk, "disk full at a random size, `--workers 2`"),
    "kill cluster worker": (kill_cluster_worker, "cluster: kill -9 of one of two workers, without nannies"),
    "stop cluster worker": (stop_cluster_worker, "cluster: SIGSTOP of one of two workers for 60 s"),
    "kill scheduler": (kill_scheduler, "cluster: kill -9 of scheduler and workers, others come up 2 s later"),
    "no data": (no_data, "cluster: one of two workers without the data"),
    "other version": (other_version, "cluster: one of two workers with another torch"),
}
COLUMNS = ("lost", "doubled", "torn", "differing", "hangs", "tracebacks")


def soaked(name: str, soak: Soak, expected: dict[str, str]) -> Counter[str]:
    """Cause a fault, give the command again, and count what is wrong with the records."""
    found: Counter[str] = Counter()
    try:
        for running in (FAULTS[name][0](soak), None):
            running = running or soak.run("--workers", 0)
            try:
                _, err = running.communicate(timeout=HANG_SECONDS)
            except subprocess.TimeoutExpired:
                found["hangs"] += 1
                running.kill()
                _, err = running.communicate()
            found["tracebacks"] += "Traceback" in err
            found[f"status {running.returncode}"] += 1
            if "Traceback" in err:
                sys.stderr.write(err)
        keys: Counter[str] = Counter()
        for path in soak.out.glob("*.json"):
            try:
                record = json.loads(path.read_text())
            except ValueError:
                found["torn"] += 1
                continue
            keys[record["key"]] += 1
            found["differing"] += told(record) != expected.get(record["key"])
        found["doubled"] = sum(count - 1 for count in keys.values())
        found["lost"] = len(expected.keys() - keys)
    finally:
        soak.machines.end()
        if os.path.ismount(soak.out):
            subprocess.run(["umount", soak.out], check=True)
    return found


def told(record: dict[str, object]) -> str:
    """A record without its times."""

    def timeless(value: object) -> object:
        if isinstance(value, dict):
            return {key: timeless(item) for key, item in value.items() if key not in TIMES}
        return [item for item in map(timeless, value) if not _is_time(item)] if isinstance(value, list) else value

    return json.dumps(timeless(record), sort_keys=True)


def _is_time(row: object) -> bool:
    return isinstance(row, dict) and row.get("unit") in ("s", "seconds")


def undisturbed(folder: Path, suite: Path) -> dict[str, str]:
    """By key, the records of a run without faults."""
    soak = Soak(folder, suite, 0.0, random.Random(0))
    running = soak.run("--workers", 0)
    _, err = running.communicate()
    assert running.returncode == 0, err
    records = [json.loads(path.read_text()) for path in soak.out.glob("*.json")]
    assert len(records) == JOBS
    return {record["key"]: told(record) for record in records}


def soak_all(
    names: list[str], seed: int, say: Callable[[str], object], epochs: int = 15, stop_seconds: float = 60.0
) -> dict[str, Counter[str]]:
    """One run for each name; by name, the sums of what was found."""
    totals: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        suite = folder / "soak.toml"
        suite.write_text(SUITE.format(epochs=epochs))
        (folder / "undisturbed").mkdir()
        expected = undisturbed(folder / "undisturbed", suite)
        for number, name in enumerate(names):
            own = folder / str(number)
            own.mkdir()
            begin = time.monotonic()
            found = soaked(name, Soak(own, suite, stop_seconds, random.Random(f"{seed} {number}")), expected)
            say(f"{number + 1}/{len(names)} {name}: {dict(found)}, {time.monotonic() - begin:.0f} s")
            totals.setdefault(name, Counter()).update(found + Counter(runs=1))
    return totals


def table(totals: dict[str, Counter[str]]) -> str:
    """As Markdown."""
    lines = [f"| fault | runs | {' | '.join(COLUMNS)} |", f"|---|{'---|' * (1 + len(COLUMNS))}"]
    for name in FAULTS:
        if name in totals:
            cells = [totals[name][column] for column in ("runs", *COLUMNS)]
            lines.append(f"| {FAULTS[name][1]} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fault", action="append", choices=FAULTS, help="only this one; may be repeated")
    options = parser.parse_args()
    names = (options.fault or list(FAULTS)) * options.runs
    names = names[: options.runs]
    random.Random(options.seed).shuffle(names)
    totals = soak_all(names, options.seed, lambda line: sys.stderr.write(line + "\n"))
    sys.stdout.write(table(totals) + "\n")
    sys.exit(any(totals[name][column] for name in totals for column in COLUMNS))


if __name__ == "__main__":
    main()
