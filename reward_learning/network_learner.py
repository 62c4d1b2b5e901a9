"""What every learner with a network needs around it: settings, construction, state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.feature_map import FeatureMap
from pluralbench.features import InputFeatures
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.networks import RewardNetwork, initialise
from pluralbench.reward_learning.reward_model import RewardModel
from pluralbench.reward_learning.training import TrainingSettings

STATISTICS_USERS = 20_000
"""Observations are normalised by the mean and std over the segments of this many users at most."""


@dataclass(frozen=True)
class LearnerSettings(TrainingSettings):
    """What all learners with a network share, on top of how they are trained.

    Attributes:
        hidden_size: units of every hidden layer; 256 in the paper, but 128 is as good in the maze in a third of the
            time.
        num_layers: hidden layers of the reward network.
        features: what the networks see of an observation besides its normalised columns.
    """

    hidden_size: int = 128
    num_layers: int = 3
    features: InputFeatures = field(default_factory=InputFeatures)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden_size", "num_layers"):
            if getattr(self, name) < 1:
                raise LearnerError(f"{name} must be at least 1, is {getattr(self, name)}")


def normalise_features(network: nn.Module, preferences: PreferenceDataset) -> None:
    """Sets what every `FeatureMap` in `network` normalises by, from the first users' segments."""
    segments = np.array(preferences.segments[:STATISTICS_USERS], dtype=np.float32)
    observations = torch.from_numpy(segments).flatten(0, -2)
    for module in network.modules():
        if isinstance(module, FeatureMap):
            module.normalize_by(observations)


class NetworkLearner(RewardModel):
    """The part of a reward learner that is the same for all that have one network.

    A learner adds `name`, `settings_type`, `build`, `fit`, `infer` and `reward`; `fit` calls `start` first, which fills
    `sizes` with the whole numbers that the network's shape depends on.
    """

    settings_type: ClassVar[type] = LearnerSettings

    def __init__(
        self, settings: Mapping[str, Any] | Any | None = None, device: str = "cpu", task: MultiGoalTask | None = None
    ) -> None:
        super().__init__(settings, device, task)
        self._network: nn.Module | None = None

    @property
    def network(self) -> Any:
        """The network; LearnerError before `fit` or `load`."""
        if self._network is None:
            raise LearnerError(f"{self.name} has learned nothing yet: call fit or load first")
        return self._network

    def build(self) -> nn.Module:
        """The untrained network, from `settings` and `sizes`; sets `latent_size`."""
        raise NotImplementedError

    def start(self, preferences: PreferenceDataset, seed: int, **sizes: int) -> Any:
        """Builds the network for these preferences, draws its weights from `seed` and sets its normalisation.

        Args:
            preferences: the train users' answers.
            seed: of the weights.
            **sizes: further whole numbers that `build` needs and that a file must keep.
        """
        _, num_comparisons, _, segment_length, observation_size = preferences.segments.shape
        self.sizes = {
            "observation_size": int(observation_size),
            "segment_length": int(segment_length),
            "num_comparisons": int(num_comparisons),
            **sizes,
        }
        network = self.build()
        initialise(network, torch.Generator().manual_seed(seed))
        normalise_features(network, preferences)
        self._network = network.to(self.device)
        return self._network

    def features(self) -> FeatureMap:
        """Untrained features of observations, as the settings say; for `build`."""
        return FeatureMap(self.settings.features, self.sizes["observation_size"])

    def reward_network(self, latent_size: int = 0, num_outputs: int = 1, **options: Any) -> RewardNetwork:
        """An untrained reward network, as the settings say; for `build`."""
        settings = self.settings
        return RewardNetwork(
            self.features(), latent_size, settings.hidden_size, settings.num_layers, num_outputs, **options
        )

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
        """Builds the network and fills it."""
        network = self.build()
        network.load_state_dict(state)
        self._network = network.to(self.device)
