"""In this folder `spikemark` is the plug-in's fixture; in the others it is the command line."""

from spikemark.pytest_plugin import spikemark

__all__ = ["spikemark"]
