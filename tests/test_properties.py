"""Whatever a file holds, every command ends with 0, 1 or 2 and one line, never with a traceback.

Real records, suites, histories and benchmark files are changed at random places. SPIKEMARK_EXAMPLES multiplies how many
there are: with 25, 2,000 records and as many suites.
"""

import contextlib
import copy
import io
import json
import os
import sys
import tarfile
import tempfile
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikemark import cli
from spikemark.registry import registry

RESULTS = Path(__file__).parent.parent / "results"
TIMES = float(os.environ.get("SPIKEMARK_EXAMPLES", "1"))
LONGEST_SECONDS = 30
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 2, 10**6, 2**63 - 1, -(2**63)]),
    st.sampled_from([0.0, -1.0, 0.5, 1e-308, 1e308, -1e308]),
    st.sampled_from(
        ["", "x", "é", "\0", "a" * 300, "3:AAAA", "0:", "2026-01-01T00:00:00+00:00", "../x", "=1", "digits"]
    ),
    st.sampled_from([[], {}, [None], [[]], {"a": 1}, [0, 0], ["lif"], [1.5], {"": {}}]),
)


def examples(count):
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return settings(
        max_examples=max(1, round(TIMES * count)),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=checks,
    )


def places(node, at=()):
    """Where a tree holds something, as keys from the top; of long lists, the first few."""
    inside = node.items() if isinstance(node, dict) else enumerate(node[:4]) if isinstance(node, list) else ()
    for key, value in inside:
        yield (*at, key)
        yield from places(value, (*at, key))


@st.composite
def changed(draw, originals):
    """One of the trees, with one to three places removed, doubled, replaced, or given something more."""
    tree = copy.deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 3))):
        where = list(places(tree))
        if not where:
            break
        *path, last = draw(st.sampled_from(where))
        node = tree
        for key in path:
            node = node[key]
        match draw(st.sampled_from(["replace", "replace", "replace", "remove", "double", "add"])):
            case "replace":
                node[last] = copy.deepcopy(draw(VALUES))
            case "remove":
                del node[last]
            case "double" if isinstance(node, list):
                node.insert(last, copy.deepcopy(node[last]))
            case _ if isinstance(node, dict):
                node[draw(st.sampled_from(["new", "", "name", "values", "seed"]))] = copy.deepcopy(draw(VALUES))
            case _:
                node.append(copy.deepcopy(draw(VALUES)))
    return tree


def call(*arguments):
    """Run the command; its status, once it is one that it may have."""
    out, err = io.StringIO(), io.StringIO()
    begin, before = time.process_time(), sys.argv
    sys.argv = ["spikemark", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        sys.argv = before
    status = ended.value.code or 0
    assert status in (0, 1, 2)
    assert "Traceback" not in err.getvalue()
    if status == 2:
        assert err.getvalue().splitlines()[-1].startswith(("spikemark: ", "\u2570"))
    assert time.process_time() - begin < LONGEST_SECONDS
    return status


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def fresh(folder, files):
    """A folder that holds these files and nothing else."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


# Records.


def real_records():
    """Of every measure, some that were measured together: seeds, systems and frameworks."""
    found = {}
    for name in ("quick", "throughput", "local"):
        with tarfile.open(RESULTS / f"{name}.records.tar.xz") as archive:
            for member in archive:
                record = json.loads(archive.extractfile(member).read())
                found.setdefault((name, record["cell"]["measure"], record["cell"].get("axis")), []).append(record)
    return {key: records[:: max(1, len(records) // 4)][:4] for key, records in found.items()}


RECORDS = real_records()
EVERY = [record for records in RECORDS.values() for record in records]
SUITE_OF_ALL = """
name = "quick"
frameworks = ["reference"]
systems = ["mlp-lif", "mlp-stl"]
datasets = ["digits"]
seeds = [0]
measures = ["accuracy", "energy", "conformance"]
"""


def together(record):
    """The records beside which it was measured."""
    return next(records for records in RECORDS.values() if record in records)


@pytest.mark.parametrize("command", ["report", "compare", "compared", "itself", "history", "pack", "floors", "dry-run"])
@examples(10)
@given(data=st.data())
def test_records(folder, command, data):
    original = data.draw(st.sampled_from(EVERY))
    record = data.draw(changed([original]))
    whole = {f"{i}.json": json.dumps(other) for i, other in enumerate(together(original)) if other is not original}
    good = fresh(folder / "good", whole | {"own.json": json.dumps(original)})
    bad = fresh(folder / "bad", {**data.draw(st.sampled_from([whole, {}])), "own.json": json.dumps(record)})
    suite = folder / "suite.toml"
    suite.write_text(SUITE_OF_ALL)
    call(
        *{
            "report": ("report", bad, "--out", folder / "report"),
            "compare": ("compare", good, bad),
            "compared": ("compare", bad, good, "--format", "markdown"),
            "itself": ("compare", bad, bad, "--format", "json"),
            "history": ("history", "add", bad, "--commit", "abc", "--history", fresh(folder / "history", {})),
            "pack": ("pack", bad, "--out", folder / "x.records.tar.xz"),
            "floors": ("compare", bad, bad, "--same-code", "--noise", folder / "floors.jsonl"),
            "dry-run": ("run", suite, "--out", bad, "--dry-run"),
        }[command]
    )


def test_what_is_changed_is_whole_before(folder):
    """Otherwise the tests above would see nothing but refusals."""
    for records in RECORDS.values():
        good = fresh(folder / "good", {f"{i}.json": json.dumps(record) for i, record in enumerate(records)})
        assert call("report", good, "--out", folder / "report") == 0
        assert call("compare", good, good) == 0


# Suites.


def toml(value):
    """As TOML has it within a line; what TOML lacks, None, as a number that is none."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {toml(inside)}" for key, inside in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return "nan" if value is None else json.dumps(value)


SUITES = [
    tomllib.loads(Path(registry("suite")[name]).read_text(encoding="utf-8"))
    for name in ("smoke", "quick", "throughput", "local")
]


@examples(80)
@given(suite=changed(SUITES), cut=st.one_of(st.none(), st.integers(0, 2_000)), rubbish=st.binary(max_size=3))
def test_suites(folder, suite, cut, rubbish):
    text = "\n".join(f"{json.dumps(str(key))} = {toml(value)}" for key, value in suite.items()).encode()
    path = folder / "suite.toml"
    path.write_bytes(text if cut is None else text[:cut] + rubbish + text[cut:])
    assert call("run", path, "--out", folder / "nowhere", "--dry-run") in (0, 2)


# Histories, noise floors and benchmark files.


def benchmark(seconds):
    data = [seconds * (1 + 0.01 * i) for i in range(8)]
    machine = {"cpu": {"brand_raw": "a cpu", "count": 2}, "system": "Linux"}
    names = ("test_a", "test_b")
    return {"machine_info": machine, "benchmarks": [{"fullname": name, "stats": {"data": data}} for name in names]}


@pytest.mark.parametrize("command", ["compare", "itself", "history", "floors"])
@examples(15)
@given(file=changed([benchmark(1e-3)]))
def test_benchmark_files(folder, command, file):
    good, bad = folder / "base.json", folder / "head.json"
    good.write_text(json.dumps(benchmark(1e-3)))
    bad.write_text(json.dumps(file))
    call(
        *{
            "compare": ("compare", good, bad),
            "itself": ("compare", bad, bad),
            "history": ("history", "add", bad, "--commit", "abc", "--history", fresh(folder / "history", {})),
            "floors": ("compare", bad, bad, "--same-code", "--noise", folder / "floors.jsonl"),
        }[command]
    )


def entry(label, number):
    told = {"benchmark": "b", "label": label, "metric": label, "unit": "s", "machine": "m", "when": "2026"}
    return told | {"commit": f"c{number}", "value": number + 1.0}


HISTORIES = [[entry(label, number) for number in range(8)] for label in ("time", "macs")]


@pytest.mark.parametrize("command", ["show", "page", "add"])
@examples(20)
@given(lines=changed(HISTORIES), cut=st.one_of(st.none(), st.integers(0, 900)))
def test_histories(folder, command, lines, cut):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    history = fresh(folder / "history", {"series.jsonl": text if cut is None else text[:cut]})
    good = folder / "base.json"
    good.write_text(json.dumps(benchmark(1e-3)))
    call(
        *{
            "show": ("history", "show", "--history", history),
            "page": ("history", "show", "--history", history, "--out", folder / "page.html"),
            "add": ("history", "add", good, "--commit", "c9", "--history", history),
        }[command]
    )


FLOORS = [
    [
        {"benchmark": name, "label": "time", "deviation": 0.01, "runs": 5, "machine": "a cpu, 2, Linux"}
        for name in ("test_a", "test_b")
    ]
]


@pytest.mark.parametrize("same_code", [False, True])
@examples(20)
@given(lines=changed(FLOORS), cut=st.one_of(st.none(), st.integers(0, 200)))
def test_noise_floors(folder, same_code, lines, cut):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path, good = folder / "floors.jsonl", folder / "base.json"
    path.write_text(text if cut is None else text[:cut])
    good.write_text(json.dumps(benchmark(1e-3)))
    call("compare", good, good, "--noise", path, *(["--same-code"] if same_code else []))
