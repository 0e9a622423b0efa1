"""A data set from a torch `Dataset`: a bright dot in one of four quarters."""

import torch
from torch.utils.data import Dataset

from spikemark import dataset, from_torch


class Quarters(Dataset):
    def __init__(self, count, seed):
        self.count, self.seed = count, seed

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        random = torch.Generator().manual_seed(self.seed + index)
        image, label = 0.3 * torch.rand((1, 8, 8), generator=random), index % 4
        row, column = torch.randint(0, 4, (2,), generator=random).tolist()
        image[0, row + 4 * (label // 2), column + 4 * (label % 2)] = 1.0
        return image, label


@dataset("quarters", classes=4, shape=(1, 8, 8), licence="computed here", source="made for the documentation")
def quarters():
    return from_torch(Quarters(400, 0), Quarters(100, 1000))
