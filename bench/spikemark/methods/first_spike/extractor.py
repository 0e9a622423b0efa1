"""The unsupervised feature extractor in front of a first-spike classifier: one spiking convolution, trained by STDP.

Difference of Gaussians, split into on and off; every feature scaled to 0..1 over the training split; latency code
``t = max(0, 1 - x)``; filters; earliest spike of each pooling window. After the extractor that Goupy, Tirilly and
Bilasco (NeurIPS 2024) use; the first layer of Falez, Tirilly, Bilasco, Devienne and Boulet (IJCNN 2019) before it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from spikemark.core.options import Options
from spikemark.core.streams import fingerprint, generator
from spikemark.errors import InputError
from spikemark.methods.first_spike.convolution import learn_patches, pooled_spikes
from spikemark.methods.first_spike.events import Floats, check_unit
from spikemark.methods.first_spike.feature_cache import STORES

_CHUNK = 256
_MOST_TRAINED = 32


class Extraction(Options):
    """How the extractor is built and trained; the defaults are the published ones for MNIST.

    Attributes:
        filters: number of filters.
        size: side of a filter.
        pool: side of a pooling window.
        epochs: passes over the training split, one random patch per image.
        goal: the spike time that thresholds seek; 0.75 for MNIST, 0.80 for Fashion-MNIST.
        threshold: of every filter at the start.
        floor: below which no threshold falls.
        threshold_rate: eta of the thresholds at the start.
        rate: A of the weights at the start.
        annealing: factor on both rates after each epoch.
        beta: of the multiplicative rule.
    """

    filters: Annotated[int, Field(ge=2)] = 128
    size: Annotated[int, Field(ge=1)] = 5
    pool: Annotated[int, Field(ge=1)] = 4
    epochs: Annotated[int, Field(ge=0)] = 100
    goal: Annotated[float, Field(ge=0, le=1)] = 0.75
    threshold: float = 5.0
    floor: float = 2.0
    threshold_rate: float = 1.0
    rate: float = 0.1
    annealing: float = 0.95
    beta: float = 1.0


class Filters(nn.Conv2d):
    """The convolution's weights, drawn from a normal distribution within 0..1."""

    def reset_parameters(self) -> None:
        """Draw the weights anew, mean 0.5 and deviation 0.01."""
        with torch.no_grad():
            self.weight.normal_(0.5, 0.01).clamp_(0, 1)


class FeatureExtractor(nn.Module):
    """Images ``[B, C, H, W]`` in 0..1 to spike times of features ``[B, features]``.

    Colour channels are filtered each on its own (ours; the published extractor whitens colour images).

    Args:
        input_shape: ``(C, H, W)``.
        extraction: see there.

    Raises:
        InputError: the samples are no images, or too small for one pooling window.
    """

    low: Tensor
    high: Tensor
    thresholds: Tensor
    blob: Tensor

    def __init__(self, input_shape: tuple[int, ...], extraction: Extraction) -> None:
        super().__init__()
        if len(input_shape) != 3:
            raise InputError(f"dataset: first-spike networks take images (C, H, W), not samples of shape {input_shape}")
        colours, height, width = input_shape
        self.extraction = extraction
        span = extraction.size - 1
        self.windows = ((height - span) // extraction.pool, (width - span) // extraction.pool)
        if min(self.windows) < 1:
            least = span + extraction.pool
            raise InputError(f"dataset: images of {height} x {width} are smaller than one window of {least} x {least}")
        self.filters = Filters(2 * colours, extraction.filters, extraction.size, bias=False).requires_grad_(False)
        self.register_buffer("blob", _difference_of_gaussians())
        self.register_buffer("low", torch.zeros(2 * colours, height, width))
        self.register_buffer("high", torch.ones(2 * colours, height, width))
        self.register_buffer("thresholds", torch.full((extraction.filters,), extraction.threshold))

    @property
    def features(self) -> int:
        """Number of features of a sample."""
        return self.windows[0] * self.windows[1] * self.extraction.filters

    def contrast(self, images: Tensor) -> Tensor:
        """On and off responses ``[B, 2 C, H, W]``, not negative; edges are replicated."""
        margin = self.blob.shape[-1] // 2
        flat = images.reshape(-1, 1, *images.shape[-2:])
        response = F.conv2d(F.pad(flat, (margin,) * 4, mode="replicate"), self.blob).view_as(images)
        return torch.cat([response.clamp(min=0), (-response).clamp(min=0)], dim=1)

    def encode(self, images: Tensor) -> Tensor:
        """Spike times of the filters' input, ``[B, 2 C, H, W]``; 1 is silent.

        Raises:
            InputError: a value is outside 0..1 or NaN.
        """
        check_unit("inputs", images)
        span = self.high - self.low
        scaled = (self.contrast(images) - self.low) / torch.where(span > 0, span, torch.ones_like(span))
        return (1 - scaled).clamp(0, 1)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """See the class; computed on the CPU, whatever the device.

        Raises:
            InputError: a value is outside 0..1 or NaN.
        """
        check_unit("inputs", images)
        found = STORES.look_up(self._key(), images.detach().cpu(), self._extract, self.features)
        return found.to(images.device)

    def _extract(self, images: Tensor) -> Floats:
        out = np.empty((len(images), *self.windows, self.extraction.filters), dtype=np.float32)
        device = self.blob.device
        for start in range(0, len(images), _CHUNK):
            times = self.encode(images[start : start + _CHUNK].to(device)).cpu().numpy()
            pooled_spikes(
                times, self.taps(), self.thresholds.cpu().numpy(), self.extraction.pool, out[start : start + len(times)]
            )
        return out.reshape(len(images), self.features)

    def taps(self) -> Floats:
        """The weights as the kernels read them, ``[2 C, size, size, filters]``, a copy."""
        array: Floats = self.filters.weight.detach().permute(1, 2, 3, 0).contiguous().cpu().numpy()
        return array

    def _key(self) -> str:
        return fingerprint(self.filters.weight, self.thresholds, self.low, self.high)

    @torch.no_grad()
    def fit(self, images: Tensor, seed: int) -> None:
        """Scale and train on the training split; what this process has trained before is remembered.

        Args:
            images: ``[N, C, H, W]`` in 0..1.
            seed: of the run.
        """
        key = hashlib.sha256(
            f"{self.extraction.model_dump_json()}{seed}{fingerprint(images, *self.parameters())}".encode()
        )
        known = _TRAINED.get(key.hexdigest())
        if known is None:
            self._train(images, seed)
            known = {name: tensor.clone() for name, tensor in self.state_dict().items()}
            _TRAINED[key.hexdigest()] = known
            if len(_TRAINED) > _MOST_TRAINED:
                _TRAINED.popitem(last=False)
        self.load_state_dict(known)
        STORES.keep(self._key())

    def _train(self, images: Tensor, seed: int) -> None:
        check_unit("inputs", images)
        parts = [self.contrast(part.to(self.blob.device)) for part in images.split(_CHUNK)]
        self.low.copy_(torch.stack([part.amin(0) for part in parts]).amin(0))
        self.high.copy_(torch.stack([part.amax(0) for part in parts]).amax(0))
        del parts
        times = torch.cat([self.encode(part.to(self.blob.device)).cpu() for part in images.split(_CHUNK)]).numpy()
        random = generator("extractor", seed)
        taps, thresholds, plan = self.taps(), self.thresholds.double().cpu().numpy(), self.extraction
        rate, threshold_rate = plan.rate, plan.threshold_rate
        corners = [side * plan.pool for side in self.windows]
        for _ in range(plan.epochs):
            rows, columns = (torch.randint(side, (len(times),), generator=random).numpy() for side in corners)
            learn_patches(
                times, rows, columns, taps, thresholds, rate, threshold_rate, plan.goal, plan.floor, plan.beta
            )
            rate, threshold_rate = rate * plan.annealing, threshold_rate * plan.annealing
        self.filters.weight.copy_(torch.from_numpy(taps).permute(3, 0, 1, 2))
        self.thresholds.copy_(torch.from_numpy(thresholds))


_TRAINED: OrderedDict[str, dict[str, Tensor]] = OrderedDict()


def _difference_of_gaussians(size: int = 7, centre: float = 1.0, surround: float = 2.0) -> Tensor:
    """Centre minus surround ``[1, 1, size, size]``, each Gaussian of sum 1."""
    line = torch.arange(size, dtype=torch.float64) - size // 2
    squares = line[:, None] ** 2 + line[None, :] ** 2
    narrow, wide = (torch.exp(-squares / (2 * sigma**2)) for sigma in (centre, surround))
    return (narrow / narrow.sum() - wide / wide.sum()).float()[None, None]
