"""What may be handed in, what may not, and how it is confirmed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from spikemark.errors import InputError
from spikemark.suites.records import key_of, load_records, write_record
from spikemark.suites.submission import FEWEST_SEEDS, problems, read, reproduce, submissions, submit

SUITE = """
name = "mine"
description = "x"
frameworks = ["reference"]
systems = ["mlp-lif"]
datasets = ["digits"]
seeds = [0, 1, 2, 3, 4]
measures = ["accuracy", "energy", "conformance"]
sizes = { train = 200, validation = 20, test = 100 }
training = { epochs = 1, batch_size = 50 }
energy = { samples = 8 }
timeout = 100
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    from spikemark import api

    folder = tmp_path_factory.mktemp("submission")
    (folder / "mine.toml").write_text(SUITE)
    api.run(folder / "mine.toml", out=folder / "results")
    records = load_records(folder / "results")
    for record in records:
        record["environment"]["commit"] = "0123456789ab"
        if record["status"] == "degenerate":
            record["status"], record["error"] = "ok", None
    return records


@pytest.fixture
def results(measured, tmp_path):
    return written(tmp_path / "results", measured)


def written(folder, records):
    folder.mkdir(exist_ok=True)
    for record in records:
        write_record(folder, record)
    return folder


def changed(record, **fields):
    return json.loads(json.dumps(record)) | fields


def test_a_submission_is_written_and_read(spikemark, results, tmp_path):
    where = ("--out", tmp_path / "all")
    code, out, err = spikemark("submit", results, "--name", "my-lif", "--source", "https://doi.org/1", *where)
    assert code == 0, err
    (about,) = submissions(tmp_path / "all")
    assert out.strip() == str(tmp_path / "all" / "my-lif" / about.revision)
    assert (about.name, about.suites, about.source, about.tier) == (
        "my-lif",
        ("mine",),
        "https://doi.org/1",
        "reported",
    )
    assert len(load_records(tmp_path / "all")) == len(load_records(results))
    code, _, err = spikemark("submit", results, "--name", "my-lif", *where)
    assert (code, "is there already" in err) == (2, True)


def test_tiers(spikemark, results, tmp_path):
    folder = submit(results, "my-lif", tmp_path / "all")
    part = written(tmp_path / "again", [r for r in load_records(results) if r["cell"]["seed"] == 0])
    code, out, err = spikemark("submit", part, "--reproduces", folder, "--by", "another lab")
    assert code == 0, err
    assert "reproduced by others (3 jobs the same)" in out
    assert reproduce(folder, part, "spikemark").tier == "reproduced here"
    assert [one.by for one in reproduce(folder, part, "another lab").reproductions] == ["spikemark", "another lab"]


def test_what_came_out_differently_is_no_reproduction(results, tmp_path):
    folder = submit(results, "my-lif", tmp_path / "all")
    records = json.loads(json.dumps([r for r in load_records(results) if r["cell"]["measure"] == "energy"]))
    next(row for row in records[2]["measurements"] if row["metric"] == "acs")["value"] += 1
    again = written(tmp_path / "again", records)
    with pytest.raises(InputError, match="1 of 5 jobs came out differently: energy reference mlp-lif digits seed 2"):
        reproduce(folder, again, "spikemark")
    assert read(folder).tier == "reported"
    for record in records:
        record["environment"]["processor"] = "another"
    again = written(tmp_path / "elsewhere", records)
    with pytest.raises(InputError, match=r"no job of .* whose result is deterministic"):
        reproduce(folder, again, "spikemark")


def test_elsewhere_conformance_is_compared(results, tmp_path):
    folder = submit(results, "my-lif", tmp_path / "all")
    records = json.loads(json.dumps(load_records(results)))
    for record in records:
        record["environment"]["packages"] = {}
        for row in record["measurements"]:
            if row["metric"] == "acs":  # another processor may train other weights
                row["value"] += 7
    again = written(tmp_path / "elsewhere", records)
    assert reproduce(folder, again, "spikemark").tier == "reproduced here"


def test_records_that_were_swapped_are_noticed(results, tmp_path):
    folder = submit(results, "my-lif", tmp_path / "all")
    (file,) = folder.glob("*.tar.xz")
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(InputError, match="its records are not those of revision"):
        submissions(tmp_path / "all")


def test_the_workflow_measures_again_what_a_pull_request_hands_in(measured, tmp_path):
    """Its script as it stands: one submission that comes out the same, and one whose conformance was made up."""
    path = Path(__file__).parents[2] / ".github" / "workflows" / "submission.yml"
    steps = yaml.safe_load(path.read_text())["jobs"]["reproduce"]["steps"]
    (script,) = [step["run"] for step in steps if step.get("name", "").startswith("Measure")]
    clone, bin_ = tmp_path / "clone", tmp_path / "bin"
    for folder in (clone, bin_):
        folder.mkdir()
    (bin_ / "spikemark").write_text(f"#!/bin/sh\nexec '{sys.executable}' -m spikemark \"$@\"\n")
    (bin_ / "spikemark").chmod(0o755)

    def git(*arguments):
        given = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(clone), *arguments]
        return subprocess.run(given, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "base")
    records = [record | {"suite": "smoke"} for record in json.loads(json.dumps(measured))]
    submit(written(tmp_path / "right", records), "right", clone / "submissions")
    (conformance,) = [record for record in records if record["cell"]["measure"] == "conformance"][:1]
    next(row for row in conformance["measurements"] if row["metric"] == "compared_spikes")["value"] *= 2
    submit(written(tmp_path / "wrong", records), "wrong", clone / "submissions")
    git("add", "-A")
    git("commit", "-q", "-m", "two submissions")
    env = os.environ | {
        "PATH": f"{bin_}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "BASE": git("rev-parse", "HEAD~1"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    comment = (clone / "comment" / "comment.md").read_text()
    right, wrong = comment.splitlines()[2:]
    assert "right" in right
    assert right.endswith("reproduced here (1 jobs the same)")
    assert "jobs came out differently: conformance reference lif seed 0" in wrong
    assert comment == (tmp_path / "summary.md").read_text()


def test_what_keeps_results_from_being_submitted(measured):
    assert problems(measured) == []
    accuracy = next(r for r in measured if r["cell"]["measure"] == "accuracy")
    conformance = next(r for r in measured if r["cell"]["measure"] == "conformance")

    def said(*records):
        return "; ".join(problems(records))

    assert f"accuracy reference mlp-lif digits: 1 seeds, {FEWEST_SEEDS} are needed" in said(accuracy)
    assert "reference lif: no conformance in these results" in said(accuracy)
    wrong = changed(conformance)
    next(row for row in wrong["measurements"] if row["metric"] == "differing_spikes")["value"] = 3.0
    assert "no conformance" in said(accuracy, wrong)
    assert "no conformance" not in said(accuracy, conformance)
    assert "it was changed after it was measured" in said(changed(accuracy, key="0" * 16))
    assert "seed 0: failed" in said(changed(accuracy, status="failed"))
    dirty = changed(accuracy)
    dirty["environment"]["commit"] = "0123456789ab-dirty"
    assert "commit 0123456789ab-dirty: measured with changes" in said(dirty)
    own = changed(accuracy)
    own["cell"]["dataset"] = "my own"
    own["key"] = key_of(own["cell"])
    assert "data set my own: it is not registered" in said(own)


def test_damaged_data_is_noticed(measured, tmp_path):
    record = changed(next(r for r in measured if r["cell"]["measure"] == "accuracy"))
    record["cell"]["dataset"] = "mnist"
    assert any(line.startswith("data set mnist: ") and "missing" in line for line in problems([record], tmp_path))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--name", "My Neuron!"), "expected 2 to 63 small letters"),
        ((), "a submission needs --name"),
        (("--reproduces", "/nowhere"), "--reproduces goes with --by"),
        (("--reproduces", "/nowhere", "--by", "me"), "/nowhere is no submission"),
    ],
)
def test_wrong_requests(spikemark, results, options, said):
    code, _, err = spikemark("submit", results, *options)
    assert (code, err.count("\n")) == (2, 1)
    assert said in err
