"""The throughput of single layers."""

from __future__ import annotations

import pytest
import torch

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.oracle import ReferenceAdapter
from spikemark.measures.speed.layer_work import COPY, LayerTimings, LayerWork, layer_run, layer_throughput
from spikemark.measures.speed.timing import Budget, Timings


class Other(ReferenceAdapter):
    name = "other"


def test_all_contenders_take_turns_with_a_copy() -> None:
    results = layer_throughput(
        [get_adapter("reference"), Other()], NEURONS["stl"], (16,), steps=2, batch=4, budget=Budget(0.02)
    )
    assert set(results) == {"forward", "forward+backward"}
    for phase, result in results.items():
        expected = {"reference matched", "reference native", "other matched", "other native", COPY}
        assert set(result.timings.seconds) == expected
        assert result.timings.reference == "reference matched"
        assert result.bytes_copied == 2 * 2 * 4 * 16 * 4
        assert result.bytes_moved == {"forward": 1, "forward+backward": 3}[phase] * result.bytes_copied


def test_fraction_of_the_bandwidth() -> None:
    seconds = {"layer": (4.0,) * 8, COPY: (1.0, 3.0) * 4}
    result = LayerTimings(Timings("layer", seconds, {}, {}, precise=True), bytes_copied=100, bytes_moved=300)
    assert result.copy_bandwidth == 50
    fraction = result.bandwidth_fraction("layer")
    assert (fraction.low, fraction.value, fraction.high) == (0.75, 1.5, 2.25)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("native", [False, True])
def test_layers_spike_in_the_type_asked_for(dtype: torch.dtype, native: bool) -> None:
    for spec in (NEURONS[name] for name in ("lif", "plif", "stl", "lt", "diet")):
        work = LayerWork(get_adapter("reference"), spec, (2, 8, 8), 8, 4, dtype, native)
        spikes = work.layer()(work.currents(4))
        assert spikes.dtype == dtype
        assert 0.02 < spikes.float().mean() < 0.9


def test_backward_reaches_currents_and_parameters_once_a_call() -> None:
    work = LayerWork(get_adapter("reference"), NEURONS["stl"], (16,), 4, 8)
    layer = work.layer()
    run = layer_run(layer, work.currents(8), "forward+backward")
    run()
    (first,) = [p.grad.clone() for p in layer.parameters()]
    run()
    (second,) = [p.grad for p in layer.parameters()]
    assert first.abs().sum() > 0
    torch.testing.assert_close(second, first)


def test_nothing_to_time() -> None:
    with pytest.raises(ValueError, match="at least one adapter"):
        layer_throughput([], NEURONS["lif"], (4,), 2, 2)
