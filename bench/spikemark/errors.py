"""Errors that mean the request was wrong: one line that says what and where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class InputError(ValueError):
    """The request cannot be carried out as it stands; the command line shows the message alone and exits with 2."""


class DataError(InputError):
    """A data set's file is missing or damaged; the message names it."""


class UnknownNameError(InputError, KeyError):
    """A name that no registry knows."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


def first_line(error: Exception | str | None, missing: str = "no message") -> str:
    """What an error, or the text that a record keeps of one, says first; `missing` where it says nothing."""
    return next(iter(str(error or "").strip().splitlines()), missing)


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for `name`, with the closest known name and all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return UnknownNameError(f"no {kind} {name!r}{hint} (known: {', '.join(names)})")


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Turns the absence of a package into a line that says how to get it.

    Args:
        extra: of this package, which asks for it.
        what: cannot be done without it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(f"{what} needs {error.name}: pip install 'spikemark[{extra}]'") from error


def explain(error: ValidationError, known: Iterable[str] = ()) -> str:
    """All problems of a validation on one line, each as "field.path: what is wrong, what was found".

    Args:
        error: pydantic's.
        known: names of the fields at the top, for suggestions.
    """
    problems = []
    for item in error.errors():
        path = ".".join(str(part) for part in item["loc"])
        problem = _problem(item, known if len(item["loc"]) <= 1 else ())
        problems.append(f"{path}: {problem}" if path else problem)
    return "; ".join(dict.fromkeys(problems))


def _problem(item: Any, known: Iterable[str]) -> str:
    match item["type"]:
        case "missing" | "missing_argument":
            return "is missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            name = str(item["loc"][-1])
            return str(unknown("field", name, known)) if known else f"there is no field {name!r}"
        case "value_error":
            return str(item["ctx"]["error"])
        case "literal_error":
            return f"{item['input']!r} is not one of {item['ctx']['expected']}"
        case _:
            return f"{item['msg']}, found {item['input']!r}"
