"""Online learning from preferences: a Gymnasium environment that pays what one user is thought to want."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from pluralbench.errors import InputError
from pluralbench.reward_learning.reward_model import RewardModel
from pluralbench.reward_learning.scaling import fit_scaling


class LearnedReward(gym.Wrapper[NDArray[np.float32], Any, NDArray[np.float32], Any]):
    """Pays a reward model's reward, for one latent, for the observation that a step arrives at.

    The same convention as when a dataset is relabelled, so that offline and online agents learn of the same reward.
    The environment's own reward stays in `info["environment_reward"]`, its `reward_terms` are dropped because they no
    longer sum to the reward, and `info["success"]` goes on telling whether the user who owns `goal` was served.

    Args:
        env: whose reward is replaced.
        model: fitted.
        latent: (Z,), for example `model.infer(answers).mean[row]`.
        scaling: one of `reward_learning.scaling.SCALINGS` except `spo-pairs`.
        comparison_states: (C, S) states of the data, which every scaling but `none` compares with.
        shift: added to every reward. Where success ends the episode, rewards above zero teach an agent to linger beside
            the goal; -1 with `spo` makes every step a cost.
        goal: handed to every reset, so that success is this user's; the learned reward never sees it.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        model: RewardModel,
        latent: ArrayLike | torch.Tensor,
        scaling: str = "none",
        comparison_states: ArrayLike | None = None,
        shift: float = 0.0,
        goal: ArrayLike | None = None,
    ) -> None:
        super().__init__(env)
        latents = torch.as_tensor(latent, dtype=torch.float32)[None]
        if latents.shape != (1, model.latent_size):
            raise InputError(f"the latent must be ({model.latent_size},), is {tuple(latents.shape[1:])}")
        size = env.observation_space.shape
        states = np.empty((0, *(size or ()))) if comparison_states is None else np.asarray(comparison_states)
        self._device = latents.device
        known = torch.as_tensor(states, dtype=torch.float32, device=self._device)
        self._scaled = fit_scaling(scaling, model, latents, known)
        self._index = torch.zeros(1, dtype=torch.int64, device=self._device)
        self._goal = goal
        self._shift = shift

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Resets the environment, for this wrapper's goal where `options` name none."""
        if self._goal is not None:
            options = {"goal": self._goal, **(options or {})}
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One step of the environment, paid by the model."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        info = {name: value for name, value in info.items() if name != "reward_terms"}
        info["environment_reward"] = float(reward)
        return observation, self.reward(observation), terminated, truncated, info

    @torch.no_grad()
    def reward(self, observation: ArrayLike) -> float:
        """What arriving at one observation (S,) is worth."""
        seen = torch.as_tensor(np.asarray(observation, dtype=np.float32), device=self._device)
        return float(self._scaled(seen[None], self._index)) + self._shift
