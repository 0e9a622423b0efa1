"""Data sets of a user's own: from arrays or tensors, from a torch `Dataset`, from tonic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikemark.data.card import Card, Kind, Sizes
from spikemark.errors import DataError, InputError
from spikemark.registry import register

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spikemark.data.pools import Pool, SplitName

Arrays = Mapping[str, tuple[Any, Any]]
"""By split, samples ``[N, *shape]`` and labels ``[N]``, as arrays or tensors."""
Load = Callable[[], Arrays]
_SPLITS = ("train", "validation", "test")


def dataset(
    name: str,
    *,
    classes: int,
    shape: tuple[int, ...],
    licence: str,
    source: str = "",
    kind: Kind = "image",
    encoder: str = "direct",
    steps: int | None = None,
) -> Callable[[Load], Load]:
    """Register a function that gives the samples of a data set.

    ``load() -> {"train": (x, y), "test": (x, y)}``, with ``"validation"`` where there is one: a tenth of the training
    samples is held out otherwise. Samples are floats in 0..1 or bytes, ``[N, *shape]`` (``[N, steps, *shape]`` with
    `steps`); labels are whole numbers from 0 to ``classes - 1``.

    Args:
        name: as users write it.
        classes: number of classes.
        shape: of one sample at one time step; what the network sees.
        licence: of the data.
        source: publication or origin.
        kind: "image" or "points" for static samples, "series" for those with a time axis.
        encoder: for suites that name none.
        steps: length of a sample's own time axis; None for static samples.

    Raises:
        InputError: a field is not what it may be.
        spikemark.registry.PluginError: the name is taken.
    """

    def keep(load: Load) -> Load:
        try:
            card = Card(
                name=name,
                kind=kind,
                shape=tuple(shape),
                classes=classes,
                samples=Sizes(),
                encoder=encoder,
                loader=partial(_pools, load),
                licence=licence,
                source=source,
                split="as its loader gives them; validation, where it gives none: a tenth of the training samples",
                steps=steps,
            )
        except (InputError, TypeError) as error:
            raise InputError(f"data set {name!r}: {error}") from None
        register("dataset", name, card, source=source)
        return load

    return keep


def from_arrays(
    train: tuple[Any, Any], test: tuple[Any, Any], validation: tuple[Any, Any] | None = None
) -> dict[str, tuple[Any, Any]]:
    """What a data set's function gives, from samples and labels of each split."""
    splits = {"train": train, "test": test}
    return splits if validation is None else splits | {"validation": validation}


def from_torch(train: Any, test: Any, validation: Any = None) -> dict[str, tuple[Any, Any]]:
    """The same from torch `Dataset`s of ``(x, y)``, x a tensor or an array, y a whole number."""
    return from_arrays(_stacked(train), _stacked(test), None if validation is None else _stacked(validation))


def from_tonic(train: Any, test: Any, transform: Callable[[Any], Any]) -> dict[str, tuple[Any, Any]]:
    """The same from tonic's data sets of ``(events, label)``.

    Args:
        train: training recordings.
        test: test recordings.
        transform: from the events of one recording to an array ``[steps, *shape]``, such as
            ``tonic.transforms.ToFrame``.
    """
    import numpy as np

    def frames(recordings: Any) -> tuple[Any, Any]:
        pairs = [(np.asarray(transform(events)), label) for events, label in recordings]
        stacked = np.stack([sample for sample, _ in pairs]).astype(np.float32)
        return np.clip(stacked, 0, 1), np.array([label for _, label in pairs])

    return from_arrays(frames(train), frames(test))


def _stacked(samples: Any) -> tuple[Any, Any]:
    import numpy as np

    pairs = [samples[i] for i in range(len(samples))]
    if not pairs:
        raise DataError("a torch data set without samples")
    return np.stack([np.asarray(x) for x, _ in pairs]), np.array([int(y) for _, y in pairs])


def _pools(load: Load, card: Card, data_dir: Path | None) -> dict[SplitName, Pool]:
    """A card's loader: the splits that the user's function gives, checked and in the form of ours."""
    where = f"data set {card.name!r}"
    try:
        found = load()
    except Exception as error:  # whatever a stranger's function raises is one line that names it
        raise DataError(f"{where}: its function raised {type(error).__name__}: {error}") from error
    if not isinstance(found, Mapping) or not {"train", "test"} <= found.keys() <= set(_SPLITS):
        names = ", ".join(map(str, found)) if isinstance(found, Mapping) else f"a {type(found).__name__}"
        raise DataError(
            f"{where}: gave {names}; expected train, test and perhaps validation, each as (samples, labels)"
        )
    return {split: pool(f"{where}, {split}", found[split]) for split in found}  # type: ignore[misc]


def pool(where: str, pair: Any) -> Pool:
    """Samples and labels of a user's, checked.

    Args:
        where: what messages call them.
        pair: ``(samples, labels)``, as arrays or tensors.

    Raises:
        DataError: they are not what they may be.
    """
    import numpy as np

    from spikemark.data.pools import Pool

    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise DataError(f"{where}: expected (samples, labels), found a {type(pair).__name__}")
    try:
        inputs, labels = (np.asarray(part.detach().cpu() if hasattr(part, "detach") else part) for part in pair)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: no arrays of samples and labels ({error})") from None
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{where}: labels are {labels.dtype} of shape {labels.shape}; expected whole numbers [N]")
    return Pool(_unit(where, inputs), labels.astype(np.int64), where)


def _unit(where: str, inputs: NDArray[Any]) -> NDArray[np.uint8 | np.float32]:
    """Bytes as they are (they are scaled later), floats in 0..1."""
    import numpy as np

    if inputs.dtype == np.uint8:
        return inputs
    if not np.issubdtype(inputs.dtype, np.floating):
        raise DataError(f"{where}: samples are {inputs.dtype}; expected floats in 0..1 or bytes (uint8)")
    if np.isnan(inputs).any():
        raise DataError(f"{where}: sample {int(np.argwhere(np.isnan(inputs))[0][0])} holds NaN")
    values = inputs.astype(np.float32)
    if values.size and not (float(values.min()) >= 0 and float(values.max()) <= 1):
        raise DataError(f"{where}: samples range over {values.min():g} to {values.max():g}; expected floats in 0..1")
    return values
