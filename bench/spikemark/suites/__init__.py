"""Suites: what is to be measured, job by job; and how it is run and kept."""

from pathlib import Path

from spikemark.registry import register

for _path in sorted(Path(__file__).parent.glob("*.toml")):
    register("suite", _path.stem, _path)
