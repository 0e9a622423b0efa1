"""A data set from arrays: images of one bright row or one bright column."""

import numpy as np

from spikemark import dataset


@dataset("stripes", classes=2, shape=(1, 8, 8), licence="computed here", source="made for the documentation")
def stripes():
    random = np.random.default_rng(0)
    images = 0.3 * random.random((500, 1, 8, 8), dtype=np.float32)
    labels = random.integers(0, 2, 500)
    for image, label, place in zip(images, labels, random.integers(0, 8, 500), strict=True):
        image[0, place if label else slice(None), slice(None) if label else place] += 0.7
    return {"train": (images[:400], labels[:400]), "test": (images[400:], labels[400:])}
