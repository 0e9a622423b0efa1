"""A dask cluster on this machine, of processes that tests can kill, stop and replace."""

import os
import socket
import subprocess
import sys
import time

ANOTHER_TORCH = """
from importlib import metadata
real = metadata.version
metadata.version = lambda name: "9.9.9" if name == "torch" else real(name)
"""


class Machines:
    """A scheduler and workers, each a process that can be killed."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.folder, self.tls, self.processes = folder, [], []

    def start(self, *arguments, **variables):
        command = [sys.executable, "-m", "dask", *map(str, arguments), *map(str, self.tls)]
        process = subprocess.Popen(
            command, env=os.environ | variables, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.processes.append(process)
        return process

    def scheduler(self, *arguments):
        return self.start("scheduler", "--host", "127.0.0.1", "--port", self.port, "--no-dashboard", *arguments)

    def worker(self, name, *arguments, **variables):
        options = ("--nthreads", 1, "--no-nanny", "--no-dashboard", "--name", name)
        return self.start("worker", self.address, *options, *arguments, **variables)

    def wait(self, seconds=60):
        """Until the scheduler listens."""
        end = time.monotonic() + seconds
        while socket.socket().connect_ex(("127.0.0.1", self.port)):
            assert time.monotonic() < end
            time.sleep(0.1)

    def another_torch(self):
        """The variables of a process in which torch has another version."""
        (self.folder / "sitecustomize.py").write_text(ANOTHER_TORCH)
        return {"PYTHONPATH": f"{self.folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()
