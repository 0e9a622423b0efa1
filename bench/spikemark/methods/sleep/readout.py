"""From firing rates to classes: standardise, principal components, one Gaussian per class.

The published chain (standardisation, PCA that keeps 95 % of the variance, whitening, quadratic discriminant analysis
with its covariances shrunk to ``0.9 S + 0.1 I``) as a module whose fitted numbers are buffers of fixed shape, so that
they travel in a state dict. scikit-learn fits the first two; the Gaussians are fitted here, since its analysis refuses
classes with fewer samples than components, which small training sets have.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

VARIANCE_KEPT = 0.95
SHRINKAGE = 0.1


class RateReadout(nn.Module):
    """Rates ``[B, neurons]`` to log-posteriors ``[B, classes]``, once fitted.

    Args:
        neurons: how many rates there are.
        classes: number of classes.
    """

    fitted: Tensor
    components: Tensor
    centre: Tensor
    projection: Tensor
    means: Tensor
    whitening: Tensor
    constant: Tensor

    def __init__(self, neurons: int, classes: int) -> None:
        super().__init__()
        self.neurons, self.classes = neurons, classes
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("components", torch.tensor(0))
        self.register_buffer("centre", torch.zeros(neurons, dtype=torch.float64))
        self.register_buffer("projection", torch.zeros(neurons, neurons, dtype=torch.float64))
        self.register_buffer("means", torch.zeros(classes, neurons, dtype=torch.float64))
        self.register_buffer("whitening", torch.zeros(classes, neurons, neurons, dtype=torch.float64))
        self.register_buffer("constant", torch.zeros(classes, dtype=torch.float64))

    def fit(self, rates: Tensor, labels: Tensor) -> None:
        """Fit to training responses.

        Where all responses are the same there is nothing to tell classes by, and the scores are the classes'
        log-frequencies. A class without samples is never chosen.

        Args:
            rates: ``[N, neurons]``.
            labels: ``[N]``.
        """
        codes = self._fit_projection(rates.double().cpu().numpy())
        k = codes.shape[1]
        for buffer in (self.means, self.whitening):
            buffer.zero_()
        for c in range(self.classes):
            members = codes[labels.cpu() == c]
            if not len(members):
                self.constant[c] = -math.inf
                continue
            mean = members.mean(0)
            spread = (members - mean).T @ (members - mean) / len(members)
            covariance = (1 - SHRINKAGE) * spread + SHRINKAGE * torch.eye(k, dtype=torch.float64)
            root = torch.linalg.cholesky(covariance)
            self.means[c, :k] = mean
            self.whitening[c, :k, :k] = torch.linalg.solve_triangular(
                root, torch.eye(k, dtype=torch.float64), upper=False
            )
            self.constant[c] = math.log(len(members) / len(codes)) - root.diagonal().log().sum()
        self.components.fill_(k)
        self.fitted.fill_(True)

    def _fit_projection(self, rates: np.ndarray) -> Tensor:
        """Set `centre` and `projection`; the codes ``[N, k]`` of the given rates."""
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import StandardScaler

        self.projection.zero_()
        if not (np.ptp(rates, axis=0) > 0).any():
            return torch.zeros(len(rates), 0, dtype=torch.float64)
        scaler = StandardScaler().fit(rates)
        pca = PCA(VARIANCE_KEPT, whiten=True, svd_solver="full").fit(scaler.transform(rates))
        k = int(pca.n_components_)
        axes = pca.components_.T / np.sqrt(pca.explained_variance_) / scaler.scale_[:, None]
        self.centre.copy_(torch.from_numpy(scaler.mean_))
        self.projection[:, :k] = torch.from_numpy(axes)
        return torch.from_numpy((rates - scaler.mean_) @ axes)

    def forward(self, rates: Tensor) -> Tensor:
        """Log-posteriors ``[B, classes]``; before `fit`, the mean rate for every class."""
        if not self.fitted:
            return rates.mean(1, keepdim=True).expand(-1, self.classes)
        k = int(self.components)
        codes = (rates - self.centre) @ self.projection[:, :k]
        distances = []
        for c in range(self.classes):
            white = (codes - self.means[c, :k]) @ self.whitening[c, :k, :k].T
            distances.append(white.square().sum(1))
        joint = self.constant - 0.5 * torch.stack(distances, dim=1)
        return joint.log_softmax(1)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one sample: the projection, and for each class a triangle and a sum of squares."""
        k = int(self.components)
        return self.neurons * k + self.classes * (k * (k + 1) // 2 + k)
