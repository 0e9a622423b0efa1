"""``python -m spikemark`` is the command ``spikemark``."""

from spikemark.cli import main

main()
