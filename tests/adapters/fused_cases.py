"""Specs and inputs that fused layers are held to the oracle with, on every device."""

from itertools import product

import torch

from spikemark.neurons import Learnable, NeuronSpec, Surrogate

SCOPES = ("fixed", "layer", "channel", "neuron")
ALPHAS = {"atan": 2.0, "superspike": 2.0, "sigmoid": 4.0, "triangle": 1.0, "rectangle": 1.0}
FLAGS = list(product(("zero", "subtract"), (True, False), (True, False), (True, False), (True, False)))


def specs(surrogate):
    """Every combination of the choices, each with another pair of scopes."""
    for i, (reset, detach, fires_at, decay_input, relative) in enumerate(FLAGS):
        yield NeuronSpec(
            decay=Learnable(0.5, SCOPES[i // 4 % 4]),
            threshold=Learnable(0.75, SCOPES[i % 4]),
            decay_input=decay_input,
            reset=reset,
            detach_reset=detach,
            fires_at_threshold=fires_at,
            surrogate=Surrogate(surrogate, ALPHAS[surrogate], 0.5, relative),
        )


def dyadic(*shape, seed=0):
    return torch.randint(-4, 9, shape, generator=torch.Generator().manual_seed(seed)).double() / 4
