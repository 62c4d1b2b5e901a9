"""Maxmin: a reward for each of a few groups of users, so that one policy can serve the worst-off of them.

Chakraborty et al., ICML 2024, arXiv 2402.08925. The groups come from hard EM over BTL rewards (`hard_em`). All
users share the policy, so the latent has size 0. Two objectives go by the name:

- **pointwise-min**, the method `maxmin`: max over pi of E_pi[sum over t of gamma^t min_u r_u(s_t)], plain IQL on the
  one reward min_u r_u(s), which `reward` gives. It is a lower bound of the next one: it must please every group in
  every single state. The authors' code does this.
- **max-min**, the paper's own and the method `maxmin@maxmin`: max over pi of min_u E_pi[sum over t of
  gamma^t r_u(s_t)]. It may please one group now and another later. It cannot be written as one reward; `groups`
  gives the K rewards from which a learner with critics for each group (`iql.maxmin_iql`) builds it.

A scaling f stands outside the minimum in the first, f(min_u r_u), and is each group's own in the second, f(r_u).

Rewards from preferences have no unit, so each r_u is normalised to mean 0 and standard deviation 1 over the
observations that the first 512 users compared. `spo` of one group takes its preferences as they were fitted, sigmoid of
the difference in r_u before that; of the minimum nobody's preferences are known, and sigmoid of the difference in it,
which is in deviations, is a choice: so are the negative log-likelihood and the calibration of `maxmin`.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.progress import Progress
from pluralbench.ranges import MOST, check_whole
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.hard_em import (
    Clustering,
    HardEM,
    assign_users,
    clearly_better,
    predictive_log_likelihood,
)
from pluralbench.reward_learning.network_learner import LearnerSettings, NetworkLearner
from pluralbench.reward_learning.networks import RewardNetwork, initialise
from pluralbench.reward_learning.preference_losses import answer_logits, bradley_terry_loss, preference_logits, user_nll
from pluralbench.reward_learning.reward_model import History, RewardFunction, broadcast_over_latents
from pluralbench.reward_learning.training import Batch, PreferenceBatches, context_and_targets, split_users, train

CHUNK_USERS = 512
MOST_GROUPS = 1_000


@dataclass(frozen=True)
class MaxMinSettings(LearnerSettings):
    """Settings of `maxmin`. `num_updates` is for the last fits, on all users, shared evenly by the groups."""

    num_groups: int = 0
    """K (2 in the paper); 0 chooses it by the likelihood of validation users' answers."""
    max_groups: int = 6
    """The largest number that is tried then."""
    num_iterations: int = 10
    """Of hard EM."""
    num_restarts: int = 3
    """Starts of hard EM, the best of which goes on."""
    step_updates: int = 50
    """Gradient steps of one M-step, for each group."""
    clustering_users: int = 500
    """Hard EM runs on this many of the users at most; the others join the groups it finds."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(LearnerError, self, 1, MOST, "num_iterations", "num_restarts", "step_updates", "clustering_users")
        check_whole(LearnerError, self, 1, MOST_GROUPS, "max_groups")
        check_whole(LearnerError, self, 0, MOST_GROUPS, "num_groups")


class MaxMinNetwork(nn.Module):
    """K reward networks, the groups' shares, and what normalises each reward."""

    weights: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, groups: list[RewardNetwork]) -> None:
        super().__init__()
        self.groups = nn.ModuleList(groups)
        self.register_buffer("weights", torch.full((len(groups),), 1.0 / len(groups)))
        self.register_buffer("mean", torch.zeros(len(groups)))
        self.register_buffer("std", torch.ones(len(groups)))


@dataclass(frozen=True)
class GroupReward(RewardFunction):
    """The normalised reward of one of a fitted learner's K groups, and its preferences."""

    learner: MaxMin
    group: int

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """(r_u - mean_u) / std_u (...) of observations (..., S); latents (..., 0) lend their leading shape."""
        network = self.learner.network
        raw = self._raw(observations)
        return broadcast_over_latents((raw - network.mean[self.group]) / network.std[self.group], latents)

    def preference_outputs(self, observations: Tensor, latents: Tensor) -> Tensor:
        """r_u (..., 1) as it was fitted: the group prefers s to s' with probability sigmoid(r_u(s) - r_u(s'))."""
        return broadcast_over_latents(self._raw(observations), latents).unsqueeze(-1)

    def _raw(self, observations: Tensor) -> Tensor:
        group = self.learner.network.groups[self.group]
        return torch.as_tensor(group(self.learner.check_observations(observations)).squeeze(-1))


class MaxMin(NetworkLearner):
    """Hard EM over K BTL rewards, and the minimum of them, normalised, as all users' reward."""

    name: ClassVar[str] = "maxmin"
    settings_type: ClassVar[type] = MaxMinSettings
    grouped: ClassVar[bool] = True
    settings: MaxMinSettings

    def build(self) -> MaxMinNetwork:
        """K untrained reward networks."""
        return MaxMinNetwork([self.reward_network() for _ in range(self.sizes["num_groups"])])

    def fit(self, preferences: PreferenceDataset, seed: int, progress: Progress | None = None) -> History:
        """Finds the groups, then fits each one's reward on all its users.

        Returns:
            A row for each iteration of hard EM (`iteration`, `likelihood`, the shares), then the last fits' rows with
            their `group`.
        """
        clustering = self._cluster(preferences, seed)
        # a group without users must not count in the minimum
        kept = [index for index, weight in enumerate(clustering.weights.tolist()) if weight > 0]
        network = self.start(preferences, seed, num_groups=len(kept))
        network.weights.copy_(clustering.weights[kept])
        for place, index in enumerate(kept):
            network.groups[place].load_state_dict(clustering.groups[index].state_dict())
        history: History = [
            {"iteration": float(number), "likelihood": likelihood, "groups": float(len(kept))}
            for number, likelihood in enumerate(clustering.likelihoods)
        ]
        assignment = self.assign(preferences)
        settings = dataclasses.replace(self.settings, num_updates=max(1, self.settings.num_updates // len(kept)))
        total = settings.num_updates * len(kept)
        for place, group in enumerate(network.groups):
            rows = (assignment == place).nonzero().squeeze(1)

            def report(done: int, _: int, before: int = place * settings.num_updates) -> None:
                if progress is not None:
                    progress(before + done, total)

            if len(rows):
                fitted = self._train(group, preferences, seed, rows, settings, report)
                history += [{"group": float(place), **row} for row in fitted]
        self._normalise(preferences)
        return history

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """The pointwise-min reward (...) of observations (..., S); latents (..., 0) lend their leading shape."""
        return broadcast_over_latents(self.group_rewards(observations).amin(0), latents)

    def group_rewards(self, observations: Tensor) -> Tensor:
        """Every group's normalised reward (K, ...) of observations (..., S)."""
        no_latent = observations.new_zeros(0)
        return torch.stack([group.reward(observations, no_latent) for group in self.groups()])

    def groups(self) -> list[GroupReward]:
        """The K groups' normalised rewards, for the max-min policy."""
        return [GroupReward(self, group) for group in range(len(self.network.groups))]

    @torch.no_grad()
    def assign(self, preferences: PreferenceDataset) -> Tensor:
        """The group (U,) int64 to which each user's answers most probably belong."""
        columns = [self._log_likelihood(group, preferences) for group in self.network.groups]
        return assign_users(torch.stack(columns, 1), self.network.weights.cpu().double())

    def _cluster(self, preferences: PreferenceDataset, seed: int) -> Clustering[RewardNetwork]:
        """Hard EM on some of the users, with the number of groups that was asked for or does best."""
        settings = self.settings
        generator = np.random.default_rng([seed, 95])
        num_users = min(preferences.num_users, settings.clustering_users)
        chosen = np.sort(generator.choice(preferences.num_users, num_users, replace=False))
        users = preferences.take_users(chosen)
        if settings.num_groups:
            return self._hard_em(users, seed).run(settings.num_groups, settings.num_iterations, settings.num_restarts)
        return self._choose(users, seed)

    def _choose(self, users: PreferenceDataset, seed: int) -> Clustering[RewardNetwork]:
        """One group more as long as validation users' further answers become clearly more likely by it."""
        settings = self.settings
        known_rows, validation_rows = split_users(users.num_users, 0.2, seed)
        if len(validation_rows) < 2:
            raise LearnerError(
                f"{users.num_users} users are too few to choose num_groups by validation users; give a number"
            )
        known, validation = users.take_users(known_rows), users.take_users(validation_rows)
        context, targets = context_and_targets(torch.from_numpy(np.array(validation.mask)))
        em = self._hard_em(known, seed)
        tried: list[tuple[Clustering[RewardNetwork], Tensor]] = []
        for number in range(1, settings.max_groups + 1):
            clustering = em.run(number, settings.num_iterations, settings.num_restarts)
            groups = self._refined(clustering, known, seed)
            known_part, further_part = (
                torch.stack([self._log_likelihood(group, validation, mask) for group in groups], 1)
                for mask in (context, targets)
            )
            scores = predictive_log_likelihood(known_part, further_part, clustering.weights)
            if tried and not clearly_better(scores, tried[-1][1]):
                break
            tried.append((clustering, scores))
        return tried[-1][0]

    def _hard_em(self, users: PreferenceDataset, seed: int) -> HardEM[RewardNetwork]:
        seeds = np.random.default_rng([seed, 96])
        # the sizes and the normalisation of one group's network
        template = self.start(users, seed, num_groups=1).groups[0]

        def fit(group: RewardNetwork | None, rows: Tensor) -> RewardNetwork:
            fitted = copy.deepcopy(template if group is None else group)
            step_seed = int(seeds.integers(2**31))
            if group is None:
                initialise(fitted, torch.Generator().manual_seed(step_seed))
            step = self._step_settings(5 if group is None else 1, validation_fraction=0.0, num_validations=1)
            self._train(fitted, users, step_seed, rows, step)
            return fitted

        generator = torch.Generator().manual_seed(seed)
        return HardEM(fit, lambda group: self._log_likelihood(group, users), users.num_users, generator)

    def _refined(self, clustering: Clustering[RewardNetwork], users: PreferenceDataset, seed: int) -> nn.ModuleList:
        """The groups' models fitted to the end: else more groups would look better for having been fitted longer."""
        groups = nn.ModuleList(copy.deepcopy(group) for group in clustering.groups)
        settings = self._step_settings(10, validation_fraction=0.1, num_validations=10)
        for index, group in enumerate(groups):
            rows = (clustering.assignment == index).nonzero().squeeze(1)
            if len(rows):
                self._train(group, users, seed, rows, settings)
        return groups

    def _step_settings(self, num_steps: int, **changes: Any) -> MaxMinSettings:
        """As many updates as so many M-steps have."""
        num_updates, batch_users = num_steps * self.settings.step_updates, min(32, self.settings.batch_users)
        return dataclasses.replace(self.settings, num_updates=num_updates, batch_users=batch_users, **changes)

    def _logits(self, group: nn.Module, batch: Batch) -> Tensor:
        """Logits (U, K) of naming the first segment, by one group's reward."""
        return answer_logits(preference_logits(group(batch.segments).squeeze(-1)), self.settings.mistake_rate)

    def _train(
        self,
        group: nn.Module,
        preferences: PreferenceDataset,
        seed: int,
        rows: Tensor,
        settings: MaxMinSettings,
        progress: Progress | None = None,
    ) -> History:
        """Fits one group's reward to the users of these rows, in place."""

        def loss(batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
            return bradley_terry_loss(self._logits(group, batch), batch.labels, batch.mask)

        def predict(batch: Batch) -> tuple[Tensor, Tensor]:
            return self._logits(group, batch).sigmoid(), batch.mask

        return train(group, preferences, loss, predict, settings, seed, self.device, progress, rows.numpy())

    @torch.no_grad()
    def _log_likelihood(self, group: nn.Module, preferences: PreferenceDataset, mask: Tensor | None = None) -> Tensor:
        """Log-likelihood (U,) float64, on the CPU, of each user's answers, or of those in mask (U, K)."""
        parts = []
        for batch in PreferenceBatches(preferences, self.device).chunks(CHUNK_USERS):
            counted = batch.mask if mask is None else batch.mask & mask.to(batch.mask.device)[batch.rows]
            parts.append(-user_nll(self._logits(group, batch), batch.labels, counted).double().cpu())
        return torch.cat(parts)

    @torch.no_grad()
    def _normalise(self, preferences: PreferenceDataset) -> None:
        network = self.network
        segments = torch.from_numpy(np.array(preferences.segments[:CHUNK_USERS], dtype=np.float32))
        observations = segments.flatten(0, -2).to(self.device)
        rewards = torch.cat([group(observations) for group in network.groups], dim=-1)
        network.mean.copy_(rewards.mean(0))
        network.std.copy_(rewards.std(0, correction=0).clamp_min(1e-6))
