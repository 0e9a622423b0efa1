"""Data sets: a registry of cards, `load_dataset` and encoders. Knows nothing of networks, noise or training."""

from spikemark.datasets.cards import DATASETS, Card, DataError, File, Sizes
from spikemark.datasets.encoders import ENCODERS, encode
from spikemark.datasets.loading import Dataset, Split, load_dataset

__all__ = [
    "DATASETS",
    "ENCODERS",
    "Card",
    "DataError",
    "Dataset",
    "File",
    "Sizes",
    "Split",
    "encode",
    "load_dataset",
]
