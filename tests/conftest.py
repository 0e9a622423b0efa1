import random
import signal
import sys

import numpy as np
import pytest
import torch

from spikemark import cli, registry


@pytest.fixture(autouse=True)
def _one_thread():
    """Tests run side by side; a pool of threads in each would fight over the cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_draws():
    """A test that draws from a global generator draws the same numbers at every run, in whatever order tests run."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def spikemark(capsys, monkeypatch):
    """Call the entry point in this process; gives exit status, standard output and standard error."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["spikemark", *map(str, arguments)])
        try:
            with pytest.raises(SystemExit) as exit_:
                cli.main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        out, err = capsys.readouterr()
        return exit_.value.code or 0, out, err

    return call


@pytest.fixture
def registries_as_before():
    """What a test registers is gone afterwards."""
    registry.load_installed()
    entries = {kind: dict(found._entries) for kind, found in registry._REGISTRIES.items()}
    loaded = dict(registry._loaded)
    yield
    for kind, before in entries.items():
        registry._REGISTRIES[kind]._entries = before
    registry._loaded.clear()
    registry._loaded.update(loaded)
