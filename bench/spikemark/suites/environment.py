"""What a result was measured on: versions, processor, threads, commit. Nothing here identifies a person or a path."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from spikemark.core.environments import current
from spikemark.core.frameworks import framework_packages

_PACKAGES = ("spikemark", "torch", "numpy", "numba", "scikit-learn", "zeus")


@cache
def environment() -> dict[str, Any]:
    """The machine and the software, the same for all jobs of one process."""
    import torch

    own = current()
    return ({"environment": own} if own else {}) | {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": package_versions(),
        "commit": commit(),
    }


def package_versions() -> dict[str, str]:
    """Of our package, those that its numbers depend on, and those of frameworks; from metadata, without imports."""
    names = dict.fromkeys([*_PACKAGES, *framework_packages()])
    return {name: found for name in names if (found := _version(name)) is not None}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def commit() -> str | None:
    """Commit of the checkout this package runs from, with ``-dirty`` when its sources differ from it."""
    here = Path(__file__).resolve().parent
    ask = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        tracked = subprocess.run([*ask[:3], "ls-files", "--error-unmatch", __file__], capture_output=True, check=False)
        if tracked.returncode != 0:
            return None
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except FileNotFoundError:  # no git on this machine
        return None
