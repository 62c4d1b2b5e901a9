"""What both implementations of IQL share: what they see of the data, and what the training loop asks of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from pluralbench.feature_map import FeatureMap
from pluralbench.iql.data import ReplayData, fold_rewards
from pluralbench.iql.settings import IQLError, IQLSettings

Rate = float | Tensor
ADAM: dict[str, Any] = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False}
"""Arguments of the fused kernel; the step size is its own."""


class Batch(NamedTuple):
    """What an update learns from; `OfflineLearner.fetch` gives it, for many updates at once with one more axis first.

    E runs, K groups, B transitions, F features, Z latent size, A action size.
    """

    pairs: Tensor
    """(E, B, F + Z + A), inputs of the critics."""
    after: Tensor
    """(E, B, F + Z), inputs of the value networks at the state where the bootstrap is."""
    rewards: Tensor
    """(E, K, B), summed over n steps."""
    discounts: Tensor
    """(E, 1, B), of the bootstrap."""


class OfflineLearner(ABC):
    """E independent runs that learn from batches; `iql.learner` is the fast one, `iql.reference` the one to read.

    Args:
        data: of E runs, on the device to train on.
        settings: shared by all runs.
        seeds: one per run; a run's numbers depend on its own seed only.

    Attributes:
        features: observations to network inputs.
        state_size: F + Z, inputs of actors and value networks.
        widths: layer widths of a network that takes [features, latent, action] and gives A outputs; a flat network
            (`iql.networks.initial_parameters`) has this shape, and is padded where a role takes or gives less.
    """

    rewards_axes: ClassVar[int] = 2
    """Of the data's rewards: (E, N)."""
    capturable: ClassVar[bool] = True
    """Whether an update can be captured as a CUDA graph."""

    def __init__(self, data: ReplayData, settings: IQLSettings, seeds: list[int]) -> None:
        if len(seeds) != data.num_runs:
            raise IQLError(f"the data hold {data.num_runs} runs, so {data.num_runs} seeds are needed, got {len(seeds)}")
        one_hot = ((data.actions == 0) | (data.actions == 1)).all(1) & (data.actions.sum(1) == 1)
        if settings.discrete_actions and not one_hot.all():
            raise IQLError("discrete_actions needs one-hot rows as actions")
        if data.rewards.ndim != self.rewards_axes:
            expected = "(E, N)" if self.rewards_axes == 2 else "(E, K, N)"
            raise IQLError(f"{type(self).__name__} needs rewards {expected}, got {tuple(data.rewards.shape)}")
        self.settings = settings
        self.device = data.observations.device
        self.num_runs = data.num_runs
        self.num_groups = data.rewards.shape[1] if self.rewards_axes == 3 else 1
        features = FeatureMap(settings.features, data.observations.shape[1]).to(self.device)
        self.features = features.normalize_by(data.observations)
        self.latent_size = data.latent_size
        self.action_size = data.actions.shape[1]
        self.state_size = self.features.size + self.latent_size
        self.widths = (self.state_size + self.action_size, *settings.hidden_sizes, self.action_size)
        self.num_transitions = len(data)
        self._prepare_data(data)

    @abstractmethod
    def update(self, batch: Batch, rate: Rate, actor_rate: Rate) -> None:
        """One gradient update of every run; the rates are Adam's step sizes, the first for values and critics."""

    @abstractmethod
    def actor(self) -> Tensor:
        """The actors that evaluation should use, (E, P): the averages where the settings ask for them."""

    @abstractmethod
    def metrics(self) -> dict[str, list[float]]:
        """Losses and values of the last batch, one number per run; the only place that waits for the device."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next update depends on, by name."""

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` gave, on whatever device that was; IQLError where a tensor is missing."""
        for name, tensor in self.state().items():
            if name not in tensors or tensors[name].shape != tensor.shape:
                raise IQLError(f"the stored state has no {name} of shape {tuple(tensor.shape)}")
            tensor.copy_(tensors[name])

    @torch.no_grad()
    def fetch(self, indices: Tensor) -> Batch:
        """The batches of transitions (..., E, B) int64, each run's own."""
        shape, flat = indices.shape, (indices + self._run_offsets).view(-1)
        rows = self._table.index_select(0, indices.view(-1)).view(*shape, -1)
        here, actions, there, discounts = rows.split(self._columns, dim=-1)
        latents = self._latents.index_select(0, self._latent_rows.index_select(0, flat)).view(*shape, -1)
        rewards = self._rewards.index_select(0, flat).view(*shape, -1)
        return Batch(
            pairs=torch.cat([here, latents, actions], dim=-1),
            after=torch.cat([there, latents], dim=-1),
            rewards=rewards.mT.contiguous(),
            discounts=discounts.mT.contiguous(),
        )

    def _prepare_data(self, data: ReplayData) -> None:
        """Everything that a batch needs, in the shape in which it is fetched."""
        settings, ends = self.settings, (data.terminals, data.timeouts)
        returns, bootstrap, discounts = fold_rewards(data.rewards, *ends, settings.n_step, settings.discount)
        returns = returns.view(self.num_runs, self.num_groups, -1)
        actions = data.actions
        if not settings.discrete_actions:
            actions = actions.clamp(-1 + settings.action_clip, 1 - settings.action_clip)
        here, there = self.features(data.observations), self.features(data.next_observations)[bootstrap]
        self._table = torch.cat([here, actions, there, discounts[:, None]], dim=1)  # (N, F + A + F + 1)
        self._columns = [here.shape[1], actions.shape[1], there.shape[1], 1]
        self._rewards = returns.mT.reshape(-1, self.num_groups)  # (E N, K)
        self._latents = data.latents.flatten(0, 1)  # (E M, Z)
        runs = torch.arange(self.num_runs, device=self.device)[:, None]
        self._latent_rows = (data.latent_index + data.latents.shape[1] * runs).reshape(-1)  # (E N,)
        self._run_offsets = len(data) * runs
