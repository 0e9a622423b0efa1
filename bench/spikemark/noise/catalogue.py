"""`NOISES`: every noise as one row. To add one, write its function in the module of its domain and a row here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from spikemark.noise import adversary, events, hardware, images, spikes
from spikemark.noise.adversary import attack
from spikemark.noise.case import Noise, on_inputs
from spikemark.noise.events import Make, on_events
from spikemark.noise.hardware import on_synapses
from spikemark.noise.spikes import on_spikes

_HENDRYCKS = "Hendrycks and Dietterich, ICLR 2019 (arXiv 1903.12261)"
_MU = "Mu and Gilmer 2019, MNIST-C (arXiv 1906.02337)"
_CUTOUT = "DeVries and Taylor 2017, Cutout (arXiv 1708.04552)"
_GU = "Gu et al., EventDrop, IJCAI 2021 (arXiv 2106.05836)"
_FENG = "Feng et al., Event density based denoising, Applied Sciences 10, 2020: background activity and hot pixels"
_PARK = "Park, Lee and Yoon, DAC 2021 (arXiv 2104.11169)"
_GILBERT = "Gilbert, Bell System Technical Journal 39, 1960"
_BUCHEL = "Büchel et al., Scientific Reports 11, 2021 (arXiv 2102.06408)"
_SPYROU = "Spyrou et al., Neuron fault tolerance in spiking neural networks, DATE 2021"
_STUTZ = "Stutz et al., MLSys 2021 (arXiv 2006.13977)"
_GOODFELLOW = "Goodfellow, Shlens and Szegedy, ICLR 2015 (arXiv 1412.6572); foolbox"
_MADRY = "Madry et al., ICLR 2018 (arXiv 1706.06083); foolbox"
_PAPERNOT = "Papernot, McDaniel and Goodfellow 2016 (arXiv 1605.07277)"
_ATHALYE = "Athalye, Carlini and Wagner, ICML 2018 (arXiv 1802.00420)"
_KRISHNAMOORTHI = "Krishnamoorthi 2018 (arXiv 1806.08342)"

Levels = tuple[float, float, float, float, float]
Map = Callable[[Tensor, float, torch.Generator], Tensor]


def _image(function: Map, name: str, levels: Levels, unit: str, summary: str, source: str) -> Noise:
    return Noise(name, "input", levels, unit, summary, source, on_inputs(function), kinds=("image",))


def _value(function: Map, name: str, levels: Levels, unit: str, summary: str, source: str) -> Noise:
    return Noise(name, "input", levels, unit, summary, source, on_inputs(function), kinds=("image", "points", "series"))


def _event(make: Make, name: str, levels: Levels, unit: str, summary: str, source: str, polarities: int = 1) -> Noise:
    return Noise(name, "events", levels, unit, summary, source, on_events(make), ("events",), polarities)


def _spike(function: Map, name: str, levels: Levels, unit: str, summary: str, source: str) -> Noise:
    return Noise(name, "spikes", levels, unit, summary, source, on_spikes(function))


def _synapse(function: Map, name: str, levels: Levels, unit: str, summary: str, source: str) -> Noise:
    return Noise(name, "hardware", levels, unit, summary, source, on_synapses(function))


_attack = partial(Noise, domain="adversary", kinds=("image", "points"))
_neuron = partial(Noise, domain="hardware")

# fmt: off
ROWS: tuple[Noise, ...] = (
    _value(images.gaussian, "gaussian", (0.1, 0.2, 0.3, 0.4, 0.5), "standard deviation of full scale",
           "Normal noise added to every value.", _HENDRYCKS),
    _value(images.uniform, "uniform", (0.2, 0.35, 0.5, 0.65, 0.8), "half-width of full scale",
           "Evenly distributed noise added to every value.", "as gaussian, with bounded noise"),
    _value(images.salt_and_pepper, "salt-and-pepper", (0.05, 0.1, 0.18, 0.28, 0.4), "fraction of values",
           "Values replaced by 0 or 1.", f"{_HENDRYCKS}: impulse noise"),
    _value(images.shot, "shot", (20.0, 5.0, 2.0, 0.8, 0.35), "photons at full scale",
           "Poisson noise of counted photons.", _HENDRYCKS),
    _value(images.speckle, "speckle", (0.4, 0.7, 1.1, 1.7, 2.5), "standard deviation of a value of 1",
           "Normal noise in proportion to the value.", _HENDRYCKS),
    _image(images.contrast, "contrast", (0.8, 0.65, 0.55, 0.45, 0.35), "factor",
           "Distance to the image's mean shrunk.", _HENDRYCKS),
    _image(images.brightness, "brightness", (0.07, 0.13, 0.18, 0.23, 0.28), "of full scale",
           "A constant added to every pixel.", _HENDRYCKS),
    _image(images.gaussian_blur, "gaussian-blur", (0.02, 0.035, 0.055, 0.08, 0.12), "standard deviation in sides",
           "Blurred evenly in all directions.", _HENDRYCKS),
    _image(images.motion_blur, "motion-blur", (0.1, 0.2, 0.3, 0.4, 0.5), "length in sides",
           "Smeared along a line in a random direction.", f"{_HENDRYCKS}, {_MU}"),
    _image(images.occlusion, "occlusion", (0.17, 0.3, 0.42, 0.55, 0.68), "side of the square in sides",
           "A black square at a random place.", _CUTOUT),
    _image(images.rotation, "rotation", (2.0, 5.0, 8.0, 11.0, 15.0), "degrees",
           "Turned either way.", _MU),
    _image(images.translation, "translation", (0.015, 0.03, 0.05, 0.07, 0.095), "distance in sides",
           "Shifted in a random direction.", _MU),
    _event(events.event_drop, "event-drop", (0.5, 0.65, 0.73, 0.78, 0.82), "fraction of events",
           "Events lost at random.", f"{_GU}; tonic DropEvent"),
    _event(events.drop_by_time, "drop-by-time", (0.2, 0.3, 0.37, 0.44, 0.5), "fraction of the recording",
           "All events of an interval lost.", f"{_GU}; tonic DropEventByTime"),
    _event(events.drop_by_area, "drop-by-area", (0.15, 0.25, 0.35, 0.45, 0.53), "side of the box in sides",
           "All events of a box of pixels lost.", f"{_GU}; tonic DropEventByArea"),
    _event(events.time_jitter, "time-jitter", (0.01, 0.03, 0.1, 0.3, 1.0), "standard deviation in windows",
           "Every event early or late by its own time.", "tonic TimeJitter"),
    _event(events.spatial_jitter, "spatial-jitter", (0.5, 1.2, 1.7, 2.2, 2.6), "standard deviation in pixels",
           "Every event at a wrong pixel nearby.", "tonic SpatialJitter"),
    _event(events.background, "background-noise", (0.1, 0.25, 0.4, 0.6, 0.8), "noise events an event",
           "Events from nowhere, evenly over sensor and time.", f"{_FENG}; tonic UniformNoise"),
    _event(events.hot_pixels, "hot-pixels", (0.005, 0.015, 0.04, 0.065, 0.09), "fraction of pixels",
           "Pixels that fire ten times as often as the others, always the same.", _FENG),
    _event(events.refractory_period, "refractory-period", (0.05, 0.08, 0.11, 0.15, 0.2), "windows",
           "Pixels that stay silent for a while after an event.", "as tonic RefractoryPeriod"),
    _event(events.polarity_flip, "polarity-flip", (0.1, 0.2, 0.3, 0.4, 0.5), "probability an event",
           "Events of the other polarity.", "as tonic RandomFlipPolarity, here event by event", polarities=2),
    _event(events.time_skew, "time-skew", (0.25, 0.6, 1.0, 1.6, 2.5), "relative error of the clock",
           "A clock that runs too slow or too fast.", "tonic TimeSkew"),
    _spike(spikes.deletion, "spike-deletion", (0.3, 0.5, 0.63, 0.73, 0.81), "probability a spike",
           "Spikes lost between layers.", _PARK),
    _spike(spikes.insertion, "spike-insertion", (0.06, 0.09, 0.12, 0.15, 0.18), "probability a silent step",
           "Spikes that nobody sent.", "the counterpart of spike-deletion"),
    _spike(spikes.jitter, "spike-jitter", (1.0, 2.0, 3.0, 4.0, 5.0), "steps",
           "Spikes come up to so many steps early or late.", f"{_PARK}, here with evenly distributed whole steps"),
    _spike(spikes.bursts, "burst-errors", (0.1, 0.15, 0.2, 0.25, 0.3), "fraction of time on a bad line",
           "Random bits for two steps on average, on every neuron's line.", _GILBERT),
    _synapse(hardware.weight_mismatch, "weight-mismatch", (0.4, 0.7, 1.0, 1.5, 2.0), "relative standard deviation",
             "Every weight off by its own factor.", _BUCHEL),
    _neuron("threshold-mismatch", levels=(0.3, 0.5, 0.7, 0.9, 1.2), unit="relative standard deviation",
            summary="Every neuron's threshold off by its own factor.", source=_BUCHEL,
            perturb=hardware.threshold_mismatch),
    _neuron("decay-mismatch", levels=(0.1, 0.2, 0.4, 0.7, 1.0), unit="relative standard deviation",
            summary="Every neuron's decay off by its own factor, within 0..1.", source=_BUCHEL,
            perturb=hardware.decay_mismatch),
    _synapse(hardware.quantisation, "weight-quantisation", (8.0, 6.0, 4.0, 3.0, 2.0), "bits a weight",
             "Weights rounded to few values, symmetric, one scale a layer.", _KRISHNAMOORTHI),
    _synapse(hardware.stuck_synapses, "stuck-synapses", (0.15, 0.27, 0.4, 0.53, 0.66), "fraction of synapses",
             "Weights stuck at zero.", "Lee and Lim 2023 (arXiv 2312.04840): SA0 faults"),
    _neuron("dead-neurons", levels=(0.15, 0.3, 0.5, 0.65, 0.8), unit="fraction of neurons",
            summary="Neurons that never fire.", source=_SPYROU, perturb=hardware.dead_neurons),
    _neuron("firing-neurons", levels=(0.03, 0.06, 0.09, 0.12, 0.15), unit="fraction of neurons",
            summary="Neurons that fire at every step.", source=f"{_SPYROU}: saturated neurons",
            perturb=hardware.firing_neurons),
    _synapse(hardware.bit_flips, "bit-flips", (0.005, 0.015, 0.03, 0.07, 0.13), "probability a bit",
             "Bits flipped in weights stored as 8-bit integers.", _STUTZ),
    _attack("fgsm", levels=(0.002, 0.01, 0.02, 0.03, 0.045), unit="of full scale, largest change",
            summary="One step along the sign of the surrogate gradient.", source=_GOODFELLOW,
            perturb=attack(adversary.fgsm, adversary.itself)),
    _attack("pgd-linf", levels=(0.002, 0.01, 0.02, 0.03, 0.045), unit="of full scale, largest change",
            summary="Ten steps up the loss, no value changed by more.", source=_MADRY,
            perturb=attack(adversary.pgd_linf, adversary.itself)),
    _attack("pgd-l2", levels=(0.002, 0.007, 0.014, 0.02, 0.028), unit="of full scale, root mean square",
            summary="Ten steps up the loss, all values together changed by no more.", source=_MADRY,
            perturb=attack(adversary.pgd_l2, adversary.itself)),
    _attack("random-sign", levels=(0.002, 0.01, 0.02, 0.03, 0.045), unit="of full scale, every change",
            summary="The control of fgsm: every value up or down by chance.", source="ours",
            perturb=on_inputs(adversary.random_sign)),
    _attack("transfer-framework", levels=(0.002, 0.01, 0.02, 0.03, 0.045), unit="of full scale, largest change",
            summary="pgd-linf, found on the same weights with another framework's neurons.", source=_PAPERNOT,
            perturb=attack(adversary.pgd_linf, adversary.other_framework)),
    _attack("transfer-surrogate", levels=(0.002, 0.01, 0.02, 0.03, 0.045), unit="of full scale, largest change",
            summary="pgd-linf, found on the same weights with another surrogate gradient.",
            source=f"ours, after {_ATHALYE}", perturb=attack(adversary.pgd_linf, adversary.other_surrogate)),
)
# fmt: on
