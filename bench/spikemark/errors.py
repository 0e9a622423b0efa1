"""Errors that mean the request was wrong: one line that says what and where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The request cannot be carried out as it stands; the command line shows the message alone and exits with 2."""


class UnknownNameError(InputError, KeyError):
    """A name that no registry knows."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for `name`, with the closest known name and all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return UnknownNameError(f"no {kind} {name!r}{hint} (known: {', '.join(names)})")
