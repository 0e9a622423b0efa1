"""Record a framework, then check mutated copies of its package, each in a process of its own; writes JSON by mutation.

Called with the framework, a folder and the mutations as JSON: ``{name: [[file, old, new], ...]}``. The name "none" is
the copy as it is.
"""

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import torch

from spikemark.regression import golden


def mutant(package: Path, folder: Path, changes: list[list[str]]) -> Path:
    """A copy of the package below `folder`, with the changes made; each must be found."""
    shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    for file, old, new in changes:
        path = folder / package.name / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new))
    return folder


def in_child(write_to: Path, work) -> None:
    """Run `work` in a fork, which alone imports the framework."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            write_to.write_text(json.dumps(work()))
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0, write_to


def checked(framework: str, file: Path, first: Path) -> list[dict]:
    sys.path.insert(0, str(first))
    found = golden.check(file, [framework]).differences
    return [{"layer": d.layer, "setting": d.setting, "step": d.step, "cause": d.cause} for d in found]


def main() -> None:
    framework, folder, mutations = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    torch.set_num_threads(1)
    package = Path(importlib.util.find_spec(framework).origin).parent
    assert framework not in sys.modules
    file, results = folder / "golden.safetensors", {}
    in_child(folder / "record.json", lambda: len(golden.record(file, [framework]).layers))
    for name, changes in mutations.items():
        first = mutant(package, folder / name, changes)
        in_child(folder / f"{name}.json", lambda first=first: checked(framework, file, first))
        results[name] = json.loads((folder / f"{name}.json").read_text())
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main()
