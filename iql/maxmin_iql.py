"""One policy for several groups: max over policies of the least well served group's value, in offline RL.

Two objectives go by the name of max-min (Chakraborty et al., ICML 2024, arXiv 2402.08925):

- the *pointwise minimum*, max_pi E_pi[sum_t gamma^t min_k r_k(s_t, a_t)]: plain IQL on the reward min_k r_k. It asks
  for actions that please every group at the same moment, and is the more pessimistic of the two;
- the *max-min over policies*, max_pi min_k V_k^pi with V_k^pi = E_pi[sum_t gamma^t r_k(s_t, a_t)], which this file
  trains: it may please one group now and another one elsewhere or another time, as long as the worst-off group gets
  the most that any one policy can give it.

The second is a game between the policy and weights lambda over the groups. Critics and values are vectors, one entry
per group and all of the *same* policy: the expectile weight |expectile - 1[u < 0]| of every entry is decided by the
scalarised difference u = sum_k lambda_k (Q_k - V_k). So sum_k lambda_k V_k is what IQL would learn of the reward
sum_k lambda_k r_k, while V_k tells what group k gets out of that. The actor follows the scalarised advantage, and
lambda moves multiplicatively towards the group whose fitted value at the starts of episodes is lowest. Of shaped
rewards the networks fit V_k - phi_k: the potential phi_k of the start, which differs from group to group, is added back
first. This vector form of the expectile regression is ours; the paper has no offline-RL variant.

With mutually exclusive goals the best policy mixes: its mean action may then serve no group. Act with
`deterministic=False` where that matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from pluralbench.iql import losses
from pluralbench.iql.data import ReplayData
from pluralbench.iql.learner import Learner
from pluralbench.iql.networks import Workspace
from pluralbench.iql.offline_learner import Batch, Rate
from pluralbench.iql.settings import MaxMinSettings
from pluralbench.iql.training import TrainingResult, train

_NUM_STARTS = 256


class MaxMinLearner(Learner):
    """E runs of max-min IQL over K groups; the data's rewards are (E, K, N), on scales that can be compared."""

    rewards_axes: ClassVar[int] = 3

    def __init__(self, data: ReplayData, settings: MaxMinSettings, seeds: list[int]) -> None:
        super().__init__(data, settings, seeds)
        self._weight_settings = settings.group_weights
        shape = (self.num_runs, self.num_groups)
        self.group_weights = torch.full(shape, 1 / self.num_groups, device=self.device)
        self.group_values = torch.zeros(shape, device=self.device)
        starts = _starts(data)
        self._starts = self._start_inputs(data, starts)  # (E K, M, in)
        self._start_work = Workspace(self._value, self._starts.shape[1])
        self._start_potentials = torch.zeros(shape, device=self.device)
        if settings.shaping and data.rewards_before is not None:
            self._start_potentials = data.rewards_before[..., starts].mean(-1) / (1 - settings.discount)

    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next update depends on, by name."""
        return {**super().state(), "group_weights": self.group_weights, "group_values": self.group_values}

    @torch.inference_mode()
    def update(self, batch: Batch, rate: Rate, actor_rate: Rate) -> None:
        """One update of every run, then one step of the weights over the groups."""
        super().update(batch, rate, actor_rate)
        outputs = self._value.forward(self._starts, self._start_work)
        values = outputs[:, 0].mean(-1).view_as(self.group_weights) + self._start_potentials
        self.group_values.copy_(values)
        size = values.abs().mean(1, keepdim=True).clamp_min(1e-6)
        ahead = (values - values.mean(1, keepdim=True)) / size
        moved = self.group_weights * (-self._weight_settings.rate * ahead.clamp(-1, 1)).exp()
        moved = (moved / moved.sum(1, keepdim=True)).clamp_min(self._weight_settings.min_weight)
        self.group_weights.copy_(moved / moved.sum(1, keepdim=True))

    def metrics(self) -> dict[str, list[float]]:
        """Losses and values of the last batch; each group's weight, and its mean value V_k at starts of episodes."""
        rows = super().metrics()
        for group in range(self.num_groups):
            rows[f"group_weight_{group}"] = self.group_weights[:, group].tolist()
            rows[f"group_value_{group}"] = self.group_values[:, group].tolist()
        return rows

    def _scalarise(self, values: Tensor) -> Tensor:
        return (self.group_weights[:, :, None] * values).sum(1)

    def _write_value_gradient(self) -> None:
        sides = losses.expectile_weights(self._scalarise(self._differences), self.settings.expectile)
        torch.mul(sides[:, None], self._differences, out=self._value_gradient)
        self._value_gradient.mul_(-2 / self.settings.batch_size)

    def _start_inputs(self, data: ReplayData, starts: Tensor) -> Tensor:
        """Inputs of the value networks at the first observations of episodes."""
        inputs = torch.zeros(self.num_runs, self.num_groups, len(starts), self.widths[0] + 1, device=self.device)
        inputs[..., -1] = 1
        inputs[..., : self.features.size] = self.features(data.observations[starts])
        runs = torch.arange(self.num_runs, device=self.device)[:, None]
        latents = data.latents[runs, data.latent_index[:, starts].long()]  # (E, M, Z)
        inputs[..., self.features.size : self.state_size] = latents[:, None]
        return inputs.flatten(0, 1)


def _starts(data: ReplayData) -> Tensor:
    """The first transitions (M,) int64 of up to 256 episodes, evenly through the data."""
    ends = data.terminals | data.timeouts
    starts = torch.cat([ends.new_ones(1), ends[:-1]]).nonzero().squeeze(1)
    return starts[torch.linspace(0, len(starts) - 1, min(len(starts), _NUM_STARTS), device=starts.device).long()]


def train_maxmin(
    data: ReplayData, settings: MaxMinSettings, seeds: Sequence[int], device: str | torch.device = "cpu", **options: Any
) -> TrainingResult:
    """`iql.train` for rewards (E, K, N) of K groups; `options` are the same, and the policy is used the same way."""
    return train(data, settings, seeds, device, learner_class=MaxMinLearner, **options)
