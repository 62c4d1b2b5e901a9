"""The oracle: knows every user's goal and the environment's own utility. The upper bound of the comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.reward_learning.model_files import ModelFile, ModelFileError, read_model_file, save_model_file
from pluralbench.reward_learning.network_learner import parse_settings
from pluralbench.reward_learning.networks import LearnerError
from pluralbench.reward_learning.reward_model import Posterior
from pluralbench.reward_learning.training import Progress


@dataclass(frozen=True)
class OracleSettings:
    """Settings of the oracle.

    Attributes:
        rationality: beta of its preference probability sigmoid(beta (u(A) - u(B))), which the scaling `spo` averages;
            infinite prefers the better one always and makes `spo` the rank of the utility.
    """

    rationality: float = float("inf")

    def __post_init__(self) -> None:
        if not self.rationality > 0:
            raise LearnerError(f"rationality must be positive, is {self.rationality}")


class Oracle:
    """Latents are goals, rewards are utilities; nothing is learned and answers are not read.

    Args:
        settings: a mapping, OracleSettings, or None.
        device: where results go; the utility itself is computed by NumPy.
        task: the environment's task; LearnerError without it.
    """

    name: ClassVar[str] = "oracle"
    settings_type: ClassVar[type[OracleSettings]] = OracleSettings

    def __init__(
        self,
        settings: Mapping[str, Any] | OracleSettings | None = None,
        device: str = "cpu",
        task: MultiGoalTask | None = None,
    ) -> None:
        if task is None:
            raise LearnerError("oracle needs the environment's task: pass task=environment.make_task()")
        self.settings = parse_settings(OracleSettings, settings, self.name)
        self.device = torch.device(device)
        self.task = task
        self.latent_size = task.goal_size

    def fit(
        self, preferences: PreferenceDataset, seed: int, progress: Progress | None = None
    ) -> list[dict[str, float]]:
        """Learns nothing."""
        return []

    def infer(self, context: PreferenceDataset) -> Posterior:
        """The users' goals, exactly: mean (U, G) and log-variance -inf."""
        goals = torch.as_tensor(np.asarray(context.goals), dtype=torch.float32, device=self.device)
        return Posterior(goals, torch.full_like(goals, -torch.inf))

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """Utility (...) of observations (..., S) for goals (..., G), leading axes broadcast."""
        utility = self.task.utility(observations.cpu().numpy(), latents.cpu().numpy().astype(np.float64))
        return torch.as_tensor(np.asarray(utility, dtype=np.float32), device=self.device)

    def preference_outputs(self, observations: Tensor, latents: Tensor) -> Tensor:
        """What `preference_probability` compares: the utility, (..., 1)."""
        return self.reward(observations, latents)[..., None]

    def preference_probability(self, first: Tensor, second: Tensor) -> Tensor:
        """Probability (...) that the first is preferred, from two `preference_outputs` that broadcast."""
        difference = (first - second).squeeze(-1)
        if np.isinf(self.settings.rationality):
            return 0.5 * (1 + difference.sign())
        return (self.settings.rationality * difference).sigmoid()

    def answer_probability(self, segments: Tensor, latents: Tensor) -> Tensor:
        """Probability (U, K) that the first of two segments (U, K, 2, T, S) is preferred for goals (U, G)."""
        returns = self.reward(segments, latents[:, None, None, None, :]).sum(-1, keepdim=True)  # (U, K, 2, 1)
        return self.preference_probability(returns[:, :, 0], returns[:, :, 1])

    def save(self, folder: Path) -> None:
        """Writes the settings, and the goal's size to recognise another task's file."""
        settings = dataclasses.asdict(self.settings)
        if np.isinf(self.settings.rationality):
            settings["rationality"] = "inf"  # JSON has no infinity
        save_model_file(folder, ModelFile(self.name, settings, {"goal_size": self.latent_size}, {}))

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", task: MultiGoalTask | None = None) -> Oracle:
        """Reads what `save` wrote; needs the task, which files do not hold.

        Raises:
            ModelFileError: anything else's file, or one for a task with goals of another size.
        """
        file = read_model_file(folder, cls.name)
        try:
            settings = {name: float(value) for name, value in file.settings.items()}
        except (TypeError, ValueError) as error:
            raise ModelFileError(f"{folder} does not fit the learner 'oracle': {error}") from error
        oracle = cls(settings, device, task)
        if file.sizes.get("goal_size") != oracle.latent_size:
            raise ModelFileError(
                f"{folder} is an oracle for goals of {file.sizes.get('goal_size')} numbers, "
                f"the task {oracle.task.name} has {oracle.latent_size}"
            )
        return oracle
