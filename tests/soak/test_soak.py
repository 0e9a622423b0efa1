"""One run of the soak that `soak.py` does by hand; ``SPIKEMARK_SOAK=24`` makes it so many, of every fault."""

import os
import random

from soak import COLUMNS, FAULTS, soak_all


def test_no_record_is_lost_doubled_torn_or_differs():
    runs = int(os.environ.get("SPIKEMARK_SOAK", "1"))
    names = ["kill main"] if runs == 1 else (list(FAULTS) * runs)[:runs]
    said = []
    totals = soak_all(names, random.randrange(10**6), said.append, epochs=2, stop_seconds=5.0)
    assert sum(found["runs"] for found in totals.values()) == runs
    assert not any(found[column] for found in totals.values() for column in COLUMNS), said
