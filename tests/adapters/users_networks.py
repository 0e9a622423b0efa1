"""What is asked of a user's network in the environment of its framework."""

import pytest


def measured_with_several_spikes(found, framework, layer):
    """Of a network of 32 and 10 neurons that spike several times in a step."""
    first, second, by_seven = found["values"]
    assert found["framework"] == framework
    assert found["same"]
    assert first == second
    assert by_seven == pytest.approx(first)
    assert first["neuron_updates", "", ""] == 8 * (32 + 10)
    assert found["largest"] > 1
    assert first["acs", layer, ""] == pytest.approx(found["accumulations"])
    assert 0 < first["accuracy", "", ""] < 1
