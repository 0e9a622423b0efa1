"""Both readings of the joint decision: what they decide with, and that members learn as if alone."""

import torch

from spikemark import SYSTEMS, get_adapter
from spikemark.networks.build import build_network
from spikemark.training.bptt import Bptt, BpttLearner
from spikemark.training.rule import Protocol

SHAPE = (1, 8, 8)
PROTOCOL = Protocol(2, 8, "direct", 3)


def build(name, seed=0, **further):
    row = SYSTEMS[name]
    return build_network(
        row.network, get_adapter("reference"), row.spec, SHAPE, 10, seed, options={**row.options, **further}
    )


def batch():
    random = torch.Generator().manual_seed(0)
    return torch.rand(3, 8, *SHAPE, generator=random), torch.arange(8)


def test_the_readout_sums_a_linear_map_of_every_stage():
    model = build("convnet-stl-joint-readout").eval()
    spikes = []
    for name in ("conv1", "conv2", "output"):
        getattr(model, name).register_forward_hook(lambda module, args, out: spikes.append(out.flatten(2)))
    inputs, _ = batch()
    out = model(inputs)
    expected = sum(s @ d.weight.T for s, d in zip(spikes, model.decisions, strict=True))
    torch.testing.assert_close(out, expected)
    assert [d.in_features for d in model.decisions] == [8 * 4 * 4, 16 * 2 * 2, 100]


def test_the_vote_is_the_mean_of_members_that_differ():
    model = build("mlp-stl-joint-vote").eval()
    for layer in model.spiking_layers():
        layer.raw_threshold.data.fill_(0.05)  # so that outputs fire before any training
    inputs, _ = batch()
    members = [member(inputs) for member in model]
    torch.testing.assert_close(model(inputs), torch.stack(members).mean(0))
    assert not torch.equal(members[0], members[1])
    assert len(members) == 3


def test_members_train_exactly_as_each_would_alone():
    row, (inputs, labels) = SYSTEMS["mlp-stl-joint-vote"], batch()
    together = build("mlp-stl-joint-vote")
    alone = [build("mlp-stl-joint-vote") for _ in range(3)]
    learners = [BpttLearner(model[i], Bptt(), PROTOCOL, 0) for i, model in enumerate(alone)]
    joint = BpttLearner(together, row.rule, PROTOCOL, 0)
    for _ in range(3):
        loss, outputs = joint.learn(inputs, labels)
        apart = [learner.learn(inputs, labels) for learner in learners]
        torch.testing.assert_close(loss, sum(one for one, _ in apart))
        torch.testing.assert_close(outputs, torch.stack([out for _, out in apart]).mean(0))
    for i, model in enumerate(alone):
        for ours, theirs in zip(together[i].parameters(), model[i].parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
