"""Implicit Q-learning of E runs in one set of stacked parameters, gradients multiplied out by hand."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from iql import losses
from iql.data import ReplayData, fold_rewards
from iql.networks import FeatureMap, Stack, Workspace, initial_parameters, num_parameters
from iql.settings import IQLError, IQLSettings

Rate = float | Tensor


class Learner:
    """E independent runs of IQL whose parameters, moments and batches lie side by side.

    One buffer (4E, P) holds, row by row, the first critics of all runs, the second critics, the actors and the value
    networks. All take the same padded input, [features, latent, action], where the action is zero for actors and
    value networks, and all give A outputs, of which critics and value networks use the first: so one batched product
    serves two critics and the actor of every run. Padding gets no gradient and stays what it was.

    An update keeps the order of the original code: the value network moves towards the target critics, then the
    actor is weighted by the target critics over the *new* values, then the critics regress on the new values, then
    the targets follow. Actor and critics do not read one another, so they share one pass.

    Args:
        data: of E runs, on the device to train on.
        settings: shared by all runs.
        seeds: one per run; a run's numbers depend on its own seed only.
    """

    def __init__(self, data: ReplayData, settings: IQLSettings, seeds: list[int]) -> None:
        if len(seeds) != data.num_runs:
            raise IQLError(f"the data hold {data.num_runs} runs, so {data.num_runs} seeds are needed, got {len(seeds)}")
        if settings.discrete_actions and not _one_hot(data.actions):
            raise IQLError("discrete_actions needs one-hot rows as actions")
        self.settings = settings
        self.device = data.observations.device
        self.num_runs = data.num_runs
        self.features = FeatureMap.fit(settings.features, data.observations)
        self.latent_size = data.latent_size
        self.action_size = data.actions.shape[1]
        self._state_size = self.features.size + self.latent_size
        self.widths = (self._state_size + self.action_size, *settings.hidden_sizes, self.action_size)
        self._prepare_data(data)
        self._prepare_parameters(seeds)
        self._prepare_buffers()

    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next update depends on, by name; written into in place when a run resumes."""
        return {
            "parameters": self.parameters,
            "targets": self.targets,
            "average": self.average,
            "first_moments": self._first,
            "second_moments": self._second,
            "steps": self._steps,
        }

    def actor(self) -> Tensor:
        """The actors that evaluation should use, (E, P): the averages where the settings ask for them."""
        runs = self.num_runs
        return self.average if self.settings.actor_average else self.parameters[2 * runs : 3 * runs]

    @torch.no_grad()
    def update(self, indices: Tensor, rate: Rate, actor_rate: Rate) -> None:
        """One gradient update of every run.

        Args:
            indices: (E, B) int64, the transitions of each run's batch.
            rate: Adam's step size for values and critics.
            actor_rate: Adam's step size for the actor.
        """
        settings, runs, batch = self.settings, self.num_runs, self.settings.batch_size
        rewards, discounts, actions = self._gather(indices)
        self._steps.add_(1)
        pair = self._inputs[: 2 * runs]
        self._target_values = self._target.forward(pair, self._work)[..., 0].view(2, runs, batch).amin(0)  # (E, B)

        states = self._value_inputs[:, :batch]
        self._difference = self._target_values - self._value.forward(states, self._value_work)[..., 0]
        self._value_gradient[..., 0] = losses.value_gradient(self._difference, settings.expectile)
        self._value.backward(states, self._value_gradient, self._value_work, self._value_grad)
        self._adam(3 * runs, 4 * runs, rate)

        values = self._value.forward(self._value_inputs, self._both_work)[..., 0]  # (E, 2B), at s and at s'
        self._advantages = self._target_values - values[:, :batch]
        weights = losses.advantage_weights(self._advantages, settings.temperature, settings.advantage_clip)
        self._targets_of_critics = losses.td_targets(rewards, discounts, values[:, batch:])

        outputs = self._joint.forward(self._inputs, self._joint_work)
        self._critic_values = outputs[: 2 * runs, :, 0].view(2, runs, batch)
        by_critics = losses.critic_gradient(self._critic_values, self._targets_of_critics)
        self._joint_gradient[: 2 * runs, :, 0] = by_critics.view(2 * runs, batch)
        self._actor_gradient(outputs[2 * runs :], actions, weights)
        self._joint.backward(self._inputs, self._joint_gradient, self._joint_work, self._joint_grad)
        if settings.schedule == "cosine-actor":
            self._adam(0, 2 * runs, rate)
            self._adam(2 * runs, 3 * runs, actor_rate)
        else:
            self._adam(0, 3 * runs, rate)

        self.targets.lerp_(self.parameters[: 2 * runs], settings.polyak)
        if settings.actor_average:
            self.average.lerp_(self.parameters[2 * runs : 3 * runs], settings.actor_average)

    def metrics(self) -> dict[str, list[float]]:
        """Losses and values of the last batch, one number per run; the only place that waits for the device."""
        weights = losses.advantage_weights(self._advantages, self.settings.temperature, self.settings.advantage_clip)
        rows = {
            "value_loss": losses.expectile_loss(self._difference, self.settings.expectile).mean(-1),
            "critic_loss": losses.critic_loss(self._critic_values, self._targets_of_critics).mean((0, -1)),
            "target_value": self._target_values.mean(-1),
            "advantage": self._advantages.mean(-1),
            "clipped_weights": (weights >= self.settings.advantage_clip).float().mean(-1),
        }
        if not self.settings.discrete_actions:
            rows["action_std"] = self._log_stds().exp().mean((1, 2))
        return {name: values.tolist() for name, values in rows.items()}

    def rates(self, start: int, stop: int) -> list[tuple[float, float]]:
        """Adam's step sizes (values and critics, actor) of the updates start to stop - 1."""
        settings = self.settings
        pairs = []
        for step in range(start, stop):
            decayed = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / settings.num_updates))
            rate = decayed if settings.schedule == "cosine" else settings.learning_rate
            pairs.append((rate, settings.learning_rate if settings.schedule == "constant" else decayed))
        return pairs

    def _prepare_data(self, data: ReplayData) -> None:
        """Everything that a batch needs, in the shape in which it is fetched."""
        settings = self.settings
        folded = fold_rewards(data.rewards, data.terminals, data.timeouts, settings.n_step, settings.discount)
        returns, bootstrap, discounts = folded
        actions = data.actions
        if not settings.discrete_actions:
            actions = actions.clamp(-1 + settings.action_clip, 1 - settings.action_clip)
        here, there = self.features(data.observations), self.features(data.next_observations)[bootstrap]
        self._table = torch.cat([here, actions, there, discounts[:, None]], dim=1)  # (N, F + A + F + 1)
        self._rewards = returns.reshape(-1)  # (E N,)
        self._latents = data.latents.flatten(0, 1)  # (E M, Z)
        runs = torch.arange(self.num_runs, device=self.device)[:, None]
        self._latent_rows = (data.latent_index + data.latents.shape[1] * runs).reshape(-1)  # (E N,)
        self._run_offsets = len(data) * runs
        self.num_transitions = len(data)

    def _prepare_parameters(self, seeds: list[int]) -> None:
        runs, size = self.num_runs, num_parameters(self.widths) + self.action_size
        self.parameters = torch.zeros(4 * runs, size, device=self.device)
        for run, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(seed)  # on the CPU: the same start on every device
            for net in range(4):
                inputs = self._state_size + (self.action_size if net < 2 else 0)
                drawn = initial_parameters(self.widths, inputs, generator)
                self.parameters[net * runs + run, : len(drawn)] = drawn.to(self.device)
        self.targets = self.parameters[: 2 * runs].clone()
        self.average = self.parameters[2 * runs : 3 * runs].clone()
        self._gradient = torch.zeros_like(self.parameters)
        self._first = torch.zeros_like(self.parameters)
        self._second = torch.zeros_like(self.parameters)
        self._steps = torch.zeros((), device=self.device)
        self._stack = Stack(self.parameters, self.widths)
        self._target = Stack(self.targets, self.widths)
        self._joint = Stack(self.parameters[: 3 * runs], self.widths)
        self._value = Stack(self.parameters[3 * runs :], self.widths)
        self._joint_grad = Stack(self._gradient[: 3 * runs], self.widths)
        self._value_grad = Stack(self._gradient[3 * runs :], self.widths)

    def _prepare_buffers(self) -> None:
        runs, batch, device = self.num_runs, self.settings.batch_size, self.device
        self._inputs = torch.zeros(3 * runs, batch, self.widths[0], device=device)
        self._value_inputs = torch.zeros(runs, 2 * batch, self.widths[0], device=device)
        self._work = Workspace(2 * runs, batch, self.widths, device)
        self._value_work = Workspace(runs, batch, self.widths, device)
        self._both_work = Workspace(runs, 2 * batch, self.widths, device)
        self._joint_work = Workspace(3 * runs, batch, self.widths, device)
        self._value_gradient = torch.zeros_like(self._value_work.outputs)
        self._joint_gradient = torch.zeros_like(self._joint_work.outputs)

    def _gather(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Fills the inputs; returns rewards (E, B), discounts (E, B) and actions (E, B, A)."""
        runs, batch = indices.shape
        size, states = self.features.size, self._state_size
        rows = self._table.index_select(0, indices.view(-1)).view(runs, batch, -1)
        here, actions, there, discounts = rows.split([size, self.action_size, size, 1], dim=-1)
        flat = (indices + self._run_offsets).view(-1)
        parts = self._inputs.view(3, runs, batch, -1)
        parts[:, :, :, :size] = here
        parts[:2, :, :, states:] = actions
        values = self._value_inputs.view(runs, 2, batch, -1)
        values[:, 0, :, :size] = here
        values[:, 1, :, :size] = there
        if self.latent_size:
            latents = self._latents.index_select(0, self._latent_rows.index_select(0, flat)).view(runs, batch, -1)
            parts[:, :, :, size:states] = latents
            values[:, :, :, size:states] = latents[:, None]
        return self._rewards.index_select(0, flat).view(runs, batch), discounts.squeeze(-1), actions

    def _log_stds(self) -> Tensor:
        """(E, 1, A), within their bounds."""
        runs = self.num_runs
        raw = self.parameters[2 * runs : 3 * runs, None, -self.action_size :]
        return raw.clamp(self.settings.min_log_std, self.settings.max_log_std)

    def _actor_gradient(self, outputs: Tensor, actions: Tensor, weights: Tensor) -> None:
        runs = self.num_runs
        if self.settings.discrete_actions:
            self._joint_gradient[2 * runs :] = losses.categorical_actor_gradient(outputs, actions, weights)
            return
        log_stds = self._log_stds()
        by_outputs, by_log_stds = losses.gaussian_actor_gradient(outputs, log_stds, actions, weights)
        self._joint_gradient[2 * runs :] = by_outputs
        raw = self.parameters[2 * runs : 3 * runs, None, -self.action_size :]
        self._gradient[2 * runs : 3 * runs, None, -self.action_size :] = by_log_stds * (raw == log_stds)

    def _adam(self, first_row: int, last_row: int, rate: Rate) -> None:
        """Adam (betas 0.9 and 0.999) on some rows of the buffer, in one kernel."""
        rows = slice(first_row, last_row)
        torch._fused_adam_(
            [self.parameters[rows]],
            [self._gradient[rows]],
            [self._first[rows]],
            [self._second[rows]],
            [],
            [self._steps],
            lr=rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )


def _one_hot(actions: Tensor) -> bool:
    return bool(((actions == 0) | (actions == 1)).all() and (actions.sum(1) == 1).all())
