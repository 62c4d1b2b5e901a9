"""What every learner with a network needs around it: settings, construction, files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.registry import unknown_name
from pluralbench.reward_learning.model_files import ModelFile, ModelFileError, read_model_file, save_model_file
from pluralbench.reward_learning.networks import LearnerError, ObservationFeatures, RewardNetwork, initialise
from pluralbench.reward_learning.training import TrainingSettings

S = TypeVar("S")
L = TypeVar("L", bound="NetworkLearner")

STATISTICS_USERS = 20_000
"""Observations are normalised by the mean and std over the segments of this many users at most."""


@dataclass(frozen=True)
class LearnerSettings(TrainingSettings):
    """What all learners with a network share, on top of how they are trained.

    Attributes:
        hidden_size: units of every hidden layer; 256 in the paper, but 128 is as good in the maze in a third of the
            time.
        num_layers: hidden layers of the reward network.
        fourier_columns: observation columns that also enter as sines and cosines.
        fourier_wavelengths: the wavelengths of these, in the columns' units.
    """

    hidden_size: int = 128
    num_layers: int = 3
    fourier_columns: tuple[int, ...] = ()
    fourier_wavelengths: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden_size", "num_layers"):
            if getattr(self, name) < 1:
                raise LearnerError(f"{name} must be at least 1, is {getattr(self, name)}")


def parse_settings(settings_type: type[S], values: Mapping[str, Any] | S | None, learner: str) -> S:
    """Settings of a learner from a mapping, from settings themselves, or the defaults from None.

    Raises:
        LearnerError: a key that the learner does not know (named, with the nearest), or a value of the wrong type.
    """
    if isinstance(values, settings_type):
        return values
    fields = {field.name: field for field in dataclasses.fields(settings_type)}  # type: ignore[arg-type]
    given: dict[str, Any] = {}
    for key, value in (values or {}).items():  # type: ignore[union-attr]
        if key not in fields:
            raise LearnerError(unknown_name(f"setting of {learner}", key, sorted(fields)))
        given[key] = _checked(fields[key], value, learner)
    return settings_type(**given)


def _checked(field: dataclasses.Field[Any], value: Any, learner: str) -> Any:
    """`value` if it has the type of the field's default; whole numbers pass as floats, lists as tuples."""
    default = field.default
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if default is not None and default is not dataclasses.MISSING and type(value) is not type(default):
        raise LearnerError(
            f"{field.name} of {learner} must be a {type(default).__name__} like {default!r}, is {value!r}"
        )
    return value


def observation_statistics(preferences: PreferenceDataset) -> tuple[Tensor, Tensor]:
    """Mean and std, each (S,), of the observations in the segments of the first users, STATISTICS_USERS at most."""
    observations = np.array(preferences.segments[:STATISTICS_USERS], dtype=np.float64)
    observations = observations.reshape(-1, observations.shape[-1])
    return torch.from_numpy(observations.mean(0)), torch.from_numpy(observations.std(0))


class NetworkLearner:
    """The part of a reward learner that is the same for all that have one network.

    A learner adds `name`, `settings_type`, `build`, `fit`, `infer` and `reward`; `fit` calls `start` first.

    Args:
        settings: a mapping (unknown keys fail), the learner's settings, or None for the defaults.
        device: where the network lives.
        task: taken for the sake of learners that know the truth; not used here.

    Attributes:
        latent_size: Z; 0 where one reward serves everybody.
        sizes: whole numbers that the network's shape depends on; filled by `start`.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[LearnerSettings]] = LearnerSettings
    latent_size: int = 0

    def __init__(
        self,
        settings: Mapping[str, Any] | LearnerSettings | None = None,
        device: str = "cpu",
        task: MultiGoalTask | None = None,
    ) -> None:
        self.settings: Any = parse_settings(self.settings_type, settings, self.name)
        self.device = torch.device(device)
        self.sizes: dict[str, int] = {}
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
        mean, std = observation_statistics(preferences)
        for module in network.modules():
            if isinstance(module, ObservationFeatures):
                module.set_statistics(mean, std)
        self._network = network.to(self.device)
        return self._network

    def features(self) -> ObservationFeatures:
        """Untrained features of observations, as the settings say; for `build`."""
        settings = self.settings
        return ObservationFeatures(
            self.sizes["observation_size"], settings.fourier_columns, settings.fourier_wavelengths
        )

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

    def save(self, folder: Path) -> None:
        """Writes `model.safetensors` and `model.json`."""
        settings = dataclasses.asdict(self.settings)
        save_model_file(folder, ModelFile(self.name, settings, self.sizes, dict(self.network.state_dict())))

    @classmethod
    def load(cls: type[L], folder: Path, device: str = "cpu", task: MultiGoalTask | None = None) -> L:
        """Reads what `save` wrote; ModelFileError for anything else."""
        return cls.from_file(read_model_file(folder, cls.name), folder, device, task)

    @classmethod
    def from_file(cls: type[L], file: ModelFile, folder: Path, device: str, task: MultiGoalTask | None = None) -> L:
        """The learner that a file already read describes; `folder` is for messages."""
        try:
            learner = cls(file.settings, device, task)
            learner.sizes = {name: int(size) for name, size in file.sizes.items()}
            network = learner.build()
            network.load_state_dict(file.tensors)
        except (LearnerError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ModelFileError(f"{folder} does not fit the learner {cls.name!r}: {reason}") from error
        learner._network = network.to(learner.device)
        return learner
