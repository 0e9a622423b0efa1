"""The error of a data set whose files are not what they should be."""

from __future__ import annotations

from spikemark.errors import InputError


class DataError(InputError):
    """A data set's file is missing, damaged or not what it should be; the message names it and what would be right."""
