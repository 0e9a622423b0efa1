import math
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from spikemark.core.frameworks import get_adapter
from spikemark.core.measurement import unpack_correct
from spikemark.core.neurons import NEURONS
from spikemark.data.card import Sizes
from spikemark.data.encoders import encode
from spikemark.data.loading import load_dataset
from spikemark.errors import InputError
from spikemark.measures import noisy_accuracy
from spikemark.measures.noisy_accuracy import robustness
from spikemark.measures.robustness import Robustness
from spikemark.networks.build import build_network
from spikemark.noise.case import NOISES as NOISES_BY_NAME
from spikemark.noise.case import SearchLog
from spikemark.report.curves import (
    corruption_error,
    half_margin_severity,
    mean_accuracy,
    mean_over_noises,
    normalised_area,
    relative_corruption_error,
)

NOISES = ("gaussian", "salt-and-pepper", "spike-deletion")


def encode_step(inputs, generator):
    return encode("poisson", inputs, 3, generator)


@pytest.fixture
def samples():
    inputs = torch.rand(50, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    return inputs, torch.arange(50) % 3


@pytest.fixture
def model():
    return build_network("mlp", get_adapter("reference"), NEURONS["lif"], (1, 6, 6), 3, 0, options={"hidden": (30,)})


class Brightness(nn.Module):
    """Class 1 where the mean input is above one half; counts its calls. [T, B, ...] to [T, B, 2]."""

    def __init__(self):
        super().__init__()
        self.samples = 0

    def forward(self, x):
        self.samples += x.shape[1]
        mean = x.flatten(2).mean(2)
        return torch.stack((1 - mean, mean), dim=2)


def run(model, samples, noises=NOISES, severities=(1, 3), batch_size=20):
    return robustness(model, "made-up", *samples, encode_step, noises, severities, batch_size)


def test_rows_and_fingerprints(model, samples):
    rows, prints = run(model, samples)
    assert [(row["noise"], row["severity"]) for row in rows] == [
        *((noise, 0) for noise in NOISES),
        *((noise, severity) for noise in NOISES for severity in (1, 3)),
    ]
    assert all(row["metric"] == "accuracy" and row["split"] == "test" and row["unit"] == "fraction" for row in rows)
    assert len({row["value"] for row in rows if row["severity"] == 0}) == 1
    assert set(prints) == {"noise:clean", *(f"noise:{noise}:{s}" for noise in NOISES for s in (1, 3))}
    assert len({prints[f"noise:{noise}:{s}"] for noise in NOISES for s in (1, 3)}) == 6


def test_accuracy_by_hand():
    # Means 0.2 and 0.8: the clean answer is right for the first two of three labels, whatever the batches.
    inputs = torch.cat([torch.full((1, 4), 0.2), torch.full((1, 4), 0.8), torch.full((1, 4), 0.2)])
    labels = torch.tensor([0, 1, 1])
    rows, _ = robustness(Brightness(), "x", inputs, labels, lambda x, g: x[None], ["gaussian"], [1], 2)
    assert rows[0]["value"] == pytest.approx(2 / 3)


def test_no_more_inferences_than_needed():
    counter = Brightness()
    inputs, labels = torch.rand(30, 4), torch.zeros(30, dtype=torch.long)
    robustness(counter, "x", inputs, labels, lambda x, g: x[None], ["gaussian", "salt-and-pepper"], [1, 2, 3], 7)
    assert counter.samples == 30 * (1 + 2 * 3)


def test_same_noise_whatever_the_network_and_what_ran_before(samples):
    build = partial(build_network, "mlp", get_adapter("reference"), input_shape=(1, 6, 6), classes=3)
    small = {"hidden": (30,)}
    _, first = run(build(neuron=NEURONS["lif"], seed=0, options=small), samples)
    torch.rand(17)
    _, second = run(build(neuron=NEURONS["stl"], seed=5, options=small), samples, noises=NOISES[::-1])
    assert first == second
    # A wider network draws more for its spikes, but meets the same samples.
    _, third = run(build(neuron=NEURONS["lif"], seed=0, options={"hidden": (31,)}), samples)
    assert {key for key in first if first[key] != third[key]} == {"noise:spike-deletion:1", "noise:spike-deletion:3"}


def test_repeats_exactly_and_leaves_everything_as_it_was(model, samples):
    inputs, labels = (tensor.clone() for tensor in samples)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert run(model, samples) == run(model, samples)
    assert torch.equal(samples[0], inputs)
    assert torch.equal(samples[1], labels)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_noisy_samples_are_made_once_and_only_for_the_same_samples(model, samples, monkeypatch):
    monkeypatch.setattr(noisy_accuracy, "_NOISY", noisy_accuracy._Store(limit=2 * samples[0].nbytes))
    calls = []
    noise = NOISES_BY_NAME["gaussian"]
    counted = replace(noise, function=lambda *arguments: calls.append(1) or noise.function(*arguments))
    monkeypatch.setattr(noisy_accuracy, "NOISES", {"gaussian": counted})
    first = run(model, samples, ["gaussian"], (1, 2, 3))
    assert len(calls) == 3
    # Two sets fit; the third is made anew, with the same result.
    assert run(model, samples, ["gaussian"], (1, 2, 3)) == first
    assert len(calls) == 4
    shifted = samples[0].roll(1, 0), samples[1]
    assert run(model, shifted, ["gaussian"], (1,))[1]["noise:gaussian:1"] != first[1]["noise:gaussian:1"]
    assert len(calls) == 5
    monkeypatch.setattr(noisy_accuracy, "_NOISY", noisy_accuracy._Store(limit=0))
    assert run(model, samples, ["gaussian"], (1, 2, 3)) == first
    assert len(calls) == 8


def test_noise_on_events_takes_the_recordings_of_the_samples():
    pytest.importorskip("tonic", reason="tonic (extra 'events') is not installed")
    data = load_dataset("randman", sizes=Sizes(1, 1, 9))
    counter = Brightness()

    def sweep(count, recordings):
        inputs, labels = data.test.inputs[:count], torch.zeros(count, dtype=torch.long)
        encoder = lambda x, g: encode("frames", x, 100, g)  # noqa: E731
        return robustness(counter, "randman", inputs, labels, encoder, ["event-drop"], (5,), 4, None, recordings)

    _, prints = sweep(6, data.test.recordings)
    assert prints["noise:event-drop:5"] != prints["noise:clean"]
    assert counter.samples == 12
    with pytest.raises(InputError, match="the samples have none"):
        sweep(5, None)


def test_bad_requests(model, samples):
    with pytest.raises(KeyError, match="did you mean 'gaussian'"):
        run(model, samples, noises=["gausian"])
    with pytest.raises(InputError, match="severity: 6 is not one of 0"):
        run(model, samples, severities=[6])
    with pytest.raises(InputError, match="no samples"):
        run(model, (samples[0][:0], samples[1][:0]))
    with pytest.raises(InputError, match="the Brightness has none"):
        run(Brightness(), samples, noises=["spike-deletion"])


def test_settings_name_each_noise_and_severity_once():
    with pytest.raises(InputError, match="noises: named twice: gaussian"):
        Robustness(noises=("gaussian", "shot", "gaussian"))
    with pytest.raises(InputError, match="severities: named twice: 3"):
        Robustness(severities=(3, 1, 3))
    with pytest.raises(InputError, match=r"noises: .*did you mean 'gaussian'"):
        Robustness(noises=("gausian",))


def test_a_seed_may_meet_several_draws(model, samples):
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.constant_(module.weight, 3.0)  # so that neurons fire
    one, prints = run(model, samples)
    several, more = robustness(model, "made-up", *samples, encode_step, NOISES, (1, 3), 20, draws=3)
    assert prints.items() <= more.items()
    assert {f"noise:{noise}:{s}:{draw}" for noise in NOISES for s in (1, 3) for draw in (1, 2)} == more.keys() - prints
    assert len(set(more.values())) == len(more)
    for first, row in zip(one, several, strict=True):
        if row["severity"] == 0:
            assert row == first
        else:
            assert len(row["values"]) == 3
            assert row["values"][0] == first["value"]  # further draws leave the first as it was
            assert row["value"] == pytest.approx(sum(row["values"]) / 3)
    assert any(len(set(row["values"])) > 1 for row in several if row["severity"])


def test_correctness_of_every_sample_on_request(model, samples):
    rows, _ = robustness(model, "made-up", *samples, encode_step, NOISES, (3,), 20, draws=2, per_sample=True)
    assert not any("correct" in row for row in run(model, samples)[0])
    for row in rows:
        bits = unpack_correct(row["correct"]).reshape(-1, 50)
        assert bits.mean() == pytest.approx(row["value"])
        assert bits.mean(1).tolist() == pytest.approx(row.get("values", [row["value"]]))


@pytest.fixture
def attacks(monkeypatch):
    """Three attacks whose successes are known, and a noise that is none."""

    def fooling(levels):
        """Turns the samples whose own level is within reach to the other side of one half."""

        def perturb(case, level, generator):
            reached = torch.tensor(levels) <= level
            inputs = torch.where(reached[:, None], 1 - case.inputs, case.inputs)
            return nullcontext(replace(case, inputs=inputs, search=SearchLog(reached.long() - 1, 20, 0.25)))

        return perturb

    never = math.inf
    rows = {
        "a": replace(NOISES_BY_NAME["apgd-linf"], name="a", function=fooling([0.01, 0.03, never, never])),
        "b": replace(NOISES_BY_NAME["apgd-linf"], name="b", function=fooling([0.03, 0.02, never, 0.03])),
        "other": replace(NOISES_BY_NAME["pgd-l2"], name="other", function=fooling([0, 0, 0, 0])),
        "gaussian": NOISES_BY_NAME["gaussian"],
    }
    monkeypatch.setattr(noisy_accuracy, "NOISES", rows)
    return rows


BRIGHT = torch.tensor([[0.1], [0.9], [0.1], [0.9]]), torch.tensor([0, 1, 0, 1])


def accuracies(rows, noise):
    return {row["severity"]: row["value"] for row in rows if row["metric"] == "accuracy" and row["noise"] == noise}


def test_the_worst_of_all_attacks_is_told_per_sample_and_within_every_smaller_ball(attacks):
    rows, _ = robustness(
        Brightness(), "x", *BRIGHT, lambda x, g: x[None], list(attacks), (2, 3, 4), 4, per_sample=True, draws=2
    )  # levels 0.01, 0.02, 0.03
    assert accuracies(rows, "a") == {0: 1.0, 2: 0.75, 3: 0.75, 4: 0.5}
    assert accuracies(rows, "b") == {0: 1.0, 2: 1.0, 3: 0.75, 4: 0.25}
    assert accuracies(rows, "worst-linf") == {0: 1.0, 2: 0.75, 3: 0.5, 4: 0.25}
    bits = {
        (row["noise"], row["severity"]): unpack_correct(row["correct"]) for row in rows if row["metric"] == "accuracy"
    }
    assert bits["worst-linf", 3].tolist() == [False, False, True, True]
    for severity in (2, 3, 4):
        for attack in ("a", "b"):
            assert not (bits["worst-linf", severity] & ~bits[attack, severity]).any()
    assert not any(row["noise"] in ("worst-l2", "worst-None") for row in rows)


def test_the_worst_over_severities_follows_levels_not_numbers(attacks):
    falling = {"linf": (0.045, 0.03, 0.02, 0.01, 0.002)}
    rows, _ = robustness(Brightness(), "x", *BRIGHT, lambda x, g: x[None], ["a", "b"], (2, 3, 4), 4, budgets=falling)
    assert accuracies(rows, "worst-linf") == {0: 1.0, 2: 0.25, 3: 0.5, 4: 0.75}


def test_attacks_tell_accuracy_after_each_number_of_steps(attacks):
    def perturb(case, level, generator):
        return nullcontext(replace(case, search=SearchLog(torch.tensor([0, 1, 7, -1]), 20, None)))

    attacks["a"] = replace(attacks["a"], function=perturb)
    rows, _ = robustness(Brightness(), "x", *BRIGHT, lambda x, g: x[None], ["a", "gaussian"], (3,), 4)
    curve = {row["point"]["steps"]: row["value"] for row in rows if row["metric"] == "accuracy_after_steps"}
    assert curve == {1: 0.5, 2: 0.5, 5: 0.5, 10: 0.25, 20: 0.25}
    assert not any(row["metric"] == "zero_gradients" for row in rows)
    rows, _ = robustness(Brightness(), "x", *BRIGHT, lambda x, g: x[None], ["b"], (3,), 4)
    assert [row["value"] for row in rows if row["metric"] == "zero_gradients"] == [0.25]


def test_budgets_take_the_place_of_an_attacks_levels(attacks):
    budget = {"linf": (0.03, 0.03, 0.03, 0.03, 0.03)}
    rows, _ = robustness(Brightness(), "x", *BRIGHT, lambda x, g: x[None], ["a"], (1,), 4, budgets=budget)
    assert accuracies(rows, "a") == {0: 1.0, 1: 0.5}
    assert Robustness(noises=("apgd-linf", "gaussian"), budgets=budget).determines()["noises"] == {
        "apgd-linf": {"domain": "adversary", "levels": [0.03] * 5},
        "gaussian": {"domain": "input", "levels": list(NOISES_BY_NAME["gaussian"].levels)},
    }


def test_attacks_of_one_threat_need_one_budget(attacks):
    attacks["b"] = replace(attacks["b"], levels=(0.1, 0.2, 0.3, 0.4, 0.5))
    with pytest.raises(InputError, match=r"attacks a, b have different levels; .*budgets.linf"):
        robustness(Brightness(), "x", *BRIGHT, lambda x, g: x[None], ["a", "b"], (3,), 4)
    with pytest.raises(InputError, match=r"budgets.linf.3: "):
        Robustness(budgets={"linf": (0.1, 0.2, 0.3, -1.0, 0.5)})


def test_options_that_are_not_used_are_not_in_keys():
    plain = Robustness(noises=("gaussian",))
    assert plain.to_dict() == {"noises": ["gaussian"], "severities": [1, 2, 3, 4, 5], "samples": None}
    used = Robustness(noises=("gaussian",), draws=3, per_sample=True, budgets={"linf": (0.1, 0.2, 0.3, 0.4, 0.5)})
    assert Robustness.model_validate(used.to_dict(), strict=False) == used
    assert used.to_dict() != plain.to_dict()


CURVE = {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.5, 4: 0.3, 5: 0.1}
BASELINE = {0: 0.8, 1: 0.7, 2: 0.6, 3: 0.4, 4: 0.2, 5: 0.1}


def test_mean_accuracy_leaves_the_clean_one_out():
    assert mean_accuracy(CURVE) == pytest.approx((0.8 + 0.7 + 0.5 + 0.3 + 0.1) / 5)


def test_normalised_area_by_hand():
    # Margins 0.8 0.7 0.6 0.4 0.2 0: trapezoids 0.75 + 0.65 + 0.5 + 0.3 + 0.1 = 2.3 of 0.8 * 5.
    assert normalised_area(CURVE, chance=0.1) == pytest.approx(2.3 / 4)
    assert normalised_area({0: 0.9, 3: 0.9, 5: 0.9}, chance=0.1) == pytest.approx(1.0)
    assert normalised_area({0: 0.9, 5: 0.1}, chance=0.1) == pytest.approx(0.5)
    assert math.isnan(normalised_area({0: 0.1, 5: 0.1}, chance=0.1))


def test_half_margin_severity_by_hand():
    # Half the margin is gone at 0.5, which is severity 3; with chance 0.5 at 0.7, which is severity 2.
    assert half_margin_severity(CURVE, chance=0.1) == pytest.approx(3.0)
    assert half_margin_severity(CURVE, chance=0.5) == pytest.approx(2.0)
    assert half_margin_severity({0: 1.0, 2: 0.0}, chance=0.5) == pytest.approx(0.5)
    assert half_margin_severity({0: 0.9, 5: 0.8}, chance=0.1) is None
    assert math.isnan(half_margin_severity({0: 0.1, 5: 0.1}, chance=0.1))


def test_corruption_errors_by_hand():
    # Errors 0.2 0.3 0.5 0.7 0.9 = 2.6 against 0.3 0.4 0.6 0.8 0.9 = 3.0; added 2.1 against 2.0.
    assert corruption_error(CURVE, BASELINE) == pytest.approx(2.6 / 3.0)
    assert relative_corruption_error(CURVE, BASELINE) == pytest.approx(2.1 / 2.0)
    assert corruption_error(BASELINE, BASELINE) == 1
    assert math.isnan(relative_corruption_error(CURVE, {0: 0.5, 1: 0.5, 2: 0.5, 3: 0.5, 4: 0.5, 5: 0.5}))
    with pytest.raises(ValueError, match="other severities"):
        corruption_error(CURVE, {0: 0.5, 1: 0.4})


def test_mean_over_noises_by_hand():
    curves, baseline = {"a": CURVE, "b": BASELINE}, {"a": BASELINE, "b": BASELINE}
    assert mean_over_noises(corruption_error, curves, baseline) == pytest.approx((2.6 / 3.0 + 1) / 2)
    with pytest.raises(ValueError, match="they differ in: b"):
        mean_over_noises(corruption_error, curves, {"a": BASELINE})


@pytest.mark.parametrize("name", ["spikingjelly", "snntorch", "norse"])
@pytest.mark.parametrize("neuron", ["lif", "stl"])
def test_frameworks_agree_on_the_same_weights(name, neuron, samples):
    """The same noise on matched networks gives the same accuracy, in every domain."""
    pytest.importorskip({"norse": "norse.torch", "spikingjelly": "spikingjelly.activation_based"}.get(name, name))
    noises = ("shot", "spike-jitter", "bit-flips", "threshold-mismatch", "decay-mismatch", "dead-neurons")
    results = []
    for adapter in (get_adapter("reference"), get_adapter(name)):
        built = build_network("mlp", adapter, NEURONS[neuron], (1, 6, 6), 3, 0, options={"hidden": (30,)})
        for module in built.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                nn.init.constant_(module.weight, 3.0)
        results.append(robustness(built, "made-up", *samples, encode_step, noises, (3,), 20, adapter))
    assert results[0] == results[1]
