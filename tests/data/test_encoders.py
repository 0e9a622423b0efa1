import pytest
import torch

from spikemark.core.streams import generator
from spikemark.data.encoders import ENCODERS, encode, encoder
from spikemark.errors import InputError


@pytest.fixture
def images():
    return torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["direct", "poisson", "latency"])
def test_shape_type_and_determinism(name, images):
    before = images.clone()
    out = encode(name, images, 6, generator("encoding", "x"))
    assert out.shape == (6, 5, 1, 4, 4)
    assert out.dtype == torch.float32
    assert torch.equal(out, encode(name, images, 6, generator("encoding", "x")))
    assert torch.equal(images, before)


def test_direct_copies_nothing(images):
    out = encode("direct", images, 8, generator("e"))
    assert out.data_ptr() == images.data_ptr()
    assert out.stride(0) == 0


def test_poisson_rate_is_the_pixel():
    images = torch.tensor([[0.0, 0.2, 0.7, 1.0]])
    out = encode("poisson", images, 20_000, generator("e"))
    assert set(out.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(out.mean(0)[0], images[0], atol=0.015, rtol=0)
    assert out[:, 0, 0].sum() == 0
    assert out[:, 0, 3].min() == 1
    assert not torch.equal(out, encode("poisson", images, 20_000, generator("other")))


def test_latency_by_hand():
    # T = 5: round((1 - x) * 4) for x = 1, 0.75, 0.5, 0.01; a zero stays silent.
    out = encode("latency", torch.tensor([[1.0, 0.75, 0.5, 0.01, 0.0]]), 5, generator("e"))
    assert out[:, 0].T.tolist() == [
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0],
    ]


def test_latency_of_one_step(images):
    assert torch.equal(encode("latency", images, 1, generator("e"))[0], (images > 0).float())


def test_frames_keep_spikes_and_merge_by_maximum():
    inputs = torch.tensor([[[0.0], [1.0], [0.0], [0.0], [1.0], [1.0]]])
    assert torch.equal(encode("frames", inputs, 6, generator("e"))[:, 0], inputs[0])
    assert encode("frames", inputs, 3, generator("e")).flatten().tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="steps: 4 does not divide the 6 time steps"):
        encode("frames", inputs, 4, generator("e"))
    with pytest.raises(ValueError, match="does not divide the 0 time steps"):
        encode("frames", torch.ones(2, 3), 3, generator("e"))


def test_bad_requests(images):
    with pytest.raises(ValueError, match="steps: 0 is below 1"):
        encode("direct", images, 0, generator("e"))
    with pytest.raises(KeyError, match="did you mean 'poisson'"):
        encode("poison", images, 3, generator("e"))


def test_a_constant_encoder_says_so(images):
    assert {"direct", "poisson", "latency", "frames"} <= set(ENCODERS)
    for name in ("direct", "poisson", "latency"):
        steps = encode(name, images, 3, generator("e"))
        assert ENCODERS[name].constant == bool((steps == steps[0]).all())


def test_poisson_draws_sample_after_sample(images):
    whole, random = encode("poisson", images, 7, generator("e")), generator("e")
    parts = [encode("poisson", part, 7, random) for part in images.split(2)]
    assert torch.equal(torch.cat(parts, dim=1), whole)
    assert whole.is_contiguous()


@pytest.mark.usefixtures("registries_as_before")
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda inputs, steps, g: inputs.expand(2, *inputs.shape), r"gave float32 of shape \[2, 5, 1, 4, 4\]"),
        (lambda inputs, steps, g: inputs, r"gave float32 of shape \[5, 1, 4, 4\]; expected float32 of shape \[T = 3"),
        (lambda inputs, steps, g: inputs.expand(3, *inputs.shape) > 0.5, "gave bool of shape"),
        (lambda inputs, steps, g: inputs.numpy(), "gave a ndarray; expected float32"),
        (lambda inputs, steps, g: torch.zeros(3, 5), r"gave float32 of shape \[3, 5\]; expected"),
    ],
)  # fmt: skip
def test_what_an_encoder_gives_is_checked(images, function, message):
    encoder("mine")(function)
    with pytest.raises(InputError, match=f"^encoder 'mine': {message}") as caught:
        encode("mine", images, 3, generator("e"))
    assert "\n" not in str(caught.value)
