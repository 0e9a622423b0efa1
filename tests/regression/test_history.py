"""The history: appended to, never damaged, never mixed; and where it says that something changed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from spikemark.errors import InputError
from spikemark.regression.history import Past, add, load
from spikemark.regression.series import TIME, Side, metrics
from spikemark.regression.trend_page import trend_page
from spikemark.regression.trends import changes, regressions, summary


def side(value, machine="a cpu"):
    made = Side("run", machines={machine})
    made.place("snntorch lif forward", TIME).runs.append((value, value))
    made.place("snntorch lif", metrics()["macs"]).exact[0, ""] = 100.0
    return made


def past(values, metric="time", machine="a cpu", first=0):
    numbers = range(first, first + len(values))
    commits, when = tuple(f"commit-{i}" for i in numbers), tuple(f"2026-01-01T{i:02}" for i in numbers)
    return Past("b", metric, metric, "s", machine, commits, tuple(values), when)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}


def test_one_line_a_commit(tmp_path):
    assert add(tmp_path / "h", side(1.0), "aaa") == 2
    before = contents(tmp_path / "h")
    add(tmp_path / "h", side(2.0), "bbb")
    after = contents(tmp_path / "h")
    assert all(after[name].startswith(old) for name, old in before.items())
    times = next(p for p in load(tmp_path / "h") if p.metric == "time")
    assert (times.commits, times.values) == (("aaa", "bbb"), (1.0, 2.0))


def test_machines_are_never_mixed(tmp_path):
    add(tmp_path, side(1.0), "aaa")
    add(tmp_path, side(2.0, machine="another"), "aaa")
    assert [(p.machine, len(p.values)) for p in load(tmp_path) if p.metric == "time"] == [("a cpu", 1), ("another", 1)]


@pytest.mark.parametrize("tail", ['{"benchmark": "sn', '{"benchmark": "x"}', None])
def test_a_torn_last_line_stops_it_and_nothing_is_written(tmp_path, tail):
    add(tmp_path, side(1.0), "aaa")
    path = sorted(tmp_path.glob("*.jsonl"))[-1]
    text = path.read_text()
    path.write_text(text + tail if tail else text.rstrip("\n"))
    before = contents(tmp_path)
    for action in (lambda: add(tmp_path, side(2.0), "bbb"), lambda: load(tmp_path)):
        with pytest.raises(InputError, match=r"line \d: the last line is torn"):
            action()
    assert contents(tmp_path) == before


def test_adding_again_changes_nothing(tmp_path):
    assert add(tmp_path, side(1.0), "aaa") == 2
    before = contents(tmp_path)
    assert add(tmp_path, side(2.0), "aaa") == 0
    assert contents(tmp_path) == before


def test_a_foreign_line_is_refused(tmp_path):
    add(tmp_path, side(1.0), "aaa")
    path = sorted(tmp_path.glob("*.jsonl"))[0]
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(InputError, match="line 1: no line of a history"):
        load(tmp_path)


def test_a_commit_that_is_half_there_is_completed(tmp_path):
    add(tmp_path, side(1.0), "aaa")
    add(tmp_path, side(2.0), "bbb")
    path = sorted(tmp_path.glob("*.jsonl"))[0]
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    assert add(tmp_path, side(2.0), "bbb") == 1
    assert [past.commits for past in load(tmp_path)] == [("aaa", "bbb")] * 2


def test_a_commit_is_completed_where_it_stands(tmp_path):
    for commit in ("aaa", "bbb", "ccc"):
        add(tmp_path, side(1.0), commit)
    path = sorted(tmp_path.glob("*.jsonl"))[0]
    first, _, last = path.read_text().splitlines(keepends=True)
    path.write_text(first + last)
    assert add(tmp_path, side(2.0), "bbb") == 1
    assert [past.commits for past in load(tmp_path)] == [("aaa", "bbb", "ccc")] * 2
    lines = path.read_text().splitlines(keepends=True)
    assert (lines[0], lines[2]) == (first, last)


def test_a_torn_line_is_deleted_and_its_commit_added_again(tmp_path):
    """The recovery that docs/regression.md gives, on files as a killed program left them."""
    add(tmp_path, side(1.0), "aaa")
    add(tmp_path, side(2.0), "bbb")
    path = sorted(tmp_path.glob("*.jsonl"))[-1]
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match=r"line 2: the last line is torn; delete it and add that commit again"):
        add(tmp_path, side(2.0), "bbb")
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    assert add(tmp_path, side(2.0), "bbb") == 1
    assert {past.commits for past in load(tmp_path)} == {("aaa", "bbb")}


def test_adding_fails_as_a_whole(tmp_path, monkeypatch):
    add(tmp_path, side(1.0), "aaa")
    before = contents(tmp_path)
    write, writes = Path.write_bytes, []

    def full(path, text):
        writes.append(path)
        if len(writes) == 2:
            raise OSError(28, "No space left on device")
        return write(path, text)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        add(tmp_path, side(2.0), "bbb")
    monkeypatch.undo()
    assert contents(tmp_path) == before
    assert add(tmp_path, side(2.0), "bbb") == 2


def test_processes_that_add_at_once_lose_nothing(tmp_path):
    """Threads have locks of their own, as processes do."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: add(tmp_path, side(float(i + 1)), f"c{i}"), range(8)))
    orders = {past.commits for past in load(tmp_path)}
    assert len(orders) == 1
    assert sorted(orders.pop()) == [f"c{i}" for i in range(8)]


def test_nothing_to_add_or_show(tmp_path):
    with pytest.raises(InputError, match="holds no series"):
        add(tmp_path, Side("empty"), "aaa")
    with pytest.raises(InputError, match="holds no history"):
        load(tmp_path)


def test_a_step_is_found_where_it_is():
    rng = np.random.default_rng(0)
    values = np.exp(0.02 * rng.standard_normal(40)) * np.where(np.arange(40) < 25, 1.0, 1.1)
    (found,) = changes(past(values))
    assert found.commit == "commit-25"
    assert found.relative == pytest.approx(0.1, abs=0.02)


def test_quiet_series_have_no_change():
    rng = np.random.default_rng(1)
    found = [bool(changes(past(np.exp(0.05 * rng.standard_normal(40))))) for _ in range(100)]
    assert np.mean(found) <= 0.1


def test_short_and_constant_series_have_no_change():
    assert changes(past([1.0, 2.0, 1.0])) == []
    assert changes(past([1.0] * 20)) == []


def test_every_change_of_a_deterministic_number_counts():
    assert [change.index for change in changes(past([100.0, 100.0, 101.0, 100.0], metric="macs"))] == [2, 3]


def test_a_constant_series_with_one_step_is_found():
    assert [change.index for change in changes(past([1.0] * 10 + [1.2] * 10))] == [10]


def test_the_newest_value_is_judged_by_the_noise_before_it():
    rng = np.random.default_rng(3)
    quiet = np.exp(0.02 * rng.standard_normal(20))
    assert regressions([past(quiet)]) == []
    (found,) = regressions([past([*quiet, 1.2])])
    assert (found.change.commit, found.change.after) == ("commit-20", 1.2)
    assert regressions([past([*quiet, 0.8])]) == []
    assert str(found).startswith("worse since commit-20: b: time: ")
    assert regressions([past([1.0] * 5 + [2.0])]) == []  # too few to tell noise by
    (found,) = regressions([past([0.9, 0.9, 0.91, 0.9, 0.9, 0.91, 0.9, 0.5], metric="accuracy")])
    assert found.change.after == 0.5


def test_quiet_series_raise_no_alarm_at_their_newest_commit():
    """40 series a time; the chance of any false alarm among them is 1 %, and some more of short ones."""
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(20):
        series = [past(np.exp(0.05 * rng.standard_normal(25)), machine=f"cpu {i}") for i in range(40)]
        alarms += any(found.change.index == 24 for found in regressions(series))
    assert alarms <= 2


def test_only_what_happened_since_counts():
    step, later = past([1.0] * 10 + [1.2] * 10), past([5.0] * 20 + [5.5], metric="macs")
    assert [str(one.past.metric) for one in regressions([step, later])] == ["macs"]
    assert [one.past.metric for one in regressions([step, later], "commit-10")] == ["time", "macs"]
    assert [one.past.metric for one in regressions([step, later], "commit-11")] == ["macs"]
    with pytest.raises(InputError, match="--since commit-1: 11 commits of the history begin with that"):
        regressions([step], "commit-1")
    with pytest.raises(InputError, match="--since fff: no commits"):
        regressions([step], "fff")


def test_the_newest_commit_is_that_of_all_machines():
    """A machine that measured an older commit last does not raise its alarm for ever."""
    older, newer = past([1.0, 2.0], "macs", "old cpu"), past([1.0, 1.0], "macs", "new cpu", first=2)
    assert regressions([older, newer]) == []
    assert len(regressions([older])) == 1


def test_page_and_summary_name_the_commit_and_begin_with_what_moved_most():
    pasts = [past([1.0] * 20), past([10264.0] * 5 + [10265.0], "macs"), past([1.0] * 10 + [1.2] * 10, machine="<cpu>")]
    rows = summary(pasts).splitlines()[2:]
    assert [row.split()[1] for row in rows] == ["time", "macs", "time"]
    assert "+20.00 % at commit-10" in rows[0]
    assert "+0.01 % at commit-5" in rows[1]
    page = trend_page(pasts, regressions(pasts, "commit-5"), "https://host/o/r/commit/")
    assert page.index("+20.00 % at <a href='https://host/o/r/commit/commit-10'>") < page.index("+0.01 % at")
    assert "2 that changed" in page
    assert "1 without a change" in page
    assert "&lt;cpu&gt;" in page
    assert "<cpu>" not in page
    assert "<script" not in page
    assert page.index("<h2>Worse") < page.index("<svg")
    assert page.count("<svg") == 3


@pytest.mark.parametrize("commit", ["", "a b", "../../x\n=1", "=1", "-x", "a\x00"])
def test_what_is_no_commit_is_refused(tmp_path, commit):
    with pytest.raises(InputError, match="expected a hash, a tag or a branch"):
        add(tmp_path, side(1.0), commit)
    assert not list(tmp_path.iterdir())
