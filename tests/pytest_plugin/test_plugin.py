"""The plug-in as pytest sees it: found by its entry point, cheap to load, with options."""

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "pytest_plugin.md"


@pytest.fixture
def installed(pytester, monkeypatch):
    """The package's own entry points, as an installer would write them."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    info = pytester.path / "site" / "spikemark_plugin-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spikemark-plugin\nVersion: 1\n")
    lines = [f"{name} = {target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]) + "\n")
    path = os.pathsep.join([str(info.parent), *sys.path])
    monkeypatch.setenv("PYTHONPATH", path)
    return pytester


def test_pytest_starts_without_anything_heavy(installed):
    installed.makepyfile(
        "import sys\n"
        "def test_light(request):\n"
        "    assert request.config.getini('spikemark_budget') == '2'\n"
        "    heavy = {'torch', 'numpy', 'pandas', 'scipy', 'pydantic'} & set(sys.modules)\n"
        "    assert not heavy\n"
    )
    installed.runpytest_subprocess("-p", "no:xdist", "-p", "no:benchmark", "-p", "no:hypothesispytest").assert_outcomes(
        passed=1
    )


def test_options_and_their_defaults_in_the_configuration(installed):
    installed.makeini("[pytest]\nspikemark_floor = 0.2\nspikemark_undecided = fail\n")
    installed.makepyfile(
        "def test_it(spikemark):\n"
        "    assert (spikemark.budget, spikemark.floor, spikemark.undecided) == (0.5, 0.2, 'fail')\n"
    )
    by_both_ways = ("-p", "spikemark.pytest_plugin")
    installed.runpytest_subprocess(*by_both_ways, "--spikemark-budget", "0.5").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--spikemark-floor=much", "spikemark floor 'much': expected a positive number"),
        ("--spikemark-budget=0", "spikemark budget '0': expected a positive number"),
        ("--spikemark-undecided=maybe", "spikemark undecided 'maybe': expected one of warn, fail"),
    ],
)
def test_wrong_options(pytester, option, said):
    pytester.makepyfile("def test_it(spikemark):\n    pass\n")
    result = pytester.runpytest_inprocess("-p", "spikemark.pytest_plugin", option)
    assert said in "".join(result.outlines + result.errlines)
    assert result.ret != 0


def test_no_verdict_warns_or_fails(pytester):
    pytester.makepyfile(
        "import itertools\n"
        "from spikemark.regression import turns\n"
        "def test_it(spikemark, monkeypatch):\n"
        "    times = [1.0, 3.0, 0.5, 2.0, 0.4, 5.0, 1.2]\n"
        "    monkeypatch.setattr(turns, 'time_in_turns', lambda works, s: {n: times[i:] + times[:i]\n"
        "        for i, n in enumerate(works)})\n"
        "    assert spikemark.assert_not_slower(int, than=int, budget=0.01).verdict == 'undecided'\n"
    )
    run = ("-p", "spikemark.pytest_plugin")
    warned = pytester.runpytest_inprocess(*run)
    warned.assert_outcomes(passed=1)
    warned.stdout.fnmatch_lines(["*UndecidedWarning: not decided whether it is slower by more than 5 %*"])
    failed = pytester.runpytest_inprocess(*run, "--spikemark-undecided=fail")
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines(["*AssertionError: not decided*a larger budget decides"])


def test_a_failure_points_at_the_tests_own_line(pytester):
    pytester.makepyfile("def test_it(spikemark):\n    spikemark.assert_same_spikes(lambda x: x, lambda x: 2 * x)\n")
    result = pytester.runpytest_inprocess("-p", "spikemark.pytest_plugin")
    result.assert_outcomes(failed=1)
    assert "pytest_plugin.py" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*AssertionError: * of 1024 outputs differ*"])


def test_the_documented_tests_pass(pytester):
    pytest.importorskip("snntorch")
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    for number, block in enumerate(blocks):
        (pytester.path / f"test_page_{number}.py").write_text(block)
    result = pytester.runpytest_inprocess("-p", "spikemark.pytest_plugin", "-W", "ignore")
    result.assert_outcomes(passed=5)
