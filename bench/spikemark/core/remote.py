"""Calls of functions in the process of another environment: one process for each, which lives as long as this one.

The process sees the packages of its environment first, then everything that this interpreter sees. So the functions,
the plug-ins and torch are the same on both sides. Requests and answers are pickled; both sides are this module.
"""

from __future__ import annotations

import atexit
import json
import os
import pickle
import signal
import subprocess
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from queue import SimpleQueue
from typing import IO, Any

from spikemark.core.environments import Environment
from spikemark.errors import InputError, first_line
from spikemark.registry import imported, load_plugin, loaded_plugins

Callback = Callable[..., object]

# The environment's own entries of sys.path stand before those of the caller. Its editable installations are followed.
_START = """\
import json, site, sys
paths, packages = json.loads(sys.argv[1])
sys.path[:] = [path for path in sys.path if path not in paths] + paths
site.addsitedir(packages)
from spikemark.core.remote import serve
serve()
"""


class RemoteError(InputError):
    """A call ended in an error that cannot be sent, or its process ended; the message says what is known."""


def call(environment: Environment, function: str, *arguments: Any, **callbacks: Callback | None) -> Any:
    """What a function gives that runs in an environment.

    Args:
        environment: whose process; it is started by the first call.
        function: as ``"module:function"``.
        arguments: its arguments, which can be pickled.
        callbacks: further arguments of the function, which it calls to tell something; they run in this process.

    Raises:
        MissingEnvironment: it is not built.
        RemoteError: see there.
        Exception: whatever the function raises.
    """
    given = {name: callback for name, callback in callbacks.items() if callback is not None}
    return _process(environment).call(function, arguments, given)


@cache
def _process(environment: Environment) -> _Process:
    return _Process(environment)


class _Process:
    def __init__(self, environment: Environment) -> None:
        environment.require()
        self._name, self._turn = environment.name, threading.Lock()
        self._command = [
            str(environment.python), "-P", "-c", _START,
            json.dumps([[path or os.getcwd() for path in sys.path], sysconfig.get_path("purelib")]),  # noqa: PTH109
        ]  # fmt: skip
        self._running: subprocess.Popen[bytes] | None = None
        atexit.register(self._stop)

    def call(self, function: str, arguments: tuple[Any, ...], callbacks: Mapping[str, Callback]) -> Any:
        with self._turn:
            running = self._start()
            assert running.stdin is not None
            assert running.stdout is not None
            try:
                _send(running.stdin, (function, arguments, list(callbacks), loaded_plugins()))
                kind, value = pickle.load(running.stdout)
                while kind == "told":
                    name, told = value
                    callbacks[name](*told)
                    kind, value = pickle.load(running.stdout)
            except (EOFError, BrokenPipeError, pickle.UnpicklingError):
                status = running.wait()
                self._stop()
                raise RemoteError(f"the process of the environment {self._name} ended with status {status}") from None
            except BaseException:  # its answer would be taken for that of the next call
                self._stop()
                raise
        if kind == "error":
            raise _received(*value)
        return value

    def _start(self) -> subprocess.Popen[bytes]:
        if self._running is None or self._running.poll() is not None:
            # Some dependencies run pip when they are imported; they shall not find anything.
            variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            self._running = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables | {"PIP_NO_INDEX": "1"}
            )
        return self._running

    def _stop(self) -> None:
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            for pipe in (self._running.stdin, self._running.stdout):
                assert pipe is not None
                with suppress(BrokenPipeError):
                    pipe.close()
            self._running = None


def _send(pipe: IO[bytes], message: Any) -> None:
    _write(pipe, pickle.dumps(message))


def _write(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(message)
    pipe.flush()


def serve() -> None:
    """Answer calls until whoever started this process is gone. What anybody prints goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    import_module("torch")  # or the thread that reads would import it, and torch's profiler complain of another one
    requests: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    while True:
        function, arguments, callbacks, plugins = requests.get()
        try:
            for plugin in plugins:
                load_plugin(plugin)
            further = {name: partial(_tell, answers, name) for name in callbacks}
            answer = pickle.dumps(("result", imported(function)(*arguments, **further)))
        except Exception as error:  # noqa: BLE001 (it is raised on the other side)
            answer = pickle.dumps(("error", _sendable(error)))
        _write(answers, answer)


def _tell(answers: IO[bytes], name: str, *told: Any) -> None:
    _send(answers, ("told", (name, told)))


def _read(requests: SimpleQueue[Any]) -> None:
    """In a thread of its own, so that a process that is at work ends with the one that started it."""
    while True:
        try:
            requests.put(pickle.load(sys.stdin.buffer))
        except EOFError:
            os._exit(0)


def _sendable(error: Exception) -> tuple[bytes, Exception]:
    """The error, pickled, and one that can be read everywhere; the traceback is a note of both."""
    told = "".join(traceback.format_exception(error))
    plain = RemoteError(f"{type(error).__name__}: {first_line(error)}")
    for one in (error, plain):
        one.add_note(told)
    try:
        pickled = pickle.dumps(error)
        pickle.loads(pickled)
    except Exception:  # noqa: BLE001 (whatever a stranger's error raises when it is copied)
        pickled = pickle.dumps(plain)
    return pickled, plain


def _received(pickled: bytes, plain: Exception) -> Exception:
    try:
        error: Exception = pickle.loads(pickled)
    except (ImportError, AttributeError):  # of a class that only the environment has
        return plain
    return error
