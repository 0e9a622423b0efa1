"""Adapters: one module per framework, each turning a neuron spec into a layer of that framework.

Importing the package registers the frameworks' own neurons, without importing a framework.
"""

from spikemark_adapters import native  # noqa: F401 (imported for what it registers)
