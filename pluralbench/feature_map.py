"""Observations to network inputs: normalised columns and differences, then their sines and cosines."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pluralbench.features import InputFeatures


class FeatureMap(nn.Module):
    """(..., S) observations to (..., F) inputs; the normalisation is part of the module's state.

    Args:
        features: which columns.
        observation_size: S.

    Raises:
        InputError: a column that the observations do not have.
    """

    mean: Tensor
    scale: Tensor
    _minuend: Tensor
    _subtrahend: Tensor
    _sinusoids: Tensor
    _frequencies: Tensor

    def __init__(self, features: InputFeatures, observation_size: int) -> None:
        super().__init__()
        features.check_columns(observation_size)
        self.features = features
        self.observation_size = observation_size
        pairs = features.differences
        minuend = [column for first, _ in pairs for column in first]
        subtrahend = [column for _, second in pairs for column in second]
        frequencies = 2 * math.pi / torch.tensor(features.wavelengths, dtype=torch.float32)
        num_columns = observation_size + len(minuend)
        self.size = num_columns + 2 * len(features.sinusoid_columns) * len(features.wavelengths)
        self.register_buffer("mean", torch.zeros(num_columns))
        self.register_buffer("scale", torch.ones(num_columns))
        named = {"_minuend": minuend, "_subtrahend": subtrahend, "_sinusoids": features.sinusoid_columns}
        for name, columns in named.items():
            self.register_buffer(name, torch.tensor(columns, dtype=torch.long), persistent=False)
        self.register_buffer("_frequencies", frequencies, persistent=False)

    @torch.no_grad()
    def normalize_by(self, observations: Tensor) -> FeatureMap:
        """Sets mean and scale to those of observations (N, S); columns that never change keep scale 1."""
        std, mean = torch.std_mean(self._columns(observations).double(), dim=0, correction=0)
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(std > 1e-6, std, 1.0))
        return self

    def forward(self, observations: Tensor) -> Tensor:
        """Inputs (..., F) of observations (..., S)."""
        normalised = (self._columns(observations) - self.mean) / self.scale
        if not self.features.sinusoid_columns:
            return normalised
        angles = (observations[..., self._sinusoids].unsqueeze(-1) * self._frequencies).flatten(-2)
        return torch.cat([normalised, angles.sin(), angles.cos()], dim=-1)

    def _columns(self, observations: Tensor) -> Tensor:
        if not self.features.differences:
            return observations
        differences = observations[..., self._minuend] - observations[..., self._subtrahend]
        return torch.cat([observations, differences], dim=-1)
