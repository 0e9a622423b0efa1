"""What Neuronal Competition Groups claim."""

from __future__ import annotations

from spikemark.core.claims import Claim, Contrast, contrast

_NCG = "Goupy, Tirilly and Bilasco, NeurIPS 2024"
_NO_FIGURES = "no figures found"


def _ncg(first: str, second: str) -> tuple[Contrast, ...]:
    """On every data set, whose systems differ in their published hyper-parameters."""
    return tuple(
        contrast(f"{first}-{data}", f"{second}-{data}", variant="first-spike")
        for data in ("mnist", "fashion", "cifar10")
    )


CLAIMS = (
    Claim(
        "ncg-over-s2-stdp", "Neuronal Competition Groups beat S2-STDP alone", _NCG, _NO_FIGURES, _ncg("ncg", "s2-stdp")
    ),
    Claim("ncg-over-pcn", "Groups of five beat paired competing neurons", _NCG, _NO_FIGURES, _ncg("ncg", "pcn")),
    Claim(
        "two-compartment-thresholds",
        "Two thresholds per neuron, one to learn and one to infer with, beat a single one",
        _NCG,
        _NO_FIGURES,
        (*_ncg("ncg", "ncg-cr1"), *_ncg("ncg", "ncg-nocr")),
    ),
    Claim("labelling", "Labelling neurons as targets or not helps", _NCG, _NO_FIGURES, _ncg("ncg", "ncg-nolabel")),
)
