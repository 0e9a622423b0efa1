"""What benchmarks share: all physical cores, contenders that are installed, and a summary of the ratios they found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import psutil
import pytest
import torch

from spikemark.core.adapter import Adapter, Unsupported
from spikemark.core.allocator import keep_freed_memory
from spikemark.core.frameworks import MissingFramework, adapter_names, get_adapter
from spikemark.core.neurons import NEURONS, NeuronSpec

_LINES = pytest.StashKey[list[str]]()


@pytest.fixture(autouse=True)
def _all_cores(_one_thread: None) -> Iterator[None]:
    """Benchmarks have the machine to themselves, unlike other tests; OMP_NUM_THREADS may say otherwise.

    Memory is as in jobs.
    """
    keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or psutil.cpu_count(logical=False) or 1))
    yield
    torch.set_num_threads(before)


def contender(name: str, spec: NeuronSpec | None = None) -> Adapter:
    """The adapter, or a skipped test when its framework is missing or cannot express the spec."""
    try:
        adapter = get_adapter(name)
        if spec is not None:
            adapter.route(spec)
    except (MissingFramework, Unsupported) as error:
        pytest.skip(str(error))
    return adapter


def contenders(spec: NeuronSpec) -> list[Adapter]:
    """All installed adapters that can express the spec, the reference first."""
    found = []
    for name in sorted(adapter_names(), key=lambda name: (name != "reference", name)):
        try:
            adapter = get_adapter(name)
            adapter.route(spec)
        except (MissingFramework, Unsupported):
            continue
        found.append(adapter)
    return found


@pytest.fixture(params=adapter_names())
def framework(request: pytest.FixtureRequest) -> str:
    """Name of an adapter."""
    name: str = request.param
    return name


@pytest.fixture(params=tuple(NEURONS))
def neuron(request: pytest.FixtureRequest) -> str:
    """Name of a row of the catalogue."""
    name: str = request.param
    return name


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Adds a line to the summary at the end of the run."""
    return request.config.stash.setdefault(_LINES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the benchmarks told."""
    lines = terminalreporter.config.stash.get(_LINES, [])
    if lines:
        terminalreporter.section("ratios, medians of interleaved rounds [95 % interval]")
        for line in lines:
            terminalreporter.write_line(line)
