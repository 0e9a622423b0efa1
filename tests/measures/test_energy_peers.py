"""The committed table of who counts what is what the counters say today; networks of a zoo are left out for time."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def peers():
    for package in ("neurobench", "spikingjelly", "snntorch", "norse"):
        pytest.importorskip(package)
    spec = importlib.util.spec_from_file_location("energy_peers", ROOT / "docs" / "energy_peers.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["energy_peers"] = module
    spec.loader.exec_module(module)
    return module


def test_the_committed_table_is_current(peers):
    committed = (ROOT / "reports" / "energy-peers.md").read_text().splitlines()
    cases = peers.cases()
    assert [line.split(" | ")[0] for line in committed if line.startswith("| ")][2:] == [f"| {c.name}" for c in cases]
    found = peers.table([peers.row(case) for case in cases if not case.slow]).splitlines()
    assert len(found) == 2 + 21
    assert set(found) <= set(committed)


def test_a_difference_without_a_reason_stops_the_script(peers):
    case = next(case for case in peers.cases() if case.name == "transposed convolution")
    with pytest.raises(AssertionError, match="NeuroBench"):
        peers.row(peers.Case(case.name, case.make, case.inputs))
