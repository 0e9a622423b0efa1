"""Two commits of a tiny project against each other: real worktrees and installations, a made-up measurement."""

import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from spikemark.api import run
from spikemark.errors import InputError
from spikemark.regression.ab import Plan, Subject, _timed, layer_cases, run_ab
from spikemark.regression.series import Side
from spikemark.regression.verdicts import Limits
from spikemark.regression.visit import YARDSTICK, time_in_turns
from spikemark.regression.visits import Visits, looks, relative_to_yardstick
from spikemark.regression.worktrees import Checkout, _terminated_as_interrupted, resolve
from spikemark.suites.suite import load_suite

# Reads the pace of the installed commit, and numbers its visits so that the noise of each is its own.
MEASURE = """
import json, pathlib, random, sys
import tinyproject
counter = pathlib.Path(sys.argv[2])
visit = int(counter.read_text()) if counter.exists() else 0
counter.write_text(str(visit + 1))
rng = random.Random(visit)
values = [tinyproject.PACE * rng.lognormvariate(0, 0.02) for _ in range(5)]
steady = [1.0 * rng.lognormvariate(0, 0.02) for _ in range(5)]
pathlib.Path(sys.argv[1]).write_text(json.dumps({"values": {"pace": values, "steady": steady}, "measuring": 1.0}))
"""

# A build backend of one function, since importing setuptools twice a test takes longer than the test.
BACKEND = """
import pathlib, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name, info = "tinyproject-1-py3-none-any.whl", "tinyproject-1.dist-info/"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("tinyproject.py", pathlib.Path("tinyproject.py").read_text())
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: tinyproject\\nVersion: 1\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
"""


def git(folder, *arguments):
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder, text, message):
    (folder / "tinyproject.py").write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Branches: main, empty (the same files), same (the same code), slow (10 % slower), broken (does not install)."""
    folder = tmp_path_factory.mktemp("tiny")
    git(folder, "init", "-q", "-b", "main")
    (folder / "pyproject.toml").write_text(
        textwrap.dedent("""
            [build-system]
            requires = []
            build-backend = "backend"
            backend-path = ["."]
            [project]
            name = "tinyproject"
            version = "1"
            dependencies = ["numpy"]
        """)
    )
    (folder / "backend.py").write_text(BACKEND)
    commit(folder, "PACE = 1.0\n", "main")
    git(folder, "checkout", "-q", "-b", "empty")
    commit(folder, "PACE = 1.0\n", "empty")
    git(folder, "checkout", "-q", "-b", "same", "main")
    commit(folder, "PACE = 1.0  # as it was\n", "the same code")
    git(folder, "checkout", "-q", "-b", "slow", "main")
    commit(folder, "PACE = 1.1\n", "slow")
    git(folder, "checkout", "-q", "-b", "broken", "main")
    (folder / "backend.py").write_text("raise RuntimeError('no compiler here')")
    commit(folder, "PACE = 1.0\n", "broken")
    git(folder, "checkout", "-q", "main")
    return folder


def plan(repository, tmp_path, base="main", head="slow", **changes):
    script = tmp_path / "measure.py"
    script.write_text(MEASURE)
    command = f"{{python}} -P {script} {{out}} {tmp_path / 'counter'}"
    changes = {"suite": None, "command": command, "metrics": ("time",)} | changes
    return Plan(repository, base, head, limits=Limits(), **changes)


def worktrees(repository):
    return git(repository, "worktree", "list").splitlines()


def test_a_slower_commit_is_found_and_an_equal_one_passes(repository, tmp_path):
    said = []
    comparison = run_ab(plan(repository, tmp_path), said.append)
    assert [(f.benchmark, f.verdict) for f in comparison.regressions] == [("pace", "slower")]
    assert comparison.regressions[0].change == pytest.approx(0.1, abs=0.03)
    assert [line.split(":")[0] for line in said[1:]] == ["10 visits a side, 10 s"]  # clear at the first look
    assert int((tmp_path / "counter").read_text()) == 20
    assert len(worktrees(repository)) == 1

    comparison = run_ab(plan(repository, tmp_path, head="same"), said.append)
    assert comparison.passed
    assert {f.verdict for f in comparison.findings} == {"same"}


@pytest.fixture
def local_plan(tmp_path):
    """A plan whose visits need no environment: both sides are this interpreter, and one is slower."""
    script = tmp_path / "measure.py"
    script.write_text(MEASURE.replace("import tinyproject", "class tinyproject: PACE = 1.0"))
    command = f"{{python}} -P {script} {{out}} {tmp_path / 'counter'}"
    pair = tuple(Checkout(ref, "0" * 40, tmp_path, Path(sys.executable)) for ref in ("main", "slow"))
    return Plan(tmp_path, "main", "slow", None, Limits(), 3.0, ("time",), command), pair


def timed(plan, pair):
    return _timed(plan, [Visits(plan.command)], pair, (Side("main"), Side("slow")), lambda line: None)


def test_the_budget_ends_it_but_not_before_there_can_be_a_verdict(local_plan, tmp_path):
    plan, pair = local_plan
    comparison = timed(plan, pair)
    assert int((tmp_path / "counter").read_text()) == 12
    assert comparison.passed
    assert all(math.isfinite(f.low) for f in comparison.findings)
    timed(replace(plan, budget=8.0), pair)
    assert int((tmp_path / "counter").read_text()) == 12 + 16


def test_a_ref_that_does_not_install_leaves_no_worktree(repository, tmp_path):
    with pytest.raises(InputError, match=r"broken does not install: .*RuntimeError: no compiler here$"):
        run_ab(plan(repository, tmp_path, head="broken"), lambda line: None)
    assert len(worktrees(repository)) == 1


@pytest.mark.parametrize("ref", ["nowhere", "--help"])
def test_a_ref_that_does_not_exist(repository, tmp_path, ref):
    with pytest.raises(InputError, match=f"there is no commit '{ref}'"):
        run_ab(plan(repository, tmp_path, head=ref), lambda line: None)


def writes(text):
    """A command that writes the text; its braces are no placeholders."""
    return f"{{python}} -c {shlex.quote(f'import sys; open(sys.argv[1], chr(119)).write({text!r})')} {{out}}"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("{python} -c 1", "measuring main wrote nothing to {out}"),
        (writes("nonsense"), "measuring main wrote no result to {out}: Invalid JSON"),
        (writes("{}"), "measuring main wrote no result to {out}: values: is missing"),
        (writes('{"values": {"a": []}}'), "measuring main wrote no result to {out}: values.a: "),
        (writes('{"values": {"a": [-1.0]}}'), "measuring main wrote no result to {out}: values.a.0: "),
        (
            writes('{"values": {"a": [1.0, 2.0], "yardstick": [1.0]}}'),
            "measuring main: every case must have as many values as the case 'yardstick'",
        ),
        ("{python} -c 1/0", "measuring main failed with status 1: ZeroDivisionError"),
        ("/nowhere/python", "measuring main: cannot run /nowhere/python"),
    ],
)
def test_a_visit_that_fails(local_plan, command, message):
    plan, pair = local_plan
    with pytest.raises(InputError, match=re.escape(message)):
        timed(replace(plan, command=command), pair)


def test_a_dirty_worktree_is_refused(repository, tmp_path):
    source = repository / "tinyproject.py"
    before = source.read_text()
    source.write_text("PACE = 3.0\n")
    try:
        with pytest.raises(InputError, match=r"uncommitted changes in .* \(tinyproject\.py\)"):
            run_ab(plan(repository, tmp_path), lambda line: None)
    finally:
        source.write_text(before)


def test_outside_a_repository(tmp_path):
    with pytest.raises(InputError, match="is not in a git repository"):
        run_ab(plan(tmp_path, tmp_path), lambda line: None)


def test_worktrees_are_gone_after_an_interrupt(repository, tmp_path):
    started = tmp_path / "started"
    slow = f"import pathlib, time; pathlib.Path(r'{started}').touch(); time.sleep(60)"
    (tmp_path / "slow.py").write_text(slow)
    arguments = ["ab", "main", "slow", "--repository", str(repository), "--metrics", "time"]
    arguments += ["--command", f"{{python}} {tmp_path / 'slow.py'}"]
    # A test run started in the background ignores Ctrl-C, and its children would too.
    listen = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    start = f"{listen}; from spikemark.cli import main; sys.argv[1:] = {arguments!r}; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", start], stderr=subprocess.DEVNULL, env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    try:
        deadline = time.monotonic() + 300  # a busy machine takes long to install two commits
        while not started.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(worktrees(repository)) == 3
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
    assert len(worktrees(repository)) == 1
    assert not list(tmp_path.glob("spikemark-*"))


def test_a_cancelled_job_counts_as_interrupted():
    before = signal.getsignal(signal.SIGTERM)
    with _terminated_as_interrupted(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_looks_are_few():
    assert [n for n in range(1, 101) if looks(n)] == [10, 15, 22, 33, 49, 73]


def test_the_yardstick_takes_the_machine_out():
    calm = {YARDSTICK: [1.0, 1.0], "case": [3.0, 3.0]}
    busy = {YARDSTICK: [2.0, 4.0], "case": [6.0, 12.0]}
    assert relative_to_yardstick(calm, 1.0) == relative_to_yardstick(busy, 1.0) == {"case": 3.0}


def test_turns_visit_everybody_as_often():
    calls = []
    timed = time_in_turns({name: lambda name=name: calls.append(name) for name in "abc"}, 0.02)
    rounds = {name: len(values) for name, values in timed.items()}
    assert len(set(rounds.values())) == 1
    assert rounds["a"] >= 3
    assert all(value > 0 for values in timed.values() for value in values)


def test_cases_of_a_suite():
    names = [case["name"] for case in layer_cases(load_suite("smoke"))]
    assert names == [
        "reference lif forward",
        "reference lif forward+backward",
        "reference stl forward",
        "reference stl forward+backward",
    ]


def test_the_visit_script_times_and_reports_what_a_commit_cannot_run(tmp_path):
    from spikemark.regression import visit

    size = {"neuron": "lif", "phase": "forward", "steps": 2, "batch": 2, "shape": [4]}
    cases = [
        size | {"name": "one", "framework": "reference"},
        size | {"name": "two", "framework": "reference", "neuron": "unheard-of"},
    ]
    order, out = tmp_path / "order.json", tmp_path / "out.json"
    order.write_text(json.dumps({"cases": cases, "seconds": 0.02}))
    visit.main(order, out)
    seen = json.loads(out.read_text())
    assert set(seen["values"]) == {YARDSTICK, "one"}
    assert "unheard-of" in seen["failed"]["two"]
    assert Path(visit.__file__).name == "visit.py"


def test_equal_files_are_identical_and_nothing_is_measured(repository, tmp_path):
    comparison = run_ab(plan(repository, tmp_path, head="empty"), lambda line: None)
    assert (comparison.passed, comparison.identical) == (True, True)
    assert not (tmp_path / "counter").exists()


def test_the_merge_base_is_the_base(repository):
    main, slow, same = (git(repository, "rev-parse", ref) for ref in ("main", "slow", "same"))
    pair = resolve(repository, "same", "slow", merge_base=True)
    assert (pair.base, pair.head, pair.base_name) == (main, slow, "merge base with same")
    assert resolve(repository, "same", "slow", merge_base=False).base == same
    assert resolve(repository, "main", "slow", merge_base=True).base_name == "main"
    git(repository, "checkout", "-q", "--orphan", "alone")
    git(repository, "commit", "-q", "-m", "alone")
    git(repository, "checkout", "-q", "main")
    with pytest.raises(InputError, match="have no commit in common"):
        resolve(repository, "alone", "slow", merge_base=True)


def test_a_project_with_setup_py_alone(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    setup = "from setuptools import setup\nsetup(name='tinyproject', version='1', py_modules=['tinyproject'])\n"
    (folder / "setup.py").write_text(setup)
    commit(folder, "PACE = 1.0\n", "main")
    git(folder, "checkout", "-q", "-b", "slow")
    commit(folder, "PACE = 1.3\n", "slow")
    comparison = run_ab(plan(folder, tmp_path), lambda line: None)
    assert [f.benchmark for f in comparison.regressions] == ["pace"]


def test_a_command_that_does_not_import_the_project_is_refused(repository, tmp_path):
    command = writes('{"values": {"a": [1.0]}}')
    with pytest.raises(InputError, match="measuring main imported nothing of tinyproject that the commit installs"):
        run_ab(plan(repository, tmp_path, command=command), lambda line: None)
    assert len(worktrees(repository)) == 1


@pytest.mark.parametrize(
    ("package", "suite", "message"),
    [
        ("tinyproject", "gate", "no adapter knows the package 'tinyproject' (there are adapters of: "),
        ("", "gate", "no adapter knows the package 'tinyproject' (there are adapters of: "),
        ("snntorch", "smoke", "suite 'smoke' measures nothing of snntorch: its frameworks are reference"),
        ("snntorch", "gate", "slow installs tinyproject, not snntorch"),
    ],
)
def test_what_a_suite_cannot_measure(repository, tmp_path, package, suite, message):
    asked = plan(repository, tmp_path, suite=suite, package=package, command=None)
    with pytest.raises(InputError, match=re.escape(message)):
        run_ab(asked, lambda line: None)
    assert len(worktrees(repository)) == 1


def test_a_suite_is_narrowed_to_the_package():
    gate = load_suite("gate")
    subject = Subject.of("snnTorch", gate, "gate")
    assert subject.frameworks == ("snntorch",)
    names = {case["neuron"] for case in layer_cases(gate, subject.frameworks)}
    assert {"lif", "stl", "snntorch:leaky", "snntorch:synaptic"} <= names
    assert not any("-learned" in name for name in names)
    assert Subject.of("spikemark", gate, "gate").frameworks == tuple(gate.values("frameworks"))


def test_networks_of_the_gate_learn_and_fire(tmp_path):
    only = ["framework=reference", "seed=0", "measure=accuracy,energy"]
    results = run("gate", out=tmp_path, only=only)
    rows = results.table[results.table["layer"].isna()]
    scores = rows[(rows["metric"] == "accuracy") & (rows["split"] == "test")]["value"]
    assert len(scores) == 2
    assert scores.min() > 0.8
    assert rows[rows["metric"] == "acs"]["value"].min() > 0
    assert set(results.table["status"]) == {"ok"}


def test_the_worked_example_of_the_documentation(tmp_path):
    pytest.importorskip("snntorch")
    page = Path(__file__).parents[2] / "docs" / "measure_your_framework.md"
    (script,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    folder = tmp_path / "a folder {of} mine"
    folder.mkdir()
    (folder / "leaky.py").write_text(script)
    visits = Visits(f"{{python}} -P {shlex.quote(str(folder / 'leaky.py'))} {{order}} {{out}}", folder=folder)
    visits.take(Checkout("main", "0" * 40, folder, Path(sys.executable)), 0)
    (seen,) = visits.timed[0]
    assert set(seen) == {"leaky", YARDSTICK}
    assert relative_to_yardstick(seen, 1.0)["leaky"] > 0
