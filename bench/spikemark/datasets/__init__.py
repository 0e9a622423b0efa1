"""Data sets: a registry of cards, `load_dataset` and encoders. Knows nothing of networks, noise or training."""

from spikemark.datasets.binning import Binning
from spikemark.datasets.card import Card, File, Sizes
from spikemark.datasets.cards import DATASETS
from spikemark.datasets.encoders import ENCODERS, encode
from spikemark.datasets.errors import DataError
from spikemark.datasets.loading import Dataset, Split, load_dataset
from spikemark.datasets.manage import data_table, fetch, verify
from spikemark.datasets.recordings import Recordings

__all__ = [
    "DATASETS",
    "ENCODERS",
    "Binning",
    "Card",
    "DataError",
    "Dataset",
    "File",
    "Recordings",
    "Sizes",
    "Split",
    "data_table",
    "encode",
    "fetch",
    "load_dataset",
    "verify",
]
