"""Every framework computes every spec as the oracle does: the whole grid, and random specs."""

import functools
import itertools

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import Adaptation, Learnable, NeuronSpec, Surrogate
from spikemark.measures.semantics.comparison import adapting_grid, conformance, spec_grid

FRAMEWORKS = ["spikingjelly", "snntorch", "norse"]


@functools.cache
def grid():
    """The specs by their dynamics."""

    def dynamics(spec):
        return spec.reset, spec.fires_at_threshold, spec.detach_reset, spec.decay_input

    return [list(specs) for _, specs in itertools.groupby(spec_grid(), dynamics)]


# Frameworks vary fastest, so that the oracle's answers to one group are still at hand for the next framework.
@pytest.mark.parametrize("group", range(24))
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_combination(framework, group):
    adapter, at_threshold = get_adapter(framework), 0
    for spec in grid()[group]:
        result = conformance(adapter, spec, seed=group, shapes=((2, 2, 1),), steps=(3,), batch=2)
        assert result.passed, (spec, result)
        at_threshold += result.spikes_at_threshold
    assert at_threshold > 100


SCOPES = st.sampled_from(["fixed", "layer", "channel", "neuron"])
JITTERS = st.sampled_from([0.0, 1e-3])
DECAYS = st.one_of(
    st.builds(Learnable, st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9, 0.9375, 1.0]), SCOPES),
    st.builds(Learnable, st.sampled_from([0.1, 0.5, 0.95]), SCOPES, st.sampled_from(["sigmoid", "tanh"]), JITTERS),
    st.builds(Learnable, st.sampled_from([0.1, 0.5, 0.8]), SCOPES, st.sampled_from(["exp", "softplus"]), JITTERS),
)
THRESHOLDS = st.one_of(
    st.builds(Learnable, st.sampled_from([0.3, 0.5, 1.0, 2.0]), SCOPES, st.just("identity"), JITTERS),
    st.builds(Learnable, st.sampled_from([0.25, 0.5, 0.8]), SCOPES, st.sampled_from(["sigmoid", "tanh"]), JITTERS),
    st.builds(Learnable, st.sampled_from([0.3, 1.0, 2.5]), SCOPES, st.sampled_from(["exp", "softplus"]), JITTERS),
)
BELOW = st.builds(Learnable, st.sampled_from([-0.5, 0.0]), SCOPES)
SURROGATES = st.builds(
    Surrogate,
    st.sampled_from(["atan", "superspike", "sigmoid", "triangle", "rectangle"]),
    st.sampled_from([0.3, 0.5, 1.0, 2.0, 4.0]),
    st.sampled_from([1.0, 0.3]),
    st.booleans(),
)


ADAPTATIONS = st.builds(
    Adaptation,
    st.builds(Learnable, st.sampled_from([0.25, 0.5, 0.75]), SCOPES, st.sampled_from(["identity", "sigmoid"])),
    st.builds(Learnable, st.sampled_from([0.125, 0.25, 0.5]), SCOPES),
)


@st.composite
def specs(draw):
    surrogate = draw(SURROGATES)
    return NeuronSpec(
        decay=draw(DECAYS),
        threshold=draw(THRESHOLDS if surrogate.relative else THRESHOLDS | BELOW),
        decay_input=draw(st.booleans()),
        reset=draw(st.sampled_from(["zero", "subtract", "none"])),
        detach_reset=draw(st.booleans()),
        fires_at_threshold=draw(st.booleans()),
        surrogate=surrogate,
        adaptation=draw(st.none() | ADAPTATIONS),
    )


# Fewer than a handful of neurons and samples, and one gradient may cancel over time to nearly nothing.
SHAPES = st.one_of(st.tuples(st.integers(4, 7)), st.tuples(st.integers(1, 4), st.integers(2, 4), st.integers(2, 4)))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@given(data=st.data(), shape=SHAPES, steps=st.integers(1, 64), batch=st.integers(2, 4), seed=st.integers(0, 2**31))
@settings(derandomize=True, max_examples=50, deadline=None)
def test_random_specs(framework, data, shape, steps, batch, seed):
    spec = data.draw(specs())
    assume(not (spec.decay.init == 1 and spec.decay_input))  # no current reaches such a neuron
    result = conformance(get_adapter(framework), spec, seed=seed, shapes=(shape,), steps=(steps,), batch=batch)
    assert result.passed, result


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_thresholds_that_follow_the_spikes(framework):
    for spec in adapting_grid():
        result = conformance(get_adapter(framework), spec, seed=1, shapes=((2, 3, 1),), steps=(12,), batch=3)
        assert result.passed, (spec, result)
