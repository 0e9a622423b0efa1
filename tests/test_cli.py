"""The command line as a user meets it: what it prints and the status it exits with."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from spikemark.suites.records import load_records


def test_run_report_and_rerun(spikemark, tmp_path):
    only = ["--only", "measure=accuracy,conformance"]
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
    code, out, err = spikemark("run", "smoke", "--out", tmp_path, "--workers", 2, "--only", "measure=accuracy")
    assert code == 0, err
    assert "2 ok" in out


def test_a_run_says_what_it_starts_and_ends_with_an_answer(spikemark, tmp_path):
    only = ["--only", "measure=accuracy", "--only", "measure=energy", "--only", "neuron=lif"]
    code, out, err = spikemark("run", "smoke", "--out", tmp_path / "a folder", "--workers", 0, *only)
    assert code == 0
    told = err.splitlines()
    assert told[0] == "running accuracy reference mlp-lif digits seed 0 and 1 more"
    assert [line for line in told if line.startswith("started")] == [
        f"started {measure} reference mlp-lif digits seed 0" for measure in ("accuracy", "energy")
    ]
    *table, counts, report = out.splitlines()
    assert "means over seeds" in table[0]
    assert "accuracy" in table[2]
    assert "mlp-lif" in table[4]
    assert counts.startswith("2 ok")
    assert report == f"report: spikemark report '{tmp_path / 'a folder'}'"


def test_a_run_of_dead_networks_is_not_green(spikemark, tmp_path):
    text = """
name = "dead"
frameworks = ["reference"]
systems = ["mlp-lif"]
datasets = ["digits"]
seeds = [0]
measures = ["accuracy"]
sizes = { train = 32, validation = 32, test = 64 }
training = { epochs = 1, batch_size = 32 }
"""
    suite = tmp_path / "dead.toml"
    suite.write_text(text)
    command = ("run", suite, "--out", tmp_path / "r", "--workers", 0)
    for status, options, then in ((1, (), "1 degenerate"), (1, (), "nothing to run"), (0, ("--fail-on", "none"), "")):
        code, out, err = spikemark(*command, *options)
        assert (code, then in out) == (status, True), err
        said = "1 degenerate, such as accuracy reference mlp-lif digits seed 0: "
        assert (f"spikemark: {said}" in err) == (status == 1)
    code, _, err = spikemark(*command, "--fail-on", "degenerated")
    assert (code, "no reason to fail 'degenerated'; did you mean 'degenerate'" in err) == (2, True), err
    suite.write_text(text.replace("frameworks", "fail_on = []\nframeworks", 1))
    assert spikemark(*command)[0] == 0


def test_the_report_is_opened_when_asked_for(spikemark, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("typer.launch", opened.append)
    only = ["--only", "measure=conformance", "--only", "neuron=lif"]
    code, out, _ = spikemark("run", "smoke", "--out", tmp_path, "--workers", 0, "--open", *only)
    assert (code, opened) == (0, [str(tmp_path / "report" / "smoke.html")])
    assert out.splitlines()[-1] == f"report: {tmp_path / 'report' / 'smoke.html'}"


def test_help_begins_with_what_one_begins_with_and_has_examples(spikemark):
    out = " ".join(spikemark("--help")[1].split())
    commands = out.partition("Commands")[2]
    places = [commands.index(f" {name} ") for name in ("run", "evaluate", "report", "compare", "history", "list")]
    assert places == sorted(places)
    assert "Examples: spikemark run quick --report" in out
    for command in ("run", "evaluate", "report", "energy", "list"):
        assert f"Examples: spikemark {command}" in " ".join(spikemark(command, "--help")[1].split())


def test_a_failed_job_exits_with_1_and_keeps_the_others(spikemark, tmp_path, monkeypatch):
    def broken(*args):
        raise RuntimeError("boom")

    monkeypatch.setattr("spikemark.measures.energy.energy_rows", broken)
    only = ["--only", "system=mlp-lif", "--only", "measure=accuracy,energy"]
    code, out, err = spikemark("run", "smoke", "--out", tmp_path, "--workers", 0, *only)
    assert code == 1
    assert "1 failed, 1 ok" in out
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
        (["run", "smoke", "--only", "neuron=lfi"], "no job has neuron lfi"),
        (["run", "smoke", "--only", "nothing"], "expected KEY=VALUE"),
        (["run", "smoke", "--out", "/proc/nowhere"], "--out /proc/nowhere: cannot write there"),
        (["run", "smoke", "--data-dir", "/nonexistent"], "/nonexistent is not a folder"),
        (["report", "/nonexistent"], "/nonexistent does not exist"),
        (["conformance", "--framework", "refrence"], "did you mean 'reference'"),
        (["data", "verify", "mnits"], "did you mean 'mnist'"),
        (["run", "smoke", "--plugin", "nowhere.py"], "plug-in nowhere.py: there is no file nowhere.py"),
        (["list", "neurons", "--plugin", "nowhere_at_all"], "plug-in nowhere_at_all: no such module"),
        (["pack", "/nonexistent"], "/nonexistent does not exist"),
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


def test_foreign_files_in_results_are_left_alone(spikemark, tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    code, _, err = spikemark("report", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert "holds no records" in err
    assert (tmp_path / "notes.json").read_text() == "{}"


def test_a_packed_folder_reports_like_the_folder(spikemark, tmp_path):
    only = ["--only", "measure=conformance"]
    assert spikemark("run", "smoke", "--out", tmp_path / "r", "--workers", 0, *only)[0] == 0
    code, out, _ = spikemark("pack", tmp_path / "r")
    assert code == 0
    packed = out.strip()
    for source, name in ((tmp_path / "r", "a"), (packed, "b")):
        assert spikemark("report", source, "--out", tmp_path / name)[0] == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()
    }


def test_run_with_a_report(spikemark, tmp_path):
    only = ["--only", "measure=conformance"]
    code, out, _ = spikemark("run", "smoke", "--out", tmp_path / "r", "--workers", 0, "--report", *only)
    assert code == 0
    assert str(tmp_path / "r" / "report" / "smoke.html") in out


def test_weights_are_kept_unless_told_otherwise(spikemark, tmp_path):
    only = ["--only", "measure=accuracy", "--only", "system=mlp-lif"]
    assert spikemark("run", "smoke", "--out", tmp_path / "a", "--workers", 0, *only)[0] == 0
    assert len(list((tmp_path / "a" / "weights").iterdir())) == 1
    assert spikemark("run", "smoke", "--out", tmp_path / "b", "--workers", 0, "--no-keep-weights", *only)[0] == 0
    assert not (tmp_path / "b" / "weights").exists()


HIDE = """
import sys
from importlib import metadata

hidden = sys.argv.pop(1)

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == hidden:
            raise ModuleNotFoundError(f"No module named {hidden!r}", name=hidden)

version = metadata.version

def no_version(name):
    if name == hidden:
        raise metadata.PackageNotFoundError(name)
    return version(name)

sys.meta_path.insert(0, Hide())
metadata.version = no_version
from spikemark.cli import main
sys.argv[0] = "spikemark"
main()
"""


def without(package, *arguments):
    """The command in a process in which `package` is not installed."""
    command = [sys.executable, "-c", HIDE, package, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("framework", ["spikingjelly", "snntorch", "norse"])
def test_a_framework_that_is_missing_stops_only_what_needs_it(tmp_path, framework):
    for kind in ("frameworks", "suites", "systems", "neurons"):
        code, out, err = without(framework, "list", kind)
        assert code == 0, err
    only = ["--only", "framework=reference", "--only", "measure=accuracy", "--only", "seed=0", "--only", "neuron=lif"]
    code, out, err = without(framework, "run", "quick", "--out", tmp_path, "--dry-run", *only)
    assert code == 0, err
    assert "1 jobs to run" in out
    code, _, err = without(framework, "run", "quick", "--out", tmp_path, "--dry-run")
    assert code == 2
    assert f"pip install 'spikemark[{framework}]'" in err
    assert err.count("\n") == 1


def test_a_missing_framework_is_listed_with_the_command_that_installs_it():
    code, out, err = without("norse", "list", "frameworks")
    assert (code, err) == (0, "")
    assert "pip install 'spikemark[norse]'" in out


def test_a_missing_framework_is_left_out_of_conformance_unless_asked_for(tmp_path):
    code, _, err = without("norse", "conformance", "--framework", "norse")
    assert code == 2
    assert "pip install 'spikemark[norse]'" in err


def test_the_module_is_the_command_and_tells_its_version():
    done = subprocess.run([sys.executable, "-m", "spikemark", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("spikemark ")
    assert done.stdout.strip().split()[1] == version("spikemark")


def test_dry_run_runs_nothing(spikemark, tmp_path):
    code, out, _ = spikemark("run", "smoke", "--out", tmp_path / "r", "--dry-run")
    assert code == 0
    assert "accuracy reference mlp-lif digits seed 0" in out
    assert "jobs to run, 0 have a record" in out
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("frameworks", "reference"),
        ("neurons", "plif"),
        ("networks", "convnet"),
        ("normalizations", "joint-bn"),
        ("rules", "bptt"),
        ("systems", "mlp-stl"),
        ("datasets", "digits"),
        ("encoders", "poisson"),
        ("noises", "gaussian"),
        ("measures", "robustness"),
        ("profiles", "45nm-int8"),
        ("claims", "stl-over-sl"),
        ("suites", "quick"),
    ],
)
def test_lists_name_every_entry_and_its_origin(spikemark, what, expected):
    code, out, _ = spikemark("list", what)
    assert code == 0
    assert expected in out
    assert "origin" in out


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


def test_a_list_that_does_not_exist_is_named_with_the_closest_one(spikemark):
    code, _, err = spikemark("list", "neuron")
    assert code == 2
    assert "no list of 'neuron'; did you mean 'neurons'? (known: claims, datasets," in err


def test_listings_for_machines_and_for_pages(spikemark):
    code, out, _ = spikemark("list", "neurons", "--format", "json", "--having", "STL-SNN")
    (row,) = json.loads(out)
    assert (code, row["name"]) == (0, "stl")
    code, out, _ = spikemark("list", "neurons", "--format", "markdown", "--having", "stl-snn")
    heading, line, *rows = out.splitlines()
    assert code == 0
    assert heading.startswith("| name")
    assert set(line) <= set("|:-")
    assert [row.split("|")[1].strip() for row in rows] == ["stl"]


def test_brackets_survive_in_tables(spikemark, monkeypatch):
    from spikemark.suites import listing

    monkeypatch.setattr(listing, "listing", lambda kind: ("[all]", ["name"], [["pip install 'spikemark[norse]'"]]))
    _, out, _ = spikemark("list", "neurons")
    assert "pip install 'spikemark[norse]'" in out
    assert "[all]" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tls-ca", "x"), "need --scheduler ADDRESS"),
        (("--patience", 1), "need --scheduler ADDRESS"),
        (("--scheduler", "tcp://127.0.0.1:1", "--workers", 2), "give one of them"),
        (("--scheduler", "tls://127.0.0.1:1", "--tls-ca", __file__), "TLS needs all of --tls-ca, --tls-cert and"),
        (("--scheduler", "tls://127.0.0.1:1"), "TLS needs --tls-ca, --tls-cert and --tls-key"),
        (
            ("--scheduler", "tls://127.0.0.1:1", *(f"--tls-{part}={__file__}" for part in ("ca", "cert", "key"))),
            "no dask scheduler answers there",
        ),
        (("--scheduler", "tls://127.0.0.1:1", "--tls-ca=x", "--tls-cert=x", "--tls-key=x"), "x: no such file"),
        (("--scheduler", "nonsense"), "no dask scheduler answers there"),
        (("--scheduler", "ftp://127.0.0.1:1"), "no dask scheduler answers there"),
    ],
)
def test_options_of_clusters(spikemark, tmp_path, monkeypatch, options, words):
    monkeypatch.setattr("spikemark.suites.cluster._ANSWER_SECONDS", 1.0)
    code, _, err = spikemark("run", "smoke", "--out", tmp_path, *options)
    said = [line for line in err.splitlines() if not line.startswith(("running ", "started "))]
    assert (code, len(said)) == (2, 1), err
    assert words in said[0]
