"""Faults of machines, files and people, each caused for real: one line, the right status, nothing lost."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from spikemark.core.files import locked, staged, sweep, write_files
from spikemark.suites.records import load_records

SMOKE = ("--workers", 0, "--only", "measure=conformance")


@pytest.fixture
def records(spikemark, tmp_path):
    folder = tmp_path / "records"
    assert spikemark("run", "smoke", "--out", folder, *SMOKE)[0] == 0
    return folder


def tree(folder):
    """Everything below a folder, with content and times of change."""
    return {
        path: (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


def process(*arguments, **options):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "spikemark", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def outcome(running, timeout=60):
    out, err = running.communicate(timeout=timeout)
    return running.returncode, out, err


def one_line(code, err):
    assert code == 2
    assert "Traceback" not in err
    assert err.count("\n") == 1, err


# What lies beside records.

STRANGE = {
    "pipe": (os.mkfifo, 0, "left out, no regular files"),
    "folder": (lambda path: path.mkdir(), 0, "left out, no regular files"),
    "dangling": (lambda path: path.symlink_to("nowhere"), 0, "left out, no regular files"),
    "loop": (lambda path: path.symlink_to(path), 0, "left out, no regular files"),
    "torn": (lambda path: path.write_text('{"schema": 2, "ke'), 0, "left as they are, torn or no JSON"),
    "comment": (lambda path: path.write_text('{\n // mine\n "a": 1,\n}'), 0, "left as they are, torn or no JSON"),
    "deep": (lambda path: path.write_text("[" * 100_000), 0, "left as they are, torn or no JSON"),
    "nan": (lambda path: path.write_text('{"x": NaN}'), 0, "left as they are, no records of spikemark"),
    "foreign": (lambda path: path.write_text('{"a": 1}'), 0, "left as they are, no records of spikemark"),
    "binary": (lambda path: path.write_bytes(bytes(range(256))), 0, "left as they are, torn or no JSON"),
    "empty": (lambda path: path.write_text(""), 0, "left as they are, torn or no JSON"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_files_that_are_not_ours_are_named_and_left_alone(spikemark, records, tmp_path, caplog, kind):
    make, status, words = STRANGE[kind]
    make(records / f"{kind}.json")
    before = tree(records)
    commands = {
        "report": ("report", records, "--out", tmp_path / "report"),
        "compare": ("compare", records, records),
        "dry run": ("run", "smoke", "--out", records, *SMOKE, "--dry-run"),
        "history": ("history", "add", records, "--commit", "abc", "--history", tmp_path / "history"),
        "pack": ("pack", records, "--out", tmp_path / "x.records.tar.xz"),
    }
    for name, command in commands.items():
        caplog.clear()
        code, _, err = spikemark(*command)
        assert (name, code, err) == (name, status, "")
        assert name == "dry run" or f"{words}: {records / f'{kind}.json'}" in caplog.text
    assert tree(records) == before


def test_hidden_files_are_never_looked_at(spikemark, records, tmp_path, caplog):
    (records / ".vscode").mkdir()
    (records / ".vscode" / "settings.json").write_text("{ // mine\n}")
    os.mkfifo(records / ".pipe.json")
    assert spikemark("report", records, "--out", tmp_path / "report")[0] == 0
    assert caplog.text == ""


@pytest.mark.parametrize("command", ["report", "compare", "history", "run"])
def test_a_record_that_may_not_be_read_is_named(spikemark, records, tmp_path, monkeypatch, command):
    """As root may read everything, the refusal comes from the call."""
    locked_away = next(records.glob("*.json"))
    read = Path.read_bytes

    def refused(path):
        if path == locked_away:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    arguments = {
        "report": ("report", records, "--out", tmp_path / "report"),
        "compare": ("compare", records, records),
        "history": ("history", "add", records, "--commit", "abc", "--history", tmp_path / "history"),
        "run": ("run", "smoke", "--out", records, *SMOKE),
    }[command]
    code, _, err = spikemark(*arguments)
    one_line(code, err)
    assert f"{locked_away} cannot be read (Permission denied)" in err


def test_a_folder_in_the_place_of_a_record_stops_the_run_before_it_starts(spikemark, records):
    taken = next(records.glob("*.json"))
    taken.unlink()
    taken.mkdir()
    code, _, err = spikemark("run", "smoke", "--out", records, *SMOKE)
    one_line(code, err)
    assert f"{taken} is no regular file" in err


def test_copied_and_changed_records_are_said_to_be_so(spikemark, records, tmp_path, caplog):
    first, second = sorted(records.glob("*.json"))[:2]
    original = second.read_bytes()
    second.write_bytes(first.read_bytes())
    code, out, _ = spikemark("run", "smoke", "--out", records, *SMOKE, "--dry-run")
    assert (code, "1 jobs to run" in out) == (0, True)
    assert f"the record of another job under this job's name: {second}" in caplog.text
    caplog.clear()
    assert spikemark("report", records, "--out", tmp_path / "report")[0] == 0
    assert f"copies of other records: {second}" in caplog.text
    changed = json.loads(original)
    changed["cell"]["seed"] += 1
    second.write_text(json.dumps(changed))
    caplog.clear()
    code, out, _ = spikemark("run", "smoke", "--out", records, *SMOKE, "--dry-run")
    assert (code, "1 jobs to run" in out) == (0, True)
    assert f"changed after it was measured: {second}" in caplog.text
    assert spikemark("run", "smoke", "--out", records, *SMOKE)[0] == 0
    assert json.loads(second.read_text())["cell"] == json.loads(original)["cell"]


# What the machine refuses.

LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", LONG),
        ("report", "{records}", "--out", LONG),
        ("compare", "{records}", LONG),
        ("run", "smoke", "--out", LONG, *SMOKE),
        ("run", f"{LONG}.toml"),
        ("run", "smoke", "--plugin", f"{LONG}.py"),
        ("run", "smoke", "--plugin", "~nobody-of-this-name/x.py"),
        ("history", "add", "{records}", "--commit", "a", "--history", LONG),
        ("history", "show", "--history", LONG),
        ("pack", "{records}", "--out", f"{LONG}.records.tar.xz"),
        ("compare", "{records}", "{records}", "--markdown", f"{LONG}.md"),
        ("report", "/dev/null/x"),
        ("report", "{records}", "--out", "/dev/null/x"),
        ("compare", "{records}", "{records}", "--noise", "{records}"),
        ("history", "add", "{records}", "--commit", "a", "--history", "/dev/null"),
        ("report", "{records}", "--out", "/proc/self"),
    ],
)
def test_names_and_places_that_cannot_be(spikemark, records, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, _, err = spikemark(*(str(word).replace("{records}", str(records)) for word in arguments))
    one_line(code, err)


def test_a_suite_of_too_long_a_name_is_refused_before_it_runs(spikemark, records, tmp_path):
    path = next(records.glob("*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"suite": "s" * 400}))
    code, _, err = spikemark("report", records, "--out", tmp_path / "report")
    one_line(code, err)
    assert "suite: String should have at most 100 characters" in err


def test_a_full_disk_leaves_whole_files_and_the_run_goes_on_later(records, tmp_path):
    """A limit on the size of files refuses the write in the middle, as a full disk does."""
    few = lambda size: lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # noqa: E731
    target = tmp_path / "report"
    write_files({target / "smoke.md": "the old one", target / "smoke.html": "the old page"})
    before = tree(target)
    code, _, err = outcome(process("report", records, "--out", target, preexec_fn=few(4_000)))
    one_line(code, err)
    assert f"{target}: File too large" in err
    assert tree(target) == before
    code, _, err = outcome(process("run", "smoke", "--out", tmp_path / "new", *SMOKE, preexec_fn=few(1_000)))
    assert code == 2
    assert err.splitlines()[-1].startswith(f"spikemark: {tmp_path / 'new'}: File too large; once that is mended")
    assert not list((tmp_path / "new").glob("*.json"))
    code, _, err = outcome(process("run", "smoke", "--out", tmp_path / "new", *SMOKE))
    assert code == 0, err
    assert len(load_records(tmp_path / "new")) == 2


@pytest.fixture
def disk(tmp_path):
    """A function that mounts a small disk, or gives it more room."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        known = ["remount"] if os.path.ismount(place) else []
        command = ["mount", "-t", "tmpfs", "-o", ",".join([*known, options]), "tmpfs", place]
        if subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode:
            pytest.skip("this user may mount nothing")
        return place

    yield mount
    if os.path.ismount(place):
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize(("full", "room"), [("size=4k", "size=1m"), ("nr_inodes=3", "nr_inodes=100")])
def test_a_disk_without_room_and_one_without_inodes(spikemark, disk, full, room):
    place = disk(full)
    code, _, err = spikemark("run", "smoke", "--out", place, *SMOKE)
    assert (code, "Traceback" in err) == (2, False)
    said = err.splitlines()[-1]
    assert said.startswith(f"spikemark: {place}")
    assert said.endswith(": No space left on device; once that is mended, run the same command again")
    assert len(list(place.glob("*.json"))) <= 1
    disk(room)
    assert spikemark("run", "smoke", "--out", place, *SMOKE)[0] == 0
    assert len(load_records(place)) == 2


@pytest.mark.parametrize("arguments", [("list", "neurons"), ("compare", "{records}", "{records}"), ("--help",)])
def test_standard_output_that_is_full(records, arguments):
    command = [sys.executable, "-m", "spikemark", *(word.replace("{records}", str(records)) for word in arguments)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    one_line(done.returncode, done.stderr)
    assert "No space left on device" in done.stderr


# Interrupts, kills, and two at once.

SLOW = """
name = "slow"
frameworks = ["reference"]
systems = ["mlp-lif"]
datasets = ["digits"]
seeds = [0, 1]
measures = ["accuracy"]
training = { epochs = 100000, batch_size = 64 }
"""


@pytest.fixture
def slow(tmp_path):
    path = tmp_path / "slow.toml"
    path.write_text(SLOW)
    return path


def started(out, seconds=60):
    """Wait until a run holds its folder."""
    end = time.monotonic() + seconds
    while not (out / ".spikemark.lock").exists():
        assert time.monotonic() < end
        time.sleep(0.1)
    time.sleep(1.0)


def at_work(slow, out, workers):
    """A run in the middle of its training; with worker processes, one of which has finished another job."""
    if workers:
        slow.write_text(SLOW.replace("[0, 1]", "[0]").replace('["accuracy"]', '["accuracy", "conformance"]'))
    running = process("run", slow, "--out", out, "--workers", workers)
    if workers:
        end = time.monotonic() + 90
        while not list(out.glob("*.json")):
            assert time.monotonic() < end
            time.sleep(0.1)
    else:
        started(out)
    return running


def ended(process):
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(("workers", "number"), [(0, signal.SIGINT), (0, signal.SIGTERM), (2, signal.SIGINT)])
def test_one_interrupt_ends_a_run_in_order(slow, tmp_path, workers, number):
    out = tmp_path / "out"
    running = at_work(slow, out, workers)
    children = psutil.Process(running.pid).children(recursive=True)
    assert len(children) >= workers
    running.send_signal(number)
    begin = time.monotonic()
    code, _, err = outcome(running)
    assert time.monotonic() - begin < 5 + 10 * (os.getloadavg()[0] > 2)
    # Python itself ends by SIGINT, whatever it is told, if an interrupt has met code that it executes from a text.
    assert code in (128 + number, -signal.SIGINT), err
    said = [line for line in err.splitlines() if line and not line.startswith(("running ", "started ", "["))]
    assert said == ["spikemark: interrupted; finished jobs are kept, run the same command to continue"]
    assert len(load_records(out)) == 1 if workers else not list(out.glob("*.json"))
    assert all(map(ended, psutil.wait_procs(children, timeout=30)[1]))


def test_an_interrupt_while_the_program_starts():
    """At whatever moment, from the first import on; also where the tests themselves ignore the signal."""
    code = (
        "import os, signal, sys\n"
        "def trace(frame, event, argument):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if left == 0: os.kill(os.getpid(), signal.SIGINT)\n"
        "left = int(sys.argv.pop(1))\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from spikemark.__main__ import start\n"
        "sys.setprofile(trace)\n"
        "start()"
    )
    for calls in (1_000, 30_000, 100_000, 300_000):
        command = [sys.executable, "-c", code, str(calls), "list", "profiles"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (130, False), (calls, done.stderr)


def test_an_interrupt_that_python_cannot_raise_is_not_lost():
    code = (
        "import signal, sys, time\n"
        "from spikemark import cli\n"
        "class Dying:\n"
        "    def __del__(self): signal.raise_signal(signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, cli._interrupt)\n"
        "try:\n"
        "    Dying()\n"
        "    time.sleep(20)\n"
        "except KeyboardInterrupt as stop: print('stopped by', stop.args[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("stopped by 2\n", "")


@pytest.mark.parametrize(("workers", "pause"), [(0, 0.0), (0, 0.05), (0, 0.5), (2, 0.05)])
def test_two_interrupts_end_it_at_once(slow, tmp_path, workers, pause):
    running = at_work(slow, tmp_path / "out", workers)
    children = psutil.Process(running.pid).children(recursive=True)
    for _ in range(2):
        running.send_signal(signal.SIGINT)
        time.sleep(pause)
    code, _, err = outcome(running)
    assert code in (130, -signal.SIGINT), "the latter where Python is about to end"
    assert "terminate called" not in err
    assert "Traceback" not in err
    assert all(map(ended, psutil.wait_procs(children, timeout=30)[1]))


def test_a_second_run_waits_for_the_first(slow, tmp_path):
    out = tmp_path / "out"
    first = process("run", slow, "--out", out, "--workers", 0)
    started(out)
    second = process("run", "smoke", "--out", out, *SMOKE)
    assert second.stderr.readline().startswith(f"another run writes into {out}")
    time.sleep(1.0)
    assert second.poll() is None
    first.kill()
    first.wait()
    code, said, err = outcome(second)
    assert (code, "2 ok" in said) == (0, True), err


def test_temporary_files_of_killed_writers_are_removed(spikemark, records, tmp_path):
    code = (
        "import os; from pathlib import Path; from spikemark.core.files import staged\n"
        f"with staged(Path({str(records)!r}, 'x.json')) as (part,):\n"
        "    part.write_text('half'); os.kill(os.getpid(), 9)"
    )
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(list(records.glob(".*.part"))) == 3
    assert spikemark("run", "smoke", "--out", records, *SMOKE)[0] == 0
    assert not list(records.glob(".*.part"))


def test_files_are_staged_together_and_old_parts_swept(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    write_files({one: "1", two: "2"})

    class BrokenOffError(Exception):
        pass

    def break_off():
        with staged(one, two) as parts:
            parts[0].write_text("new")
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        break_off()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"one": "1", "two": "2"}
    old = tmp_path / ".spikemark-a.part"
    old.touch()
    (tmp_path / ".another-a.part").touch()
    sweep(tmp_path)
    assert old.exists(), "its writer may be at work"
    os.utime(old, (0, 0))
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".another-a.part", "one", "two"]


def test_a_lock_outlives_nobody(tmp_path):
    code = (
        "import os; from pathlib import Path; from spikemark.core.files import locked\n"
        f"with locked(Path({str(tmp_path)!r}), print): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    waits = []
    with locked(tmp_path, lambda: waits.append(1)):
        pass
    assert not waits
