"""A package that does not live here adds one entry of every kind, and is used as its user would use it."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "foreign_package"
DOCS = Path(__file__).parent.parent / "docs"
ORIGIN = "spikemark-foreign-example 0.3.0"
ENTRIES = {
    "neuron": "resonator",
    "network": "two-paths",
    "normalization": "magnitude",
    "rule": "bptt+smoothing",
    "system": "mlp-stl-smoothed",
    "model": "my-leaky",
    "dataset": "stripes",
    "encoder": "duration",
    "noise": "dead-pixels",
    "measure": "margin",
    "claim": "smoothed-labels-help",
}
SUITE = """
name = "foreign"
description = "The suite quick, small, with one foreign entry of each kind."
frameworks = ["reference"]
seeds = [0, 1]
timeout = 120.0

[sizes]
train = 360
validation = 40
test = 100

[training]
epochs = 8
batch_size = 16

[robustness]
noises = ["gaussian", "dead-pixels"]
severities = [1, 5]

[energy]
samples = 16

[throughput]
batch_size = 16
threads = 1
seconds = 0.02

[margin]
samples = 50

[[parts]]
systems = ["mlp-lif", "mlp-stl", "mlp-stl-smoothed", "two-paths-resonator", "my-leaky"]
networks = ["mlp"]
neurons = ["resonator"]
datasets = ["digits"]
measures = ["accuracy", "robustness", "energy", "throughput", "conformance", "margin"]

[[parts]]
systems = ["mlp-lif", "my-leaky"]
datasets = ["stripes", "quarters"]
measures = ["accuracy", "robustness"]

[[parts]]
variant = "duration"
networks = ["mlp"]
neurons = ["lif", "resonator"]
normalization = "magnitude"
rule = { name = "bptt+smoothing", smoothing = 0.3 }
datasets = ["digits"]
measures = ["accuracy", "margin"]
encoding = { name = "duration" }
"""
LISTED = """
import contextlib, io, json, sys
from spikemark import cli

shown = {}
for plural in json.loads(sys.argv[1]):
    sys.argv = ["spikemark", "list", plural]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        cli.main()
    shown[plural] = out.getvalue()
print(json.dumps(shown))
"""
KEYS = """
import json, sys
from spikemark import api
from spikemark.suites.jobs import resolve

jobs = resolve(api.plan(sys.argv[1], plugins=sys.argv[2:]))
print(json.dumps({str(job): [job.key, job.training, job.content.get("plugins", {})] for job in jobs}))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment in which the package is installed."""
    folder = tmp_path_factory.mktemp("foreign")
    # A copy: building leaves files beside the source.
    source = shutil.copytree(PACKAGE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder / "site"), str(source)]
    subprocess.run(command, check=True)
    return os.environ | {"PYTHONPATH": str(folder / "site"), "OMP_NUM_THREADS": "1"}


def call(environment, *arguments, cwd=None):
    """Run Python with the arguments; its output, once it ended well."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], env=environment, cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def ran(environment, tmp_path_factory):
    """The folder of a finished run, with its report."""
    folder = tmp_path_factory.mktemp("ran")
    (folder / "suite.toml").write_text(SUITE)
    run = ["-m", "spikemark", "run", "suite.toml", "--out", "records", "--workers", 0]
    call(environment, *run, cwd=folder)
    assert "nothing to run, 80 already there" in call(environment, *run, cwd=folder)
    call(environment, "-m", "spikemark", "report", "records", "--out", "report", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def records(ran):
    return [json.loads(path.read_text()) for path in (ran / "records").glob("*.json")]


def tables(ran):
    """The tables of every section of the report, by its heading."""
    text = (ran / "report" / "foreign.md").read_text()
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return {section.partition("\n")[0]: re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE) for section in sections}


def test_a_neuron_is_one_file_of_at_most_20_lines():
    assert len((PACKAGE / "foreign_example" / "neuron.py").read_text().splitlines()) <= 20


def test_entries_are_listed_with_their_origin(environment):
    plurals = {kind: f"{kind}s" for kind in ENTRIES}
    shown = json.loads(call(environment, "-c", LISTED, json.dumps(list(plurals.values()))))
    for kind, name in ENTRIES.items():
        rows = [line for line in shown[plurals[kind]].splitlines() if name in line.split()]
        assert len(rows) == 1, shown[plurals[kind]]
        assert ORIGIN in rows[0]
    assert any(
        f"spikemark {version('spikemark')}" in line for line in shown["neurons"].splitlines() if "stl" in line.split()
    )


def test_every_job_is_ok(records):
    told = {f"{record['cell']}": f"{record['status']}: {record['error']}" for record in records}
    assert {cell: status for cell, status in told.items() if not status.startswith("ok")} == {}
    assert {record["cell"]["measure"] for record in records} == {
        "accuracy", "robustness", "energy", "throughput", "conformance", "margin",
    }  # fmt: skip


def test_what_ran_is_in_the_records(records):
    margins = [row for record in records for row in record["measurements"] if row["metric"] == "margin"]
    assert len(margins) == 2 * 6 + 2 * 2
    assert len({row["value"] for row in margins}) > 1
    noises = {row.get("noise") for record in records for row in record["measurements"]}
    assert {"gaussian", "dead-pixels"} <= noises
    rules = {record["trained"]["rule"]["smoothing"] for record in records if "smoothing" in str(record.get("trained"))}
    assert rules == {0.2, 0.3}
    by_system = {record["cell"]["system"]: record for record in records if "trained" in record}
    moved = [change["parameter"] for change in by_system["two-paths-resonator"]["trained"]["parameters"]]
    assert set(moved) == {"threshold"}
    assert by_system["two-paths-resonator"]["cell"]["framework"] == "torch"
    assert by_system["my-leaky"]["cell"]["framework"] == "torch"


def test_a_foreign_neuron_is_counted_and_disturbed_like_ours(records):
    energies = {r["cell"]["system"]: r["measurements"] for r in records if r["cell"]["measure"] == "energy"}

    def count(system, metric):
        return [row["value"] for row in energies[system] if row["metric"] == metric and "layer" not in row]

    assert count("two-paths-resonator", "neuron_updates") == [4 * (64 + 100 + 100)]
    assert count("mlp-lif", "neuron_updates") == [4 * (256 + 100)]
    assert 0 < count("two-paths-resonator", "firing_rate")[0] < 1


def test_foreign_rows_stand_beside_ours_in_every_table(ran):
    found = tables(ran)
    for section in ("Accuracy", "Robustness", "Energy", "Throughput", "Margin"):
        text = "\n".join(found[section])
        for system in ("mlp-lif", "mlp-stl-smoothed", "two-paths-resonator", "my-leaky"):
            assert system in text, f"{system} is not in the section {section}"
        assert any("mlp-lif" in table and "mlp-resonator" in table for table in found[section]), section
    assert "Smoothed labels raise accuracy" in "\n".join(found["Claims"])
    everything = "\n".join(table for some in found.values() for table in some)
    for name in ("dead-pixels", "resonator"):
        assert name in everything
    whole = (ran / "report" / "foreign.md").read_text()
    assert "stripes" in whole
    assert "quarters" in whole


def test_only_jobs_that_use_the_package_hold_its_digest(records):
    digests = {
        (r["cell"]["measure"], r["cell"].get("system"), r["cell"].get("dataset"), r["cell"].get("variant")): r[
            "cell"
        ].get("plugins")
        for r in records
    }
    (used,) = {json.dumps(value) for value in digests.values() if value is not None}
    assert re.fullmatch(r'{"spikemark-foreign-example 0\.3\.0": "[0-9a-f]{16}"}', used)
    measures = ("accuracy", "energy", "throughput")  # robustness and margin use a noise and a measure of the package
    ours = {place for place, value in digests.items() if value is None}
    assert ours == {
        *((measure, system, "digits", None) for measure in measures for system in ("mlp-lif", "mlp-stl")),
        ("conformance", None, None, None),
    }


def test_the_python_api_does_the_same(environment, tmp_path):
    program = """
import sys, spikemark
suite = {
    "name": "mine", "frameworks": ["reference"], "systems": ["mlp-lif", "my-leaky"], "datasets": ["quarters"],
    "seeds": [0], "measures": ["margin"], "sizes": {"train": 200, "validation": 40, "test": 100},
    "training": {"epochs": 2, "batch_size": 32},
}
results = spikemark.run(suite, out=sys.argv[1])
print(results.table.query("metric == 'margin'")[["system", "value"]].to_json())
results.report(sys.argv[2])
"""
    shown = json.loads(call(environment, "-c", program, tmp_path / "records", tmp_path / "report"))
    assert sorted(shown["system"].values()) == ["mlp-lif", "my-leaky"]
    assert (tmp_path / "report" / "mine.html").exists()


# --- plug-in files ---------------------------------------------------------------------------------------------------

OF_A_FILE = """
name = "of-a-file"
{plugins}
frameworks = ["reference"]
systems = ["mlp-lif"]
networks = ["mlp"]
neurons = ["resonator"]
datasets = ["digits"]
seeds = [0]
measures = ["accuracy"]

[sizes]
train = 400
validation = 60
test = 100

[training]
epochs = 4
batch_size = 32
"""


@pytest.fixture
def plain():
    """An environment without the package."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("named_by", ["the suite", "an option"])
def test_an_edited_plugin_file_changes_the_keys_of_its_own_jobs_alone(plain, tmp_path, named_by):
    plugin = tmp_path / "suites" / "my_neuron.py"
    plugin.parent.mkdir()
    plugin.write_text((PACKAGE / "foreign_example" / "neuron.py").read_text())
    in_suite = named_by == "the suite"
    suite = tmp_path / "suites" / "suite.toml"
    suite.write_text(OF_A_FILE.format(plugins='plugins = ["my_neuron.py"]' if in_suite else ""))
    arguments = [suite] if in_suite else [suite, plugin]
    before = json.loads(call(plain, "-c", KEYS, *arguments, cwd=tmp_path))
    again = json.loads(call(plain, "-c", KEYS, *arguments, cwd=tmp_path))
    plugin.write_text(plugin.read_text().replace("0.8", "0.7"))
    after = json.loads(call(plain, "-c", KEYS, *arguments, cwd=tmp_path))
    assert before == again
    assert before.keys() == after.keys()
    (ours,) = [name for name in before if "mlp-lif" in name]
    (theirs,) = [name for name in before if "mlp-resonator" in name]
    assert before[ours] == after[ours]
    assert before[ours][2] == {}
    for place in range(3):  # of the job, of its training, and the digest itself
        assert before[theirs][place] != after[theirs][place]
    assert before[theirs][2].keys() == {"my_neuron.py"}


def test_worker_processes_load_the_plugins_of_their_jobs(plain, tmp_path):
    files = [(PACKAGE / "foreign_example" / f"{name}.py").read_text() for name in ("neuron", "rule")]
    (tmp_path / "mine.py").write_text("\n".join(files))
    suite = OF_A_FILE.format(plugins='plugins = ["mine.py"]\nrule = { name = "bptt+smoothing" }')
    suite = suite.replace('["accuracy"]', '["accuracy", "throughput"]') + "\n[throughput]\nseconds = 0.02\n"
    (tmp_path / "suite.toml").write_text(suite)
    run = ["-m", "spikemark", "run", "suite.toml", "--out", "records", "--workers", 2]
    assert "4 ok" in call(plain, *run, cwd=tmp_path)


# --- documentation ---------------------------------------------------------------------------------------------------


def test_the_page_on_extending_shows_the_very_code_of_the_package():
    page = (DOCS / "extending.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    for path in sorted((PACKAGE / "foreign_example").glob("*.py")):
        if path.name != "__init__.py":
            assert path.read_text() in blocks, f"docs/extending.md does not show {path.name} as it is"
    toml = re.findall(r"^```toml\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    declared = next(block for block in toml if "spikemark.plugins" in block)
    assert declared in (PACKAGE / "pyproject.toml").read_text()
