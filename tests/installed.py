"""The frameworks that tests can use in this process: the others have an environment of their own."""

from spikemark.core.frameworks import adapter_names, environment_of

INSTALLED = tuple(name for name in adapter_names() if environment_of(name) is None)
