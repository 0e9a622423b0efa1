"""Measured energy: what windows say of a counter that is known, and the whole way from zeus's interface to reports."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import fake_zeus
import pytest
import torch
from torch import nn

import spikemark
from spikemark.core.statistics import median_ratio_interval
from spikemark.data.loading import load_dataset
from spikemark.errors import InputError
from spikemark.measures import joules as measure
from spikemark.measures.speed import joules as rounds
from spikemark.measures.speed.joule_counter import NoCounterError, Reading, joule_counter
from spikemark.measures.speed.joules import joule_rows, windows

REST = 3.0


@dataclass
class Machine:
    """A clock, and a counter that rises by `REST` per second and by what work adds."""

    now: float = 0.0
    spent: float = 0.0
    begun: tuple[float, float] = (0.0, 0.0)
    log: list[str] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.log.append("idle")

    def work(self, name: str, seconds: float, joules: float):
        def run() -> None:
            self.now += seconds
            self.spent += joules
            self.log.append(name)

        return run

    def begin(self) -> None:
        self.begun = (self.now, self.spent)
        self.log.append("begin")

    def end(self) -> Reading:
        start, spent = self.begun
        self.log.append("end")
        seconds = self.now - start
        return Reading(seconds, {"rapl": self.spent - spent + REST * seconds})


def measured(machine: Machine, contenders, **changes):
    options = {"seconds": 1.0, "rounds": 6, "clock": machine.clock, "sleep": machine.sleep} | changes
    return windows(contenders, machine, **options)


def test_joules_of_a_known_machine():
    machine = Machine()
    slow, fast = machine.work("reference", 0.3, 6.0), machine.work("matched", 0.007, 0.07)
    found = measured(machine, {"reference": slow, "matched": fast})
    assert [len(own) for own in found.values()] == [6, 6, 6]
    for name, own in found.items():
        assert all(window.reading.seconds >= 1 - 1e-9 for window in own)
        assert {window.calls for window in own} == {"reference": {4}, "matched": {144}, "idle": {0}}[name]
    rows = {row["metric"]: row for row in joule_rows(found, 10)}
    # Every call lasts 0.007 s, adds 0.07 J, and is charged with the rest meanwhile.
    assert rows["joules"]["value"] == pytest.approx((0.07 + REST * 0.007) / 10)
    assert rows["joules_ratio"]["value"] == pytest.approx((0.07 + REST * 0.007) / (6 + REST * 0.3), rel=1e-5)
    assert rows["power"]["value"] == pytest.approx(REST + 10)
    assert rows["idle_power"]["value"] == pytest.approx(REST)
    assert {row["profile"] for row in rows.values()} == {"rapl"}
    assert [row.get("track") for row in rows.values()] == [None, "matched", "matched", "matched"]
    assert len(rows["joules"]["values"]) == 6


def test_contenders_and_idling_take_turns_and_begin_warm():
    machine = Machine()
    checks = []
    measured(machine, {"native": machine.work("native", 0.5, 1.0)}, check=lambda: checks.append(None))
    log = " ".join(machine.log)
    turns = log.partition("begin")[2].count("begin") + 1
    assert turns == 12
    assert len(checks) == 6
    assert log.count("begin idle end") == 6
    assert log.count("native begin native native end") == 6  # one call that is not counted, then two
    order = [words.split()[0] for words in log.split("begin ")[1:]]
    assert order == ["native", "idle", "idle", "native"] * 1 + ["idle", "native", "native", "idle"] + order[8:]


def test_time_is_up_between_rounds():
    machine = Machine()

    def check() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        measured(machine, {"native": machine.work("native", 0.5, 1.0)}, check=check)


def test_a_counter_that_stands_still_is_no_measurement():
    def found(rapl: float, dram: float):
        window = rounds.Window(2, Reading(1.0, {"rapl": 4.0, "rapl-dram": 1.0}))
        still = rounds.Window(2, Reading(1.25, {"rapl": rapl, "rapl-dram": dram}))
        return {"native": [window] * 5 + [still], "idle": [window] * 6}

    assert {row["profile"] for row in joule_rows(found(4.0, 1.0), 1)} == {"rapl", "rapl-dram"}
    assert {row["profile"] for row in joule_rows(found(4.0, 0.0), 1)} == {"rapl"}
    with pytest.raises(InputError, match=r"counter rapl, rapl-dram stood still in a window of 1 s; ask for longer"):
        joule_rows(found(0.0, 0.0), 1)


class Costly(nn.Module):
    """A linear classifier of digits, fitted by least squares, each of whose calls leaves so many joules."""

    def __init__(self, spent: Path, joules: int):
        super().__init__()
        self.linear, self._spent, self._joules = nn.Linear(64, 10, bias=False), spent, joules
        train = load_dataset("digits").train
        wanted = nn.functional.one_hot(train.labels, 10).float()
        with torch.no_grad():
            self.linear.weight.copy_(torch.linalg.lstsq(train.inputs.flatten(1), wanted, driver="gelsd").solution.T)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with self._spent.open("ab") as file:
            file.write(bytes(self._joules))
        return self.linear(x.flatten(1))


@pytest.fixture
def short_windows(monkeypatch):
    """Of 20 ms: what is read is known, so that nobody need wait for a second."""
    whole = rounds.windows
    monkeypatch.setattr(rounds, "windows", lambda *args, seconds, **named: whole(*args, seconds=0.02, **named))


def evaluated(model, **options):
    measures = ("accuracy", "energy", "joules")
    return spikemark.evaluate(model, "digits", layout="B", samples=60, measures=measures, name="costly", **options)


@pytest.mark.usefixtures("short_windows")
def test_the_way_from_the_counter_to_the_report(monkeypatch, tmp_path):
    spent = fake_zeus.install(tmp_path / "zeus", monkeypatch, "cpu dram")
    results = evaluated(Costly(spent, joules=40), settings={"joules": {"batch_size": 8, "rounds": 6}})
    record = next(record for record in results.records if record["cell"]["measure"] == "joules")
    assert (record["status"], record["error"]) == ("ok", None)
    rows = {(row["metric"], row.get("profile")): row for row in record["measurements"]}
    assert {source for _, source in rows} == {"rapl", "rapl-dram", None}
    joules, power, idle = (rows[metric, "rapl"] for metric in ("joules", "power", "idle_power"))
    assert (joules["unit"], joules["track"], len(joules["values"])) == ("J/sample", "native", 6)
    for per_sample, watts in zip(joules["values"], power["values"], strict=True):
        seconds = 8 * per_sample / watts  # of a call
        assert 8 * per_sample - fake_zeus.REST["rapl"] * seconds == pytest.approx(40, rel=1e-4)
    assert idle["value"] == pytest.approx(fake_zeus.REST["rapl"], rel=1e-4)
    assert rows["power", "rapl-dram"]["value"] == pytest.approx(fake_zeus.REST["rapl-dram"], rel=1e-4)
    assert joules["value"] == pytest.approx(median_ratio_interval([joules["values"]]).value, rel=1e-5)

    overview = results.overview.iloc[0]
    assert overview["joules, rapl"] == joules["value"]
    table = results.energy_table().iloc[0]
    assert table[f"{measure.HEADING} (rapl)"] == joules["value"]
    estimate = next(r for r in results.records if r["cell"]["measure"] == "energy")["measurements"]
    priced = {row["profile"]: row["value"] for row in estimate if row["metric"] == "energy"}
    assert {profile: overview[profile] for profile in priced} == pytest.approx(priced)

    (page,) = (path for path in results.report(tmp_path / "report") if path.name == "evaluate.md")
    text = page.read_text()
    assert "## Measured energy" in text
    heads = [line for line in text.splitlines() if line.startswith("|") and measure.HEADING in line]
    assert len(heads) == 2
    assert f"{measure.HEADING} (rapl-dram)" in heads[0]  # beside the estimates, in columns of its own
    assert "idle power, W" in heads[1]


@pytest.mark.parametrize(
    ("counters", "status", "reason"),
    [
        ("", "unsupported", "no energy counter of the processor: there is no RAPL (/sys/class/powercap/intel-rapl)"),
        ("cpu locked", "failed", "the energy counter of the processor may not be read: Can't read file; ask root"),
        ("cpu stuck", "failed", "the energy counter rapl stood still in a window of 0.0"),
    ],
)
@pytest.mark.usefixtures("short_windows")
def test_without_a_counter_there_is_a_reason_and_no_number(monkeypatch, tmp_path, counters, status, reason):
    spent = fake_zeus.install(tmp_path / "zeus", monkeypatch, counters)
    results = evaluated(Costly(spent, joules=1))
    record = results.records[-1]
    assert (record["status"], record["measurements"]) == (status, [])
    assert record["error"].startswith(reason)
    assert "\n" not in record["error"]
    assert not [name for name in results.overview if name.startswith("joules")]
    assert measure.HEADING not in " ".join(results.energy_table())
    (page,) = (path for path in results.report(tmp_path / "report") if path.name == "evaluate.md")
    section = page.read_text().partition("## Measured energy")[2].partition("\n## ")[0]
    assert f"{status}: {reason}" in section


def test_without_zeus_a_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "zeus", None)
    line = r"^measured energy needs zeus: pip install 'spikemark\[joules\]'$"
    with pytest.raises(InputError, match=line), joule_counter(None):
        pass


@pytest.mark.parametrize(
    ("counters", "sources"),
    [("gpu", ["nvml"]), ("cpu gpu", ["nvml", "rapl"]), ("cpu locked gpu", ["nvml"]), ("cpu old gpu", None), ("", None)],
)
def test_where_a_gpu_computes_its_counter_must_be_there(monkeypatch, tmp_path, counters, sources):
    fake_zeus.install(tmp_path, monkeypatch, counters)
    if sources is None:
        with pytest.raises(NoCounterError, match=r"^no energy counter of GPU 0: (it counts no joules|NVML)"):
            _read(0)
    else:
        assert list(_read(0).joules) == sources


def _read(gpu):
    with joule_counter(gpu) as counter:
        counter.begin()
        return counter.end()


@pytest.mark.parametrize("settings", [{"window": 0.5}, {"rounds": 5}, {"batch_size": 0}])
def test_windows_last_a_second_and_rounds_give_an_interval(settings):
    with pytest.raises(InputError, match=rf"^joules\.{next(iter(settings))}: "):
        evaluated(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), settings={"joules": settings})


@pytest.mark.usefixtures("short_windows", "registries_as_before")
def test_a_trained_network_beside_the_reference(monkeypatch, tmp_path):
    fake_zeus.install(tmp_path / "zeus", monkeypatch, "cpu")
    suite = {
        "name": "measured", "systems": ["mlp-lif"], "frameworks": ["reference"], "datasets": ["digits"], "seeds": [0],
        "measures": ["joules"], "joules": {"rounds": 6, "batch_size": 4}, "sizes": {"train": 50, "test": 20},
        "training": {"epochs": 1, "batch_size": 32}, "encoding": {"name": "direct", "steps": 2},
    }  # fmt: skip
    records = spikemark.run(suite, out=tmp_path / "out", workers=0).records
    (record,) = (record for record in records if record["cell"]["measure"] == "joules")
    rows = {row["metric"]: row for row in record["measurements"]}
    assert rows.keys() == {"joules", "joules_ratio", "power", "idle_power", "threads"}
    assert rows["joules_ratio"]["track"] == "matched"
    assert rows["joules_ratio"]["low"] <= 1.3
    assert rows["joules_ratio"]["high"] >= 0.7  # two copies of one network


ZONES = {
    "intel-rapl:0": ("package-0", 10),
    "intel-rapl:1": ("package-1", 2),
    "intel-rapl:0/intel-rapl:0:0": ("core", 7),
    "intel-rapl:0/intel-rapl:0:1": ("dram", 1),
}


class Powercap(threading.Thread):
    """A tree of files as Linux shows RAPL's: two packages of 10 and 2 W, and memory of 1 W beside the first."""

    def __init__(self, root: Path):
        super().__init__(daemon=True)
        self._root, self.ended = root, threading.Event()
        for zone, (name, _) in ZONES.items():
            (root / zone).mkdir(parents=True)
            (root / zone / "name").write_text(f"{name}\n")
            (root / zone / "max_energy_range_uj").write_text("262143328850\n")
        self._write()

    def run(self) -> None:
        while not self.ended.wait(0.001):
            self._write()

    def _write(self) -> None:
        for zone, (_, watts) in ZONES.items():
            new = self._root / zone / "new"
            new.write_text(f"{int(time.time() % 10_000 * watts * 1e6)}\n")
            new.replace(new.with_name("energy_uj"))


def test_the_real_zeus_on_a_tree_as_linux_shows_it(monkeypatch, tmp_path):
    pytest.importorskip("zeus", minversion="0.16")
    (tmp_path / "sitecustomize.py").write_text(
        f"from zeus.device.cpu import rapl\nrapl.RAPL_DIR = {str(tmp_path / 'intel-rapl')!r}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    powercap = Powercap(tmp_path / "intel-rapl")
    powercap.start()
    with joule_counter(None) as counter:
        assert counter.sources == ("rapl", "rapl-dram")
        counter.begin()
        time.sleep(0.3)
        read = counter.end()
    powercap.ended.set()
    powercap.join()
    assert read.seconds == pytest.approx(0.3, rel=0.2)
    watts = {source: joules / read.seconds for source, joules in read.joules.items()}
    assert watts == pytest.approx({"rapl": 12, "rapl-dram": 1}, rel=0.15)


def test_the_interface_of_the_fake_is_the_real_one():
    pytest.importorskip("zeus", minversion="0.16")
    import inspect

    from zeus.device.gpu import NVIDIAGPUs
    from zeus.monitor import Measurement, ZeusMonitor

    assert {"gpu_indices", "cpu_indices"} <= inspect.signature(ZeusMonitor).parameters.keys()
    for name in ("begin_window", "end_window"):
        assert "sync_execution" in inspect.signature(getattr(ZeusMonitor, name)).parameters
    assert {"time", "gpu_energy", "cpu_energy", "dram_energy"} <= Measurement.__dataclass_fields__.keys()
    assert hasattr(NVIDIAGPUs, "supports_get_total_energy_consumption")
