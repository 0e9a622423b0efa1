"""Dask's scheduler and worker without their HTTP servers, which would listen beside the encrypted ports."""

from __future__ import annotations

from typing import Any

import distributed


class Scheduler(distributed.Scheduler):
    """Of worker processes on this machine."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Open no port."""


class Worker(distributed.Worker):
    """A process on this machine."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Open no port."""
