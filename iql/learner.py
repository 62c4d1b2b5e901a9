"""Implicit Q-learning of E runs in one set of stacked parameters, gradients multiplied out by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping

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

    Values carry a group axis K, the rewards that one policy is to serve at once. Here K is 1; `iql.maxmin_iql` trains
    critics and value networks for every group and says how their advantages become one.

    Args:
        data: of E runs, on the device to train on.
        settings: shared by all runs.
        seeds: one per run; a run's numbers depend on its own seed only.
    """

    rewards_axes = 2  # (E, N)

    def __init__(self, data: ReplayData, settings: IQLSettings, seeds: list[int]) -> None:
        if len(seeds) != data.num_runs:
            raise IQLError(f"the data hold {data.num_runs} runs, so {data.num_runs} seeds are needed, got {len(seeds)}")
        if settings.discrete_actions and not _one_hot(data.actions):
            raise IQLError("discrete_actions needs one-hot rows as actions")
        if data.rewards.ndim != self.rewards_axes:
            expected = "(E, N)" if self.rewards_axes == 2 else "(E, K, N)"
            raise IQLError(f"{type(self).__name__} needs rewards {expected}, got {tuple(data.rewards.shape)}")
        self.settings = settings
        self.device = data.observations.device
        self.num_runs = data.num_runs
        self.num_groups = data.rewards.shape[1] if self.rewards_axes == 3 else 1
        self.features = FeatureMap.fit(settings.features, data.observations)
        self.latent_size = data.latent_size
        self.action_size = data.actions.shape[1]
        self._state_size = self.features.size + self.latent_size
        self.widths = (self._state_size + self.action_size, *settings.hidden_sizes, self.action_size)
        self._prepare_data(data)
        self._prepare_parameters(seeds)
        self._prepare_buffers()

    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next update depends on, by name."""
        return {
            "parameters": self.parameters,
            "targets": self.targets,
            "average": self.average,
            "first_moments": self._first,
            "second_moments": self._second,
            "steps": self._steps,
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` gave, on whatever device that was."""
        for name, tensor in self.state().items():
            if name not in tensors or tensors[name].shape != tensor.shape:
                raise IQLError(f"the stored state has no {name} of shape {tuple(tensor.shape)}")
            tensor.copy_(tensors[name])
        for stack in (self._target, self._joint, self._value):
            stack.refresh()

    def actor(self) -> Tensor:
        """The actors that evaluation should use, (E, P): the averages where the settings ask for them."""
        return self.average if self.settings.actor_average else self._actor_rows[0]

    @torch.inference_mode()
    def update(self, indices: Tensor, rate: Rate, actor_rate: Rate) -> None:
        """One gradient update of every run.

        Args:
            indices: (E, B) int64, the transitions of each run's batch.
            rate: Adam's step size for values and critics.
            actor_rate: Adam's step size for the actor.
        """
        settings = self.settings
        rewards, discounts, actions = self._gather(indices)
        self._steps.add_(1)
        self._target.forward(self._pairs, self._target_work)
        torch.amin(self._target_outputs, 0, out=self._target_values)

        self._value.forward(self._states, self._value_work)
        torch.sub(self._target_values, self._value_outputs, out=self._differences)
        sides = losses.expectile_weights(self._scalarise(self._differences), settings.expectile)
        self._value_gradient.copy_(losses.value_gradient(self._differences, sides[:, None]))
        self._value.backward(self._states, self._value_output_gradient, self._value_work, self._value_grad)
        self._adam(self._value_rows, rate)
        self._value.refresh()

        self._value.forward(self._both_states, self._both_work)
        self._advantages.copy_(self._scalarise(self._target_values - self._new_values))
        weights = losses.advantage_weights(self._advantages, settings.temperature, settings.advantage_clip)
        self._critic_targets.copy_(losses.td_targets(rewards, discounts[:, None], self._next_values))

        self._joint.forward(self._inputs, self._joint_work)
        self._critic_gradient.copy_(losses.critic_gradient(self._critic_outputs, self._critic_targets))
        self._write_actor_gradient(actions, weights)
        self._joint.backward(self._inputs, self._joint_gradient, self._joint_work, self._joint_grad)
        if settings.schedule == "cosine-actor":
            self._adam(self._critic_rows, rate)
            self._adam(self._actor_rows, actor_rate)
        else:
            self._adam(self._joint_rows, rate)
        self._joint.refresh()

        self.targets.lerp_(self._critic_rows[0], settings.polyak)
        self._target.refresh()
        if settings.actor_average:
            self.average.lerp_(self._actor_rows[0], settings.actor_average)

    def metrics(self) -> dict[str, list[float]]:
        """Losses and values of the last batch, one number per run; the only place that waits for the device."""
        weights = losses.advantage_weights(self._advantages, self.settings.temperature, self.settings.advantage_clip)
        rows = {
            "value_loss": losses.expectile_loss(self._differences, self.settings.expectile).mean((1, 2)),
            "critic_loss": losses.critic_loss(self._critic_outputs, self._critic_targets).mean((0, 2, 3)),
            "target_value": self._target_values.mean((1, 2)),
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
        self.num_transitions = len(data)

    def _prepare_parameters(self, seeds: list[int]) -> None:
        runs, groups = self.num_runs, self.num_groups
        size, each = num_parameters(self.widths) + self.action_size, runs * groups
        self.parameters = torch.zeros(3 * each + runs, size, device=self.device)
        blocks = self.parameters.split([each, each, runs, each])  # critics, critics, actors, value networks
        for run, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(seed)  # on the CPU: the same start on every device
            for net, block in enumerate(blocks):
                inputs = self._state_size + (self.action_size if net < 2 else 0)
                for row in block.view(runs, -1, size)[run]:
                    drawn = initial_parameters(self.widths, inputs, generator)
                    row[: len(drawn)] = drawn.to(self.device)
        self.targets = self.parameters[: 2 * each].clone()
        self.average = self.parameters[2 * each : 2 * each + runs].clone()
        self._gradient = torch.zeros_like(self.parameters)
        self._first = torch.zeros_like(self.parameters)
        self._second = torch.zeros_like(self.parameters)
        self._steps = torch.zeros((), device=self.device)
        self._critic_rows = self._rows(0, 2 * each)
        self._actor_rows = self._rows(2 * each, 2 * each + runs)
        self._joint_rows = self._rows(0, 2 * each + runs)
        self._value_rows = self._rows(2 * each + runs, 3 * each + runs)
        widths, precision = self.widths, self.settings.precision
        self._target = Stack(self.targets, widths, precision)
        self._joint = Stack(self._joint_rows[0], widths, precision)
        self._value = Stack(self._value_rows[0], widths, precision)
        self._joint_grad = Stack(self._joint_rows[1], widths)
        self._value_grad = Stack(self._value_rows[1], widths)
        self._raw_log_stds = self._actor_rows[0][:, None, -self.action_size :]  # (E, 1, A)
        self._log_std_grad = self._actor_rows[1][:, None, -self.action_size :]

    def _rows(self, first: int, last: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Some rows of the parameters, their gradients and both moments."""
        rows = slice(first, last)
        return self.parameters[rows], self._gradient[rows], self._first[rows], self._second[rows]

    def _prepare_buffers(self) -> None:
        """What an update writes, and the views through which it reads it again."""
        runs, groups, batch, widths = self.num_runs, self.num_groups, self.settings.batch_size, self.widths
        each, precision, device = runs * groups, self.settings.precision, self.device
        self._inputs = torch.zeros(2 * each + runs, batch, widths[0], device=device)
        self._both_states = torch.zeros(each, 2 * batch, widths[0], device=device)  # at s, then at s'
        self._pairs = self._inputs[: 2 * each]
        self._states = self._both_states[:, :batch]
        self._target_work = Workspace(2 * each, batch, widths, device, precision)
        self._value_work = Workspace(each, batch, widths, device, precision)
        self._both_work = Workspace(each, 2 * batch, widths, device, precision)
        self._joint_work = Workspace(2 * each + runs, batch, widths, device, precision)
        self._value_output_gradient = torch.zeros_like(self._value_work.outputs)
        self._joint_gradient = torch.zeros_like(self._joint_work.outputs)
        # what critics and value networks give is their first output; (E, K, B), for both critics (2, E, K, B)
        self._target_outputs = self._target_work.outputs[:, 0].view(2, runs, groups, batch)
        self._value_outputs = self._value_work.outputs[:, 0].view(runs, groups, batch)
        self._value_gradient = self._value_output_gradient[:, 0].view(runs, groups, batch)
        self._new_values, self._next_values = (
            half.unflatten(0, (runs, groups)) for half in self._both_work.outputs[:, 0].split(batch, dim=1)
        )
        self._critic_outputs = self._joint_work.outputs[: 2 * each, 0].view(2, runs, groups, batch)
        self._critic_gradient = self._joint_gradient[: 2 * each, 0].view(2, runs, groups, batch)
        self._actor_outputs = self._joint_work.outputs[2 * each :].mT  # (E, B, A)
        self._actor_gradient = self._joint_gradient[2 * each :].mT
        self._target_values = torch.zeros(runs, groups, batch, device=device)
        self._differences = torch.zeros_like(self._target_values)
        self._critic_targets = torch.zeros_like(self._target_values)
        self._advantages = torch.zeros(runs, batch, device=device)
        self._prepare_slots()

    def _prepare_slots(self) -> None:
        """Where the parts of a batch go in the inputs; every slot takes (E, 1, B, columns) by broadcasting."""
        runs, groups, batch, width = self.num_runs, self.num_groups, self.settings.batch_size, self.widths[0]
        size, states, each = self.features.size, self._state_size, runs * groups
        critics = self._inputs[: 2 * each].view(2, runs, groups, batch, width)
        actors = self._inputs[2 * each :].view(runs, 1, batch, width)
        both = self._both_states.view(runs, groups, 2, batch, width)
        at_s, after = both[:, :, 0], both[:, :, 1]
        self._slots_here = [slot[..., :size] for slot in (critics, actors, at_s)]
        self._slot_there = after[..., :size]
        self._slot_actions = critics[..., states:]
        self._slots_latents = [slot[..., size:states] for slot in (critics, actors, at_s, after)]

    def _gather(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Fills the inputs; returns rewards (E, K, B), discounts (E, B) and actions (E, B, A)."""
        runs, batch = indices.shape
        rows = self._table.index_select(0, indices.view(-1)).view(runs, 1, batch, -1)
        here, actions, there, discounts = rows.split(self._columns, dim=-1)
        flat = (indices + self._run_offsets).view(-1)
        for slot in self._slots_here:
            slot.copy_(here)
        self._slot_there.copy_(there)
        self._slot_actions.copy_(actions)
        if self.latent_size:
            latents = self._latents.index_select(0, self._latent_rows.index_select(0, flat)).view(runs, 1, batch, -1)
            for slot in self._slots_latents:
                slot.copy_(latents)
        rewards = self._rewards.index_select(0, flat).view(runs, batch, -1).mT
        return rewards, discounts[:, 0, :, 0], actions[:, 0]

    def _scalarise(self, values: Tensor) -> Tensor:
        """What counts for the policy, (E, B), of numbers (E, K, B) per group."""
        return values[:, 0]

    def _log_stds(self) -> Tensor:
        """(E, 1, A), within their bounds."""
        return self._raw_log_stds.clamp(self.settings.min_log_std, self.settings.max_log_std)

    def _write_actor_gradient(self, actions: Tensor, weights: Tensor) -> None:
        outputs = self._actor_outputs
        if self.settings.discrete_actions:
            self._actor_gradient.copy_(losses.categorical_actor_gradient(outputs, actions, weights))
            return
        log_stds = self._log_stds()
        by_outputs, by_log_stds = losses.gaussian_actor_gradient(outputs, log_stds, actions, weights)
        self._actor_gradient.copy_(by_outputs)
        self._log_std_grad.copy_(by_log_stds * (self._raw_log_stds == log_stds))  # no gradient outside the bounds

    def _adam(self, rows: tuple[Tensor, Tensor, Tensor, Tensor], rate: Rate) -> None:
        """Adam (betas 0.9 and 0.999) on some rows of the buffer, in one kernel."""
        parameters, gradient, first, second = rows
        torch._fused_adam_(
            [parameters],
            [gradient],
            [first],
            [second],
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
