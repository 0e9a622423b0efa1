import pytest

from spikemark.errors import InputError
from spikemark.methods.sleep.options import BpttSleep, NeuronConstants, SleepStdp
from spikemark.methods.sleep.projections import Architecture
from spikemark.training.rule import Rule

NAN = float("nan")


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        *((SleepStdp, "fraction", v) for v in (-0.1, 1.1, NAN, "0.1", True, None)),
        *((SleepStdp, "interval", v) for v in (0, 2.5, True)),
        (SleepStdp, "cap", 0),
        *((SleepStdp, "decay", v) for v in (0.0, 1.01, NAN)),
        *((SleepStdp, "baseline", v) for v in (0.0, 0.001, 26.0)),
        (SleepStdp, "noise", -1.0),
        (SleepStdp, "tolerance", -0.1),
        (SleepStdp, "sign", "hebbian"),
        (SleepStdp, "learning_rate", NAN),
        (SleepStdp, "potentiation", -1),
        (SleepStdp, "depression", -1),
        (SleepStdp, "tau_potentiation", 0),
        (SleepStdp, "tau_depression", 0),
        (SleepStdp, "smallest", 0),
        (SleepStdp, "largest", 0.001),
        *((BpttSleep, "fraction", v) for v in (-0.1, 1.1, NAN)),
        (BpttSleep, "schedule", "nightly"),
        (BpttSleep, "steps", 0),
        (BpttSleep, "batch", 1.5),
        (BpttSleep, "noise", -3),
        (BpttSleep, "decay", 0),
        (BpttSleep, "baseline", 0),
        (BpttSleep, "learning_rate", -1),
        (BpttSleep, "potentiation", -1),
        (BpttSleep, "depression", -1),
        (BpttSleep, "tau_pre", 0),
        (BpttSleep, "tau_post", 0),
        (NeuronConstants, "tau_membrane", 0.5),
        (NeuronConstants, "tau_synapse", 0),
        (NeuronConstants, "tau_adaptation", NAN),
        (NeuronConstants, "resistance", 0),
        (NeuronConstants, "adaptation", -1),
        (NeuronConstants, "rest", NAN),
        (NeuronConstants, "lowest", 50.0),
        (NeuronConstants, "threshold_lowest", 1.0),
        (Architecture, "side", 0),
        (Architecture, "excitatory", 0),
        (Architecture, "inhibitory", 2.5),
        (Architecture, "intensity", 0),
        (Architecture, "densities", (0.1, 0.1, 0.1, 1.5)),
        (Architecture, "densities", (0.1, 0.1)),
        (Architecture, "weights", (0.1, 0.1, 0.1, 0.5)),
    ],
)
def test_bad_fields_are_named(kind, field, value):
    with pytest.raises(InputError, match=rf"^.*{field}.*: "):
        kind(**{field: value})


def test_unknown_fields_are_named():
    with pytest.raises(InputError, match=r"^rule sleep-stdp: fractoin: .*; did you mean 'fraction'"):
        Rule.from_dict({"name": "sleep-stdp", "fractoin": 0.1})


@pytest.mark.parametrize(
    ("fraction", "cap", "length"),
    [(0.0, None, 0), (0.1, None, 3500), (0.2, None, 7000), (1.0, None, 35_000), (1e-6, None, 1),
     (0.2, 10_000, 7000), (0.3, 10_000, 10_000), (1.0, 10_000, 10_000)],
)  # fmt: skip
def test_length_of_a_sleep(fraction, cap, length):
    assert SleepStdp(fraction=fraction, cap=cap).length == length


def sleeps(fraction, schedule, steps=100):
    options = BpttSleep(fraction=fraction, schedule=schedule)
    return [step for step in range(1, steps + 1) if options.due(step)]


def test_published_schedule_makes_fractions_alike():
    assert sleeps(0.1, "published") == list(range(10, 101, 10))
    assert sleeps(0.4, "published") == sleeps(0.5, "published") == list(range(2, 101, 2))
    assert sleeps(0.6, "published") == sleeps(1.0, "published") == list(range(1, 101))
    assert sleeps(0.0, "published") == []


@pytest.mark.parametrize("hundredths", range(0, 101))
def test_exact_schedule_keeps_every_fraction(hundredths):
    found = sleeps(hundredths / 100, "exact", 500)
    assert len(found) == 5 * hundredths
    for i, step in enumerate(found, start=1):
        assert step == -(-100 * i // hundredths)  # as soon as the fraction is due
