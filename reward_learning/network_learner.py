"""What every learner with a network needs around it: settings, construction, training, inference, state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from pluralbench.feature_map import FeatureMap
from pluralbench.features import InputFeatures
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.progress import Progress
from pluralbench.ranges import MOST_LAYERS, WIDEST_LAYER, check_number, check_whole
from pluralbench.reward_learning.bounded_build import build_to_fit
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.networks import RewardNetwork, initialise
from pluralbench.reward_learning.preference_losses import (
    answer_logits,
    bradley_terry_loss,
    preference_logits,
    with_mistakes,
)
from pluralbench.reward_learning.reward_model import History, Posterior, RewardModel
from pluralbench.reward_learning.training import (
    Batch,
    Metrics,
    PreferenceBatches,
    TrainingSettings,
    context_and_targets,
    train,
)

STATISTICS_USERS = 20_000
"""Observations are normalised by the mean and std over the segments of this many users at most."""
CHUNK_USERS = 1024
"""Users whose latents are inferred at once."""
MOST_MISTAKES = 0.49
"""Of answers half of which are wrong nothing can be learned."""


@dataclass(frozen=True)
class LearnerSettings(TrainingSettings):
    """What all learners with a network share, on top of how they are trained."""

    hidden_size: int = 128
    """Units of every hidden layer; 256 in the paper, but 128 is as good in the maze in a third of the time."""
    num_layers: int = 3
    """Hidden layers of the reward network."""
    features: InputFeatures = field(default_factory=InputFeatures)
    """What the networks see of an observation besides its normalised columns."""
    mistake_rate: float = 0.0
    """Share of the answers that users give wrong, as the learner believes; 0 in the papers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(LearnerError, self, 1, WIDEST_LAYER, "hidden_size")
        check_whole(LearnerError, self, 1, MOST_LAYERS, "num_layers")
        check_number(LearnerError, self, 0, MOST_MISTAKES, "mistake_rate")


def normalise_features(network: nn.Module, preferences: PreferenceDataset) -> None:
    """Sets what every `FeatureMap` in `network` normalises by, from the first users' segments."""
    segments = np.array(preferences.segments[:STATISTICS_USERS], dtype=np.float32)
    observations = torch.from_numpy(segments).flatten(0, -2)
    for module in network.modules():
        if isinstance(module, FeatureMap):
            module.normalize_by(observations)


class NetworkLearner(RewardModel):
    """The part of a reward learner that is the same for all that have one network.

    A learner adds `name`, `settings_type`, `build` and `reward`; if it has latents, also `has_prior`, `prior`, `encode`
    and a `loss` of its own. `fit` calls `start` first, which fills `sizes` with the whole numbers that the network's
    shape depends on.
    """

    settings_type: ClassVar[type] = LearnerSettings
    _network: nn.Module | None = None

    @property
    def network(self) -> Any:
        """The network; LearnerError before `fit` or `load`."""
        if self._network is None:
            raise LearnerError(f"{self.name} has learned nothing yet: call fit or load first")
        return self._network

    def build(self) -> nn.Module:
        """The untrained network, from `settings` and `sizes`; sets `latent_size`."""
        raise NotImplementedError

    def encode(self, batch: Batch) -> Posterior:
        """q(z | answers), from any number of answers in any order; the prior where there are none."""
        return Posterior.empty(len(batch.labels), self.device)

    def loss(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        """What `fit` minimises, on a batch of users, and its metrics; `progress` in [0, 1] is the share done."""
        return bradley_terry_loss(self.logits(batch, self.encode(batch).mean), batch.labels, batch.mask)

    def start(self, preferences: PreferenceDataset, seed: int, **sizes: int) -> Any:
        """Builds the network for these preferences, draws its weights from `seed` and sets its normalisation.

        Args:
            preferences: the train users' answers.
            seed: of the weights.
            **sizes: further whole numbers that `build` needs and that a file must keep.
        """
        self.sizes = {
            "observation_size": int(preferences.observation_size),
            "segment_length": int(preferences.segment_length),
            "num_comparisons": int(preferences.num_comparisons),
            **sizes,
        }
        network = self.build()
        initialise(network, torch.Generator().manual_seed(seed))
        normalise_features(network, preferences)
        self._network = network.to(self.device)
        return self._network

    def fit(self, preferences: PreferenceDataset, seed: int, progress: Progress | None = None) -> History:
        """Minimises `loss`; the checkpoint that predicts unseen answers best is kept."""
        network = self.start(preferences, seed)
        return train(network, preferences, self.loss, self.predict, self.settings, seed, self.device, progress)

    @torch.no_grad()
    def infer(self, context: PreferenceDataset) -> Posterior:
        """q(z | answers) of each user, from any number of answers in any order; (U, 0) without latents."""
        if not self.has_prior:
            return Posterior.empty(context.num_users, self.device)
        parts = [self.encode(batch) for batch in PreferenceBatches(context, self.device).chunks(CHUNK_USERS)]
        if not parts:
            return self.prior(0)
        return Posterior(torch.cat([part.mean for part in parts]), torch.cat([part.log_var for part in parts]))

    def logits(self, batch: Batch, latents: Tensor) -> Tensor:
        """Logits (U, K) of naming the first segment, for one latent per user (U, Z)."""
        meant = preference_logits(self.reward(batch.segments, latents[:, None, None, None]))
        return answer_logits(meant, self.settings.mistake_rate)

    def answer_probability(self, segments: Tensor, latents: Tensor) -> Tensor:
        """Probability (U, K) that the first of two segments (U, K, 2, T, S) is named for latents (U, Z)."""
        return with_mistakes(super().answer_probability(segments, latents), self.settings.mistake_rate)

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Chances of the second half of each user's answers, from the first; of all answers without latents."""
        context, targets = context_and_targets(batch.mask) if self.has_prior else (batch.mask, batch.mask)
        return self.logits(batch, self.encode(batch.with_mask(context)).mean).sigmoid(), targets

    def features(self) -> FeatureMap:
        """Untrained features of observations, as the settings say; for `build`."""
        return FeatureMap(self.settings.features, self.sizes["observation_size"])

    def reward_network(self, latent_size: int = 0, num_outputs: int = 1, **options: Any) -> RewardNetwork:
        """An untrained reward network, as the settings say; for `build`."""
        sizes = self.settings.hidden_size, self.settings.num_layers
        return RewardNetwork(self.features(), latent_size, *sizes, num_outputs, **options)

    def check_observations(self, observations: Tensor) -> Tensor:
        """`observations` (..., S) on the device; LearnerError when S is not what was learned from."""
        size = self.sizes.get("observation_size", observations.shape[-1])
        if observations.shape[-1] != size:
            raise LearnerError(f"{self.name} learned from observations of {size} numbers, got {observations.shape[-1]}")
        return observations.to(self.device, torch.float32)

    def state(self) -> dict[str, Tensor]:
        """The network's parameters and buffers."""
        return dict(self.network.state_dict())

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Builds the network, as large as the tensors and no larger, and fills it."""
        network = build_to_fit(self.build, state)
        network.load_state_dict(state)
        self._network = network.to(self.device)
