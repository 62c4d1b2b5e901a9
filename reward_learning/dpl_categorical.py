"""`dpl-categorical`: distributional preference learning with a categorical utility for each observation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pluralbench.reward_learning.distributional_learner import DistributionalLearner, DPLSettings
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.preference_losses import masked_mean, preference_accuracy, probability_nll
from pluralbench.reward_learning.training import Batch, Metrics
from pluralbench.reward_learning.utility_distributions import (
    batch_entropy,
    categorical_moments,
    categorical_probability,
    categorical_quantile,
    sum_distribution,
)


@dataclass(frozen=True)
class CategoricalSettings(DPLSettings):
    """Settings of `dpl-categorical`.

    Attributes:
        num_atoms: atoms on [0, 1].
        entropy_weight: weight of the entropy of the batch's average distribution, which the loss rewards.
    """

    num_atoms: int = 10
    entropy_weight: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_atoms < 2:
            raise LearnerError(f"num_atoms must be at least 2, is {self.num_atoms}")


class DPLCategorical(DistributionalLearner):
    """Categorical utilities: the network gives the logits of the atoms."""

    name: ClassVar[str] = "dpl-categorical"
    settings_type: ClassVar[type] = CategoricalSettings
    settings: CategoricalSettings

    def build(self) -> nn.Module:
        """A reward network with an output for each atom."""
        return self.reward_network(num_outputs=self.settings.num_atoms, output_scale=self.settings.output_scale)

    def atom_probabilities(self, observations: Tensor) -> Tensor:
        """Distribution (..., A) of the utility of observations (..., S) over the atoms linspace(0, 1, A)."""
        return F.softmax(self.network(self.check_observations(observations)), dim=-1)

    def moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each (...), from logits (..., A)."""
        return categorical_moments(F.softmax(outputs, dim=-1))

    def quantile(self, outputs: Tensor, level: float) -> Tensor:
        """Where the interpolated distribution function meets `level`."""
        return categorical_quantile(F.softmax(outputs, dim=-1), level)

    def probability(self, outputs: Tensor) -> Tensor:
        """Exact for the sums of independent steps."""
        first, second = sum_distribution(F.softmax(outputs, dim=-1)).unbind(-2)
        return categorical_probability(first, second)

    def distribution_parameters(self, outputs: Tensor) -> Tensor:
        """Probabilities of the atoms, (..., A)."""
        return F.softmax(outputs, dim=-1)

    def preference_probability(self, first: Tensor, second: Tensor) -> Tensor:
        """Probability (...) that the first is preferred, from two `preference_outputs` (..., A) that broadcast."""
        return categorical_probability(first, second)

    def loss(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        """-log P(preferred segment) less the weighted entropy of the batch's average distribution."""
        outputs = self.network(batch.segments)  # (U, K, 2, T, A)
        probability = self.probability(outputs)
        loss = masked_mean(probability_nll(probability, batch.labels), batch.mask)
        entropy = batch_entropy(F.softmax(outputs[batch.mask], dim=-1).flatten(0, -2))
        accuracy = preference_accuracy(probability.detach(), batch.labels, batch.mask)
        metrics = {"nll": loss.detach(), "entropy": entropy.detach(), "accuracy": accuracy}
        return loss - self.settings.entropy_weight * entropy, metrics
