"""Data sets and encoders. Knows nothing of networks, noise or training."""

from spikemark.data import encoders  # noqa: F401 (registers its rows)
from spikemark.data.cards import CARDS
from spikemark.registry import register_all

register_all("dataset", {card.name: card for card in CARDS})
