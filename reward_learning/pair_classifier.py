"""The paper's form of SPO: a classifier of pairs of states, learned directly (VPL, section 4.1).

p(a preferred to b | z) = sigmoid(g(a, b, z) - g(b, a, z)). The paper's MLP(a, b, z) need not give the two orders of one
pair probabilities that add up to one; the difference does, whatever g is.

It is fitted after the reward model, whose posteriors lend the latents and whose rewards it never asks: under learners
with one reward for all it is the same classifier. It sees what the learner's networks see, expects as many mistakes,
and judges single states. Answers on segments of T steps train it on the sum of the logits of the steps taken in pairs,
first against first, second against second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pluralbench.feature_map import FeatureMap
from pluralbench.features import InputFeatures
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.progress import Progress
from pluralbench.ranges import MOST_LAYERS, WIDEST_LAYER, check_whole
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.network_learner import normalise_features
from pluralbench.reward_learning.networks import initialise, mlp
from pluralbench.reward_learning.preference_losses import answer_logits, bradley_terry_loss
from pluralbench.reward_learning.reward_model import History, Posterior, RewardModel
from pluralbench.reward_learning.training import Batch, Metrics, TrainingSettings, context_and_targets, train


@dataclass(frozen=True)
class PairClassifierSettings(TrainingSettings):
    """Settings of the classifier; input features and mistake rate are the learner's."""

    hidden_size: int = 128
    """Units of every hidden layer."""
    num_layers: int = 3
    """Hidden layers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(LearnerError, self, 1, WIDEST_LAYER, "hidden_size")
        check_whole(LearnerError, self, 1, MOST_LAYERS, "num_layers")


class PairClassifier(nn.Module):
    """g(a, b, z) - g(b, a, z) for an MLP g."""

    version: ClassVar[int] = 1
    """A new number when the same seed gives other numbers."""

    def __init__(self, features: FeatureMap, latent_size: int, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        self.features = features
        self.score = mlp(2 * features.size + latent_size, hidden_size, num_layers, 1)

    def forward(self, first: Tensor, second: Tensor, latents: Tensor) -> Tensor:
        """Logits (...) of preferring first (..., S) to second (..., S) under latents (..., Z); axes broadcast."""
        shape = torch.broadcast_shapes(first.shape[:-1], second.shape[:-1], latents.shape[:-1])
        first, second = (self.features(states).expand(*shape, -1) for states in (first, second))
        latents = latents.expand(*shape, -1)
        one_way = self.score(torch.cat([first, second, latents], dim=-1))
        other_way = self.score(torch.cat([second, first, latents], dim=-1))
        return (one_way - other_way).squeeze(-1)

    def preference_probability(self, first: Tensor, second: Tensor, latents: Tensor) -> Tensor:
        """Probability (...) that the first (..., S) is preferred to the second (..., S) under (..., Z)."""
        return self(first, second, latents).sigmoid()


def fit_pair_classifier(
    model: RewardModel,
    preferences: PreferenceDataset,
    seed: int,
    settings: PairClassifierSettings | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> tuple[PairClassifier, History]:
    """Fits the classifier on the answers that `model` was fitted on, each user under a latent from its posterior.

    Args:
        model: fitted; it is not changed. Its settings `features` and `mistake_rate`, where it has them, are the
            classifier's too.
        preferences: U train users.
        seed: of the weights, the order of users and the latents.
        settings: the defaults if None.
        device: where to train.
        progress: called with (updates done, updates in all).

    Returns:
        The classifier and one row of metrics per validation.
    """
    settings = settings or PairClassifierSettings()
    features = getattr(model.settings, "features", InputFeatures())
    mistake_rate = getattr(model.settings, "mistake_rate", 0.0)
    posterior = model.infer(preferences)
    posterior = Posterior(posterior.mean.to(device), posterior.log_var.to(device))
    # the checkpoint is chosen on answers that the latents were not inferred from
    half = model.infer(preferences.take_queries(slice(0, max(1, preferences.num_comparisons // 2)))).mean.to(device)
    latent_size = int(posterior.mean.shape[1])
    seen = FeatureMap(features, preferences.observation_size)
    network = PairClassifier(seen, latent_size, settings.hidden_size, settings.num_layers)
    initialise(network, torch.Generator().manual_seed(seed))
    normalise_features(network, preferences)
    network.to(device)

    def logits(batch: Batch, latents: Tensor) -> Tensor:
        first, second = batch.segments.unbind(2)  # (U, K, T, S)
        return answer_logits(network(first, second, latents[:, None, None, :]).sum(-1), mistake_rate)

    def loss(batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        latents = Posterior(posterior.mean[batch.rows], posterior.log_var[batch.rows]).sample(generator)
        return bradley_terry_loss(logits(batch, latents), batch.labels, batch.mask)

    def predict(batch: Batch) -> tuple[Tensor, Tensor]:
        return logits(batch, half[batch.rows]).sigmoid(), context_and_targets(batch.mask)[1]

    return network, train(network, preferences, loss, predict, settings, seed, device, progress)
