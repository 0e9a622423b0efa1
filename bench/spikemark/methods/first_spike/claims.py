"""What Neuronal Competition Groups claim."""

from __future__ import annotations

from spikemark.core.claims import Claim, Contrast, contrast

_NCG = "Goupy, Tirilly and Bilasco, NeurIPS 2024"
_NO_FIGURES = "no figures found"
_SETUP = (
    "every arm with the hyper-parameters of the whole method on Fashion-MNIST (the publication tunes each), 30 epochs "
    "without early stopping"
)
_WHERE = ("fashion-mnist",)


def _ncg(first: str, second: str) -> tuple[Contrast, ...]:
    return (contrast(f"{first}-fashion", f"{second}-fashion", variant="first-spike"),)


def _claim(name: str, statement: str, contrasts: tuple[Contrast, ...]) -> Claim:
    return Claim(name, statement, _NCG, _NO_FIGURES, contrasts, _SETUP, _WHERE)


CLAIMS = (
    _claim("ncg-over-s2-stdp", "Neuronal Competition Groups beat S2-STDP alone", _ncg("ncg", "s2-stdp-alike")),
    _claim("ncg-over-pcn", "Groups of five beat paired competing neurons", _ncg("ncg", "pcn-alike")),
    _claim(
        "two-compartment-thresholds",
        "Two thresholds per neuron, one to learn and one to infer with, beat a single one",
        (*_ncg("ncg", "ncg-cr1-alike"), *_ncg("ncg", "ncg-nocr")),
    ),
    _claim("labelling", "Labelling neurons as targets or not helps", _ncg("ncg", "ncg-nolabel-alike")),
)
