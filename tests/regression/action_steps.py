"""The steps of ``action.yml`` as a runner would run them, without one: inputs become the environment of bash.

By hand, in a clone of a framework whose environment has pip (the steps install into the Python of PATH):

    python tests/regression/action_steps.py CLONE BASE HEAD package=norse [budget=20 ...]
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
COMPARE, MEASURE, KEEP = (
    "Compare, interleaved on this machine",
    "Measure for the history",
    "Keep the history in its branch",
)
INSTALL = "Install"


def step(name):
    return next(step for step in ACTION["runs"]["steps"] if step["name"] == name)


def resolve_uses(with_):
    """All inputs of the action, as a caller's `with` and the defaults set them."""
    unknown = set(with_) - set(ACTION["inputs"])
    assert not unknown, f"the action has no inputs {unknown}"
    return {name: str(with_.get(name, one["default"])) for name, one in ACTION["inputs"].items()}


def environment(name, contexts):
    """The environment of a step, its expressions evaluated.

    Args:
        name: of the step.
        contexts: values by dotted name, such as "inputs.suite".
    """
    return {key: evaluated(str(value), contexts) for key, value in step(name)["env"].items()}


def evaluated(text, contexts):
    """``${{ a.b || 'text' }}`` in a text."""

    def first(match):
        for term in match[1].split("||"):
            term = term.strip()
            value = term[1:-1] if term.startswith("'") else contexts.get(term, "")
            if value:
                return value
        return ""

    return re.sub(r"\$\{\{ (.*?) \}\}", first, text)


def run_step(name, folder, contexts, **further):
    """Run a step's script in a folder, as the runner calls bash."""
    env = os.environ | environment(name, contexts) | further
    command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step(name)["run"]]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def contexts_of(inputs, temporary, **github):
    return {
        **{f"inputs.{name}": value for name, value in inputs.items()},
        **{f"github.{name.replace('__', '.')}": value for name, value in github.items()},
        "github.action_path": str(ROOT),
        "runner.temp": str(temporary),
    }


def main(clone, base, head, *given):
    temporary = Path(clone).resolve().parent / "runner-temp"
    inputs = resolve_uses(dict(text.split("=", 1) for text in given))
    contexts = contexts_of(inputs, temporary, event__pull_request__base__sha=base, event__pull_request__head__sha=head)
    for name in (INSTALL, COMPARE):
        start = time.monotonic()
        done = run_step(name, clone, contexts)
        said = f"{done.stdout}{done.stderr}"
        sys.stdout.write(f"{name}: status {done.returncode} after {time.monotonic() - start:.0f} s\n{said}\n")
        if done.returncode:
            sys.exit(done.returncode)


if __name__ == "__main__":
    main(*sys.argv[1:])
