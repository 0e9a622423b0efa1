"""One entry of every kind. Importing the package registers them; each of its modules is one door."""

from foreign_example import (  # noqa: F401 (imported for what they register)
    arrays,
    claim,
    encoder,
    measure,
    model,
    network,
    neuron,
    noise,
    normalization,
    rule,
    system,
    torch_data,
)
