"""What every reward learner promises, and the posterior over a user's latent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.preference_oracles.preferences import PreferenceDataset

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Posterior:
    """Diagonal Gaussian over the latents of U users; Z = 0 for a learner that knows no users.

    Attributes:
        mean: (U, Z).
        log_var: (U, Z), the logarithm of the variance; -inf where the latent is known exactly.
    """

    mean: Tensor
    log_var: Tensor

    def __post_init__(self) -> None:
        if self.mean.ndim != 2 or self.mean.shape != self.log_var.shape:
            raise ValueError(f"mean and log_var must both be (U, Z), are {self.mean.shape} and {self.log_var.shape}")

    def sample(self, generator: torch.Generator) -> Tensor:
        """One latent per user, (U, Z)."""
        noise = torch.randn(self.mean.shape, generator=generator).to(self.mean)
        return self.mean + (0.5 * self.log_var).exp() * noise


class RewardFunction(Protocol):
    """What a scaling and relabelling ask of a reward model."""

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """Reward of each observation for each latent: (..., S) and (..., Z) of equal leading shape give (...)."""
        ...


@runtime_checkable
class GroupedRewardModel(Protocol):
    """A reward model of K groups of users, from which one policy can serve the worst off (`learner@maxmin`)."""

    def group_models(self) -> Sequence[RewardFunction]:
        """The K groups' rewards, on scales that can be compared. K is known after `fit`."""
        ...


@runtime_checkable
class PosteriorSampler(Protocol):
    """A reward model whose posterior is not the diagonal Gaussian that `infer` gives, only has its moments."""

    def sample_posterior(self, context: PreferenceDataset, generator: torch.Generator) -> Tensor:
        """A latent of each of the U users of `context`, (U, Z), from what the model really holds of them."""
        ...


def latents_of(model: RewardModel, context: PreferenceDataset, generator: torch.Generator) -> Posterior:
    """The posterior of `infer`, or for a `PosteriorSampler` a sample of its own, known exactly."""
    if not isinstance(model, PosteriorSampler):
        return model.infer(context)
    drawn = model.sample_posterior(context, generator)
    return Posterior(drawn, torch.full_like(drawn, -torch.inf))


@runtime_checkable
class RewardModel(Protocol):
    """A learner of rewards from preferences.

    Attributes:
        name: its name on the command line, `vpl` say.
        latent_size: Z; 0 where one reward serves everybody. Known after `fit`.
    """

    name: ClassVar[str]
    latent_size: int

    def fit(
        self, preferences: PreferenceDataset, seed: int, progress: Progress | None = None
    ) -> list[dict[str, float]]:
        """Learns from the train users' answers; returns one row of metrics per logged epoch."""
        ...

    def infer(self, context: PreferenceDataset) -> Posterior:
        """What the answers in `context` tell about each of its U users."""
        ...

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """Reward of each observation for each latent: (..., S) and (..., Z) of equal leading shape give (...)."""
        ...

    def save(self, folder: Path) -> None:
        """Writes `model.safetensors` and `model.json`."""
        ...

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", task: MultiGoalTask | None = None) -> RewardModel:
        """Reads what `save` wrote, without running code from it; ModelFileError for another learner's or version's."""
        ...
