"""Whatever a user calls a model becomes a module: a module itself, a function, a function that builds one, a file."""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from spikemark.core.adapter import Unsupported
from spikemark.errors import InputError
from spikemark.registry import imported

READERS: Mapping[str, str] = {".nir": "spikemark.models.nir:load_nir"}
"""By the suffix of a file, ``"module:function"`` of ``(path, framework=..., dt=...) -> nn.Module``."""


class Function(nn.Module):
    """A function without parameters of its own, as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Any:
        """What the function gives."""
        return self.function(inputs)


def open_model(
    model: nn.Module | Callable[..., Any] | str | Path,
    input_shape: tuple[int, ...],
    classes: int,
    steps: int,
    framework: str | None = None,
    dt: float | None = None,
) -> tuple[str, nn.Module]:
    """A name for a model, and the module.

    Args:
        model: a module; a function of the inputs; ``"FILE.py:build"`` or ``"package.module:build"`` with
            ``build(input_shape, classes, steps) -> nn.Module``; or a file of another form, see `READERS`.
        input_shape: of one sample at one step.
        classes: number of classes.
        steps: T.
        framework: that computes a file of another form.
        dt: seconds per step of a file of another form.

    Raises:
        InputError: there is no such file or function, it takes other arguments, raises, or gives no module; or a dt is
            given for what has none.
    """
    if dt is not None and not (isinstance(model, str | Path) and Path(model).suffix in READERS):
        raise InputError(f"dt: {dt:g} s per step is for {' and '.join(READERS)} files; other models have steps alone")
    if isinstance(model, nn.Module):
        return type(model).__name__, model
    if isinstance(model, str | Path):
        suffix = Path(model).suffix
        if suffix in READERS:
            return Path(model).stem, _read(READERS[suffix], Path(model), framework, dt)
        return _built(str(model), input_shape, classes, steps)
    if isinstance(model, type):
        raise InputError(f"model: {model.__name__} is a class; give an instance of it, or the text 'module:build'")
    if callable(model):
        hidden = sorted(_modules_of(model))
        if hidden:
            raise InputError(
                f"model: the function uses {', '.join(hidden)}, whose states, neurons and weights it hides; give the "
                "module itself, or a module with the function as its forward"
            )
        return getattr(model, "__name__", type(model).__name__), Function(model)
    raise InputError(f"model: a {type(model).__name__} is neither a torch module nor callable, nor 'FILE.py:build'")


def _modules_of(function: Callable[..., Any]) -> Iterator[str]:
    """The names of modules that a function reaches: bound to it, captured by it, or global."""
    if isinstance(getattr(function, "__self__", None), nn.Module):
        yield type(function.__self__).__name__  # type: ignore[attr-defined]
    try:
        seen = inspect.getclosurevars(function)
    except TypeError:  # not written in Python
        return
    for name, value in {**seen.nonlocals, **seen.globals}.items():
        if isinstance(value, nn.Module):
            yield name


def _read(reader: str, path: Path, framework: str | None, dt: float | None) -> nn.Module:
    try:
        read = imported(reader)
    except ImportError as error:
        raise InputError(f"model {path}: files of this form cannot be read ({error})") from None
    if not path.is_file():
        raise InputError(f"model {path}: there is no such file")
    try:
        given = {"framework": framework, "dt": dt}
        module: nn.Module = read(path, **{name: value for name, value in given.items() if value is not None})
    except Unsupported as error:
        raise InputError(f"model {path}: {error}; spikemark nir check {path} tells which frameworks take it") from error
    return module


def _built(text: str, input_shape: tuple[int, ...], classes: int, steps: int) -> tuple[str, nn.Module]:
    place, separator, name = text.rpartition(":")
    if not separator or not name.isidentifier():
        raise InputError(f"model {text!r}: expected FILE.py:build, package.module:build or a .nir file")
    build = getattr(_module(text, place), name, None)
    if not callable(build):
        raise InputError(f"model {text!r}: {place} has no function {name!r}")
    try:
        inspect.signature(build).bind(input_shape, classes, steps)
    except TypeError as error:
        raise InputError(
            f"model {text!r}: called as {name}(input_shape, classes, steps), and it must take these: {error}"
        ) from None
    try:
        made = build(input_shape, classes, steps)
    except Exception as error:  # whatever a stranger's function raises is one line that names it
        raise InputError(f"model {text!r}: {name} raised {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise InputError(f"model {text!r}: {name} gave a {type(made).__name__}; expected a torch module")
    return name if name not in ("build", "model") else Path(place).stem.rpartition(".")[2], made


def _module(text: str, place: str) -> Any:
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        path = Path(place).expanduser().resolve()
        if not path.is_file():
            raise InputError(f"model {text!r}: there is no file {place}")
        name = f"spikemark_model_{path.stem}"
        spec = spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except InputError:
        raise
    except Exception as error:  # whatever a stranger's module raises is one line that names it
        raise InputError(f"model {text!r}: importing {place} raised {type(error).__name__}: {error}") from error
    return module


def load_weights(module: nn.Module, path: str | Path) -> None:
    """Give a module the weights of a ``.safetensors`` file, or of a file that `torch.save` wrote of a state dict.

    Nothing is unpickled but tensors.

    Raises:
        InputError: the file is missing, of another form, or does not fit the module.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"weights {path}: there is no such file")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    except SafetensorError as error:
        raise InputError(
            f"weights {path}: no safetensors ({error}); write it with "
            "safetensors.torch.save_file(model.state_dict(), ...)"
        ) from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        # torch advises to unpickle whatever is there, in colours.
        wants = "wants unpickling, which may run code, or is" if isinstance(error, pickle.UnpicklingError) else "is"
        raise InputError(
            f"weights {path}: {wants} not the file of a state dict of tensors, which is all that is read; "
            "write it with torch.save(model.state_dict(), ...)"
        ) from None
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"weights {path}: holds a {type(state).__name__}; expected a state dict of tensors")
    own = module.state_dict()
    problems = [f"{name} is missing" for name in own.keys() - state.keys()]
    problems += [f"{name} is not in the model" for name in state.keys() - own.keys()]
    problems += [
        f"{name} is {list(state[name].shape)}, in the model {list(own[name].shape)}"
        for name in own.keys() & state.keys()
        if own[name].shape != state[name].shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise InputError(
            f"weights {path}: do not fit: {'; '.join(sorted(problems)[:3])}{more}; build the model as it was trained"
        )
    module.load_state_dict(state)
