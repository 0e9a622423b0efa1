"""Checks of what a rule or a network can be told: options as dataclasses, each field's value named when it is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from spikemark.errors import InputError, unknown

Options = TypeVar("Options")


def options_from(kind: type[Options], what: str, given: Mapping[str, Any]) -> Options:
    """An instance of the dataclass `kind` with the given fields.

    Args:
        kind: of options.
        what: they are options of, for messages.
        given: field names and values.

    Raises:
        UnknownNameError: not a field.
        InputError: a value is out of range; the message names the field.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            raise unknown(f"option of {what}", name, known)
    return kind(**given)


def require_number(name: str, value: object, low: float, high: float = math.inf, *, open_low: bool = False) -> None:
    """That `value` is a finite number in ``low..high``.

    Raises:
        InputError: it is not; the message names the field.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high or (open_low and value == low):  # type: ignore[operator]
        bounds = f"{'above' if open_low else 'at least'} {low:g}" + (
            f" and at most {high:g}" if high < math.inf else ""
        )
        raise InputError(f"{name}: {value!r} is not a number {bounds}")


def require_count(name: str, value: object, low: int = 1) -> None:
    """That `value` is a whole number of at least `low`.

    Raises:
        InputError: it is not; the message names the field.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise InputError(f"{name}: {value!r} is not a whole number of at least {low}")


def require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """That `value` is one of `choices`.

    Raises:
        InputError: it is not; the message names the field.
    """
    if value not in choices:
        raise InputError(f"{name}: {value!r} is not one of {', '.join(choices)}")
