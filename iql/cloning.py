"""Behaviour cloning of E runs at once: IQL's actor with every weight 1, and no values.

It maximises the mean of log pi(a | s) over the data's actions (Pomerleau, 1989). Batches, features, step sizes and the
actor's average are those of `IQLSettings`; rewards are not looked at.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pluralbench.iql import losses
from pluralbench.iql.data import ReplayData
from pluralbench.iql.networks import Stack, Workspace, initial_parameters, num_parameters
from pluralbench.iql.offline_learner import ADAM, Batch, OfflineLearner, Rate
from pluralbench.iql.settings import IQLSettings


class CloningLearner(OfflineLearner):
    """E actors, side by side in one buffer (E, P), that learn to do what the data does."""

    def __init__(self, data: ReplayData, settings: IQLSettings, seeds: list[int]) -> None:
        super().__init__(data, settings, seeds)
        parameters = torch.zeros(self.num_runs, num_parameters(self.widths) + self.action_size)
        for row, seed in zip(parameters, seeds, strict=True):
            drawn = initial_parameters(self.widths, self.state_size, torch.Generator().manual_seed(seed))
            row[: len(drawn)] = drawn
        self._parameters = parameters.to(self.device)
        self._average = self._parameters.clone()
        self._gradient, self._first, self._second = (torch.zeros_like(self._parameters) for _ in range(3))
        self._steps = torch.zeros((), device=self.device)
        self._stack = Stack(self._parameters, self.widths, settings.precision)
        self._stack_gradient = Stack(self._gradient, self.widths)
        self._work = Workspace(self._stack, settings.batch_size)
        self._inputs = torch.zeros(self.num_runs, settings.batch_size, self.widths[0] + 1, device=self.device)
        self._inputs[..., -1] = 1
        self._raw_log_stds = self._parameters[:, None, -self.action_size :]  # (E, 1, A)
        self._weights = torch.ones(self.num_runs, settings.batch_size, device=self.device)
        self._likelihood = torch.zeros(self.num_runs, device=self.device)

    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next update depends on, by name."""
        return {
            "parameters": self._parameters,
            "average": self._average,
            "first_moments": self._first,
            "second_moments": self._second,
            "steps": self._steps,
        }

    def actor(self) -> Tensor:
        """The actors that evaluation should use, (E, P): the averages where the settings ask for them."""
        return self._average if self.settings.actor_average else self._parameters

    @torch.inference_mode()
    def update(self, batch: Batch, rate: Rate, actor_rate: Rate) -> None:
        """One gradient step of every run."""
        states, actions = batch.pairs.split([self.state_size, self.action_size], dim=-1)
        self._inputs[..., : self.state_size] = states
        self._stack.refresh()
        outputs = self._stack.forward(self._inputs, self._work).mT  # (E, B, A)
        self._steps.add_(1)
        if self.settings.discrete_actions:
            self._likelihood = losses.categorical_log_prob(outputs, actions).mean(-1)
            by_outputs = losses.categorical_actor_gradient(outputs, actions, self._weights)
        else:
            log_stds = self._raw_log_stds.clamp(self.settings.min_log_std, self.settings.max_log_std)
            self._likelihood = losses.gaussian_log_prob(outputs.tanh(), log_stds, actions).mean(-1)
            by_outputs, by_log_stds = losses.gaussian_actor_gradient(outputs, log_stds, actions, self._weights)
            self._gradient[:, None, -self.action_size :] = by_log_stds * (self._raw_log_stds == log_stds)
        self._stack.backward(self._inputs, by_outputs.mT.contiguous(), self._work, self._stack_gradient)
        moved = [self._parameters], [self._gradient], [self._first], [self._second]
        torch._fused_adam_(*moved, [], [self._steps], lr=actor_rate, maximize=False, **ADAM)
        if self.settings.actor_average:
            self._average.lerp_(self._parameters, self.settings.actor_average)

    def metrics(self) -> dict[str, list[float]]:
        """The last batch's mean log-likelihood, one number per run."""
        return {"log_likelihood": self._likelihood.tolist()}
