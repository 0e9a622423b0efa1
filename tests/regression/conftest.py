"""Files as they come from real runs, with numbers made to order."""

import json

import numpy as np
import pytest

from spikemark.suites.records import write_record


@pytest.fixture
def folder(tmp_path):
    """Write records into a folder below `tmp_path`."""

    def write(name, *records):
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        for item in records:
            write_record(path, item)
        return path

    return write


@pytest.fixture
def benchmark_json(tmp_path):
    """Write a pytest-benchmark file: rounds of each benchmark around a typical time, with some noise."""

    def write(name, seconds, rounds=40, noise=0.02, seed=0, cpu="a cpu"):
        rng = np.random.default_rng([seed, len(name)])
        benchmarks = [
            {"fullname": test, "stats": {"data": list(typical * np.exp(noise * rng.standard_normal(rounds)))}}
            for test, typical in seconds.items()
        ]
        machine = {"cpu": {"brand_raw": cpu, "count": 2}, "system": "Linux"}
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"machine_info": machine, "benchmarks": benchmarks}))
        return path

    return write
