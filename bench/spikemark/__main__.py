"""The program `spikemark`, also as `python -m spikemark`."""

import signal
import sys


def start() -> None:
    """Run the command line; an interrupt while it starts or ends is no traceback."""
    try:
        from spikemark.cli import main

        main()
    except KeyboardInterrupt as stop:
        sys.stderr.write("spikemark: interrupted\n")
        sys.exit(128 + (stop.args[0] if stop.args else signal.SIGINT))


if __name__ == "__main__":
    start()
