"""The command line as a user meets it: what it prints and the status it exits with."""

import os
import subprocess
import sys

import pytest

from spikemark import cli
from spikemark.suites.records import load_records


@pytest.fixture
def spikemark(capsys, monkeypatch):
    """Call the entry point in this process; gives exit status, standard output and standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["spikemark", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = capsys.readouterr()
        return exit_.value.code or 0, out, err

    return call


def test_run_report_and_rerun(spikemark, tmp_path):
    only = ["--only", "measure=train,conformance"]
    code, out, _ = spikemark("run", "smoke", "--out", tmp_path / "r", "--workers", 0, *only)
    assert code == 0
    assert "4 ok, 0 already there" in out
    assert len(load_records(tmp_path / "r")) == 4
    code, out, _ = spikemark("run", "smoke", "--out", tmp_path / "r", "--workers", 0, *only)
    assert (code, "nothing to run, 4 already there" in out) == (0, True)
    code, out, _ = spikemark("report", tmp_path / "r", "--out", tmp_path / "report")
    assert code == 0
    assert (tmp_path / "report" / "smoke.html").exists()
    assert (tmp_path / "report" / "smoke.md").exists()
    assert (tmp_path / "report" / "smoke.csv").exists()


def test_two_worker_processes(spikemark, tmp_path):
    code, out, err = spikemark("run", "smoke", "--out", tmp_path, "--workers", 2, "--only", "measure=train")
    assert code == 0, err
    assert "2 ok" in out


def test_a_failed_cell_exits_with_1(spikemark, tmp_path, monkeypatch):
    def broken(*args):
        raise RuntimeError("boom")

    monkeypatch.setattr("spikemark.suites.execution.energy_measurements", broken)
    code, out, err = spikemark("run", "smoke", "--out", tmp_path, "--workers", 0, "--only", "system=mlp-lif")
    assert code == 1
    assert "1 failed" in out
    assert "RuntimeError: boom" in err


def test_an_interrupt_says_how_to_go_on(spikemark, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("spikemark.suites.runner.run", interrupted)
    code, _, err = spikemark("run", "smoke", "--out", tmp_path, "--workers", 0)
    assert code == 130
    assert "run the same command to continue" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "quik"], "did you mean 'quick'"),
        (["run", "nowhere.toml"], "nowhere.toml does not exist"),
        (["run", "smoke", "--only", "neuron=lfi"], "no cell has neuron lfi"),
        (["run", "smoke", "--only", "nothing"], "expected KEY=VALUE"),
        (["run", "smoke", "--out", "/proc/nowhere"], "--out /proc/nowhere: cannot write there"),
        (["run", "smoke", "--data-dir", "/nonexistent"], "/nonexistent is not a folder"),
        (["report", "/nonexistent"], "/nonexistent does not exist"),
        (["conformance", "--adapter", "refrence"], "did you mean 'reference'"),
        (["data", "verify", "mnits"], "did you mean 'mnist'"),
    ],
)
def test_wrong_requests_are_one_line_and_exit_with_2(spikemark, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = spikemark(*arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("*.json"))


def test_foreign_file_in_results(spikemark, tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    code, _, err = spikemark("report", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert "notes.json is not a spikemark record" in err


def test_a_missing_framework_names_the_command_that_installs_it(spikemark, tmp_path, monkeypatch):
    from spikemark import adapter

    class Missing:
        name, dist = "norse", None

        def load(self):
            raise ModuleNotFoundError("No module named 'norse'", name="norse")

    entries = dict(adapter._entry_points()) | {"norse": Missing()}
    monkeypatch.setattr(adapter, "_entry_points", lambda: entries)
    adapter.get_adapter.cache_clear()
    code, _, err = spikemark("run", "quick", "--out", tmp_path)
    adapter.get_adapter.cache_clear()
    assert code == 2
    assert "pip install 'spikemark[norse]'" in err


def test_dry_run_runs_nothing(spikemark, tmp_path):
    code, out, _ = spikemark("run", "smoke", "--out", tmp_path / "r", "--dry-run")
    assert code == 0
    assert "train reference mlp-lif digits seed 0" in out
    assert "cells to run, 0 have a record" in out
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("what", ["adapters", "neurons", "systems", "datasets", "noise", "suites"])
def test_lists(spikemark, what):
    code, out, _ = spikemark("list", what)
    assert code == 0
    expected = {"adapters": "reference", "neurons": "plif", "systems": "mlp-stl", "datasets": "digits"}
    assert expected.get(what, "gaussian" if what == "noise" else "quick") in out


def test_help_imports_nothing_heavy():
    """Help is quick because it never gets to torch; counted in modules, not in seconds."""
    code = (
        "import sys; sys.argv = ['spikemark', '--help']\n"
        "from spikemark.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'distributed', 'plotly', 'matplotlib', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    assert "conformance" in done.stdout
