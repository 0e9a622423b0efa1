"""Data sets: a registry of cards, `load_dataset` and encoders. Knows nothing of networks, noise or training."""

from spikemark.datasets.cards import DATASETS, Card, DataError, File, Sizes
from spikemark.datasets.encoders import ENCODERS, encode
from spikemark.datasets.loading import Dataset, Split, load_dataset
from spikemark.datasets.manage import data_table, fetch, verify

__all__ = [
    "DATASETS",
    "ENCODERS",
    "Card",
    "DataError",
    "Dataset",
    "File",
    "Sizes",
    "Split",
    "data_table",
    "encode",
    "fetch",
    "load_dataset",
    "verify",
]
