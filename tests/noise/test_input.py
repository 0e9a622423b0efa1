import pytest
import torch

from spikemark.core.streams import generator
from spikemark.errors import InputError
from spikemark.noise import input as images

GREY = torch.full((2, 1, 60, 60), 0.5)


def test_gaussian_has_the_named_deviation():
    delta = images.gaussian(GREY, 0.2, generator("a")) - GREY
    assert delta.std().item() == pytest.approx(0.2, rel=0.05)
    assert abs(delta.mean().item()) < 0.01


def test_uniform_has_the_named_half_width():
    delta = images.uniform(GREY, 0.3, generator("a")) - GREY
    assert delta.abs().max().item() == pytest.approx(0.3, rel=0.01)
    assert delta.std().item() == pytest.approx(0.3 / 3**0.5, rel=0.05)


def test_salt_and_pepper_fractions():
    out = images.salt_and_pepper(GREY, 0.2, generator("a"))
    assert (out == 0).float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert (out == 1).float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert ((out == 0) | (out == 1) | (out == 0.5)).all()


def test_shot_is_poisson():
    out = images.shot(GREY, 10.0, generator("a"))
    assert torch.equal((out * 10).round(), out * 10)
    assert out.mean().item() == pytest.approx(0.5, abs=0.01)
    assert out.var().item() == pytest.approx(0.5 / 10, rel=0.1)
    assert images.shot(torch.zeros(1, 1, 4, 4), 10.0, generator("a")).sum() == 0


def test_speckle_is_in_proportion_to_the_value():
    delta = images.speckle(GREY, 0.4, generator("a")) - GREY
    assert delta.std().item() == pytest.approx(0.2, rel=0.05)
    assert torch.equal(images.speckle(torch.zeros(1, 1, 4, 4), 0.4, generator("a")), torch.zeros(1, 1, 4, 4))


def test_contrast_and_brightness_by_hand():
    image = torch.tensor([[[[0.2, 0.6]]]])
    torch.testing.assert_close(images.contrast(image, 0.5, generator("a")), torch.tensor([[[[0.3, 0.5]]]]))
    torch.testing.assert_close(images.brightness(image, 0.3, generator("a")), torch.tensor([[[[0.5, 0.9]]]]))


def test_contrast_of_colour_images_is_about_their_own_mean():
    image = torch.rand(4, 3, 6, 6, generator=generator("colours"))
    by_hand = torch.stack([one.mean() + 0.35 * (one - one.mean()) for one in image])
    torch.testing.assert_close(images.contrast(image, 0.35, generator("a")), by_hand)


def test_contrast_of_grey_images_is_kornias():
    from kornia.enhance import adjust_contrast_with_mean_subtraction

    image = torch.rand(4, 1, 9, 9, generator=generator("greys"))
    assert torch.equal(images.contrast(image, 0.65, generator("a")), adjust_contrast_with_mean_subtraction(image, 0.65))


def point(side=21):
    image = torch.zeros(3, 1, side, side)
    image[:, :, side // 2, side // 2] = 1
    return image


def test_blur_spreads_a_point_evenly_and_keeps_its_sum():
    out = images.gaussian_blur(point(), 0.1, generator("a"))
    assert out.sum((1, 2, 3)).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    torch.testing.assert_close(out, out.transpose(2, 3))
    clock = torch.arange(21.0) - 10
    variance = (out[0, 0].sum(0) * clock**2).sum().item()
    assert variance == pytest.approx((0.1 * 21) ** 2, rel=0.05)


def test_motion_blur_keeps_the_sum_and_takes_its_own_direction():
    out = images.motion_blur(point(), 0.4, generator("a"))
    assert out.sum((1, 2, 3)).tolist() == pytest.approx([1, 1, 1], abs=1e-2)
    assert not torch.allclose(out[0], out[1], atol=1e-3)


def test_occlusion_is_one_black_square_inside():
    out = images.occlusion(torch.ones(50, 1, 20, 20), 0.25, generator("a"))
    assert (out == 0).sum((1, 2, 3)).tolist() == [25] * 50
    rows = (out[:, 0] == 0).any(2).sum(1)
    assert rows.tolist() == [5] * 50
    assert len({tuple(map(tuple, (image[0] == 0).nonzero().tolist())) for image in out}) > 20


def test_rotation_goes_both_ways_by_the_named_angle():
    image = torch.zeros(40, 1, 41, 41)
    image[:, :, 20, 35] = 1  # 15 pixels to the right of the centre
    out = images.rotation(image, 90.0, generator("a"))
    at_top, at_bottom = out[:, 0, 5, 20] > 0.5, out[:, 0, 35, 20] > 0.5
    assert (at_top ^ at_bottom).all()
    assert 5 < at_top.sum() < 35


def test_translation_moves_by_the_named_distance():
    out = images.translation(point(41), 0.2, generator("a"))
    clock = torch.arange(41.0) - 20
    x, y = (out[:, 0].sum(1) * clock).sum(1), (out[:, 0].sum(2) * clock).sum(1)
    assert torch.hypot(x, y).tolist() == pytest.approx([0.2 * 41] * 3, rel=0.02)


@pytest.mark.parametrize("function", [images.contrast, images.gaussian_blur, images.occlusion, images.rotation])
def test_only_images(function):
    with pytest.raises(InputError, match=r"takes images \[N, C, H, W\]"):
        function(torch.rand(3, 10), 0.2, generator("a"))
