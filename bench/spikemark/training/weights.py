"""Trained weights and the scores of searches, kept in files, so that nothing is trained again."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from spikemark.core.files import staged, write_files
from spikemark.errors import InputError
from spikemark.training.loop import Epoch, Trained
from spikemark.training.parameters import ParameterChange

_FORM = 2


class WeightStore:
    """A folder of trained weights, one file per training.

    Args:
        folder: made when the first weights are saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Where a training's weights are."""
        return self.folder / f"{key}.safetensors"

    def save(self, key: str, trained: Trained) -> None:
        """Keep a training: whole, or not at all.

        Raises:
            OSError: the folder cannot be written.
        """
        same = trained.best_epoch == len(trained.history)
        tensors = {f"last/{name}": value.contiguous() for name, value in trained.last_state.items()}
        if not same:
            tensors |= {f"best/{name}": value.contiguous() for name, value in trained.best_state.items()}
        about: dict[str, Any] = {
            "form": _FORM,
            "best_epoch": trained.best_epoch,
            "history": [asdict(epoch) for epoch in trained.history],
            "fingerprints": trained.fingerprints,
            "saved_bytes": trained.saved_bytes,
            "diagnostics": dict(trained.diagnostics),
            "parameters": [asdict(change) for change in trained.parameters],
        }
        with staged(self.path(key)) as (part,):
            # Cloned, since safetensors refuses tensors that share memory.
            save_file({name: value.clone() for name, value in tensors.items()}, part, {"trained": json.dumps(about)})

    @contextmanager
    def scores(self, key: str) -> Iterator[MutableMapping[str, float | None]]:
        """Validation accuracies of a search's trials, by rule; kept as they come, one process at a time.

        Raises:
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f"{key}.lock"):
            yield _Scores(self.folder / f"{key}.trials")

    def load(self, key: str) -> Trained | None:
        """The training that was kept; None when there is none, or its file is damaged or of another version."""
        path = self.path(key)
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {})["trained"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (FileNotFoundError, SafetensorError, KeyError, ValueError):
            return None
        if about.get("form") != _FORM:
            return None
        last = _state(tensors, "last/")
        return Trained(
            best_state=_state(tensors, "best/") or last,
            best_epoch=about["best_epoch"],
            last_state=last,
            history=tuple(Epoch(**epoch) for epoch in about["history"]),
            fingerprints=about["fingerprints"],
            saved_bytes=about["saved_bytes"],
            diagnostics=about["diagnostics"],
            parameters=tuple(
                ParameterChange(**change | {"first": tuple(change["first"]), "last": tuple(change["last"])})
                for change in about["parameters"]
            ),
        )


def load_kept(network: nn.Module, path: Path) -> None:
    """Give a network the weights of the best epoch of a training that was kept.

    Raises:
        InputError: there is no such file, it is damaged or of another form, or its weights do not fit.
    """
    trained = WeightStore(path.parent).load(path.stem) if path.suffix == ".safetensors" else None
    if trained is None:
        raise InputError(f"weights {path}: not a file of trained weights that a run kept (weights/KEY.safetensors)")
    try:
        network.load_state_dict(trained.best_state)
    except RuntimeError as error:
        raise InputError(f"weights {path}: do not fit the system: {' '.join(str(error).split()[:40])}") from None


class _Scores(dict[str, float | None]):
    """A mapping that is written to its file with every change; a damaged file is begun anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with suppress(FileNotFoundError, ValueError):
            super().__init__(json.loads(path.read_text(encoding="utf-8")))

    def __setitem__(self, rule: str, score: float | None) -> None:
        super().__setitem__(rule, score)
        write_files({self.path: json.dumps(self)})


def _state(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
