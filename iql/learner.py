"""Implicit Q-learning of E runs in one set of stacked parameters, gradients multiplied out by hand."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pluralbench.iql import losses
from pluralbench.iql.data import ReplayData
from pluralbench.iql.networks import Stack, Workspace, initial_parameters, num_parameters
from pluralbench.iql.offline_learner import ADAM, Batch, OfflineLearner, Rate
from pluralbench.iql.settings import IQLSettings


class Learner(OfflineLearner):
    """E independent runs of IQL whose parameters, moments and batches lie side by side.

    One buffer (6E, P) holds, row by row, the two target critics of all runs, the two critics, the actors and the
    value networks. All take the same padded input, [features, latent, action], where the action is zero for actors
    and value networks, and all give A outputs, of which critics and value networks use the first: so one batched
    product serves every network of every run. Padding gets no gradient and stays what it was.

    An update keeps the order of the original code: the value network moves towards the target critics, then the
    actor is weighted by the target critics over the *new* values, then the critics regress on the new values, then
    the targets follow. What the networks give for the batch depends on none of these steps except for the new values,
    so all go forward in one pass at the start, and actor and critics go back in one.

    Values carry a group axis K, the rewards that one policy is to serve at once. Here K is 1; `iql.maxmin_iql` trains
    critics and value networks for every group and says how their advantages become one.
    """

    def __init__(self, data: ReplayData, settings: IQLSettings, seeds: list[int]) -> None:
        super().__init__(data, settings, seeds)
        self._prepare_parameters(seeds)
        self._prepare_buffers()

    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next update depends on, by name."""
        return {
            "parameters": self.parameters,
            "average": self.average,
            "first_moments": self._first,
            "second_moments": self._second,
            "steps": self._steps,
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` gave, on whatever device that was."""
        super().load_state(tensors)
        self._all.refresh()

    def actor(self) -> Tensor:
        """The actors that evaluation should use, (E, P): the averages where the settings ask for them."""
        return self.average if self.settings.actor_average else self._actor_rows[0]

    @torch.inference_mode()
    def update(self, batch: Batch, rate: Rate, actor_rate: Rate) -> None:
        """One gradient update of every run."""
        settings = self.settings
        self._fill_inputs(batch)
        self._steps.add_(1)
        self._all.forward(self._inputs, self._work)

        self._target_values = torch.minimum(self._target_first, self._target_second)
        self._differences = self._target_values - self._value_outputs
        self._write_value_gradient()
        self._value.backward(self._value_inputs, self._value_output_gradient, self._value_work, self._value_grad)
        self._adam(self._value_rows, rate)
        self._value.refresh()

        self._value.forward(self._both_states, self._both_work)
        self._advantages = self._scalarise(self._target_values - self._new_values)
        weights = losses.advantage_weights(self._advantages, settings.temperature, settings.advantage_clip)
        self._critic_targets = losses.td_targets(batch.rewards, batch.discounts, self._next_values)
        losses.critic_gradient(self._critic_outputs, self._critic_targets, out=self._critic_gradient)
        self._write_actor_gradient(batch.pairs[..., self.state_size :], weights)
        self._joint.backward(self._joint_inputs, self._joint_output_gradient, self._joint_work, self._joint_grad)
        if settings.schedule == "cosine-actor":
            self._adam(self._critic_rows, rate)
            self._adam(self._actor_rows, actor_rate)
        else:
            self._adam(self._joint_rows, rate)

        self.targets.lerp_(self._critic_rows[0], settings.polyak)
        self._followers.refresh()
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

    def _prepare_parameters(self, seeds: list[int]) -> None:
        runs, each = self.num_runs, self.num_runs * self.num_groups
        size = num_parameters(self.widths) + self.action_size
        self.parameters = torch.zeros(5 * each + runs, size, device=self.device)
        self.targets = self.parameters[: 2 * each]
        trained = self.parameters[2 * each :]
        blocks = trained.split([each, each, runs, each])  # critics, critics, actors, value networks
        for run, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(seed)  # on the CPU: the same start on every device
            for net, block in enumerate(blocks):
                inputs = self.state_size + (self.action_size if net < 2 else 0)
                for row in block.view(runs, -1, size)[run]:
                    drawn = initial_parameters(self.widths, inputs, generator)
                    row[: len(drawn)] = drawn.to(self.device)
        self.targets.copy_(trained[: 2 * each])
        self.average = blocks[2].clone()
        self._gradient, self._first, self._second = (torch.zeros_like(trained) for _ in range(3))
        self._steps = torch.zeros((), device=self.device)

        def rows(first: int, last: int) -> list[Tensor]:
            return [part[first:last] for part in (trained, self._gradient, self._first, self._second)]

        critics, joint, last = 2 * each, 2 * each + runs, 3 * each + runs
        self._critic_rows, self._actor_rows = rows(0, critics), rows(critics, joint)
        self._joint_rows, self._value_rows = rows(0, joint), rows(joint, last)
        self._all = Stack(self.parameters, self.widths, self.settings.precision)
        self._followers = self._all.rows(0, 2 * each + joint)  # what moves at the end of an update
        self._joint = self._all.rows(2 * each, 2 * each + joint)
        self._value = self._all.rows(2 * each + joint, 2 * each + last, num_outputs=1)
        self._joint_grad = Stack(self._joint_rows[1], self.widths)
        self._value_grad = Stack(self._value_rows[1], self.widths, num_outputs=1)
        self._raw_log_stds = self._actor_rows[0][:, None, -self.action_size :]  # (E, 1, A)
        self._log_std_grad = self._actor_rows[1][:, None, -self.action_size :]

    def _prepare_buffers(self) -> None:
        """What an update writes, and the views through which it reads it again."""
        runs, groups, batch, widths = self.num_runs, self.num_groups, self.settings.batch_size, self.widths
        each, device = runs * groups, self.device
        targets, joint = 2 * each, 4 * each + runs  # where the rows of the targets and of critics and actors end
        self._inputs = torch.zeros(5 * each + runs, batch, widths[0] + 1, device=device)
        self._joint_inputs, self._value_inputs = self._inputs[targets:joint], self._inputs[joint:]
        self._both_states = torch.zeros(each, 2 * batch, widths[0] + 1, device=device)  # at s, then at s'
        for inputs in (self._inputs, self._both_states):
            inputs[..., -1] = 1
        self._work = Workspace(self._all, batch)
        self._joint_work, self._value_work = self._work.rows(targets, joint), self._work.rows(joint, joint + each, 1)
        self._both_work = Workspace(self._value, 2 * batch)
        self._value_output_gradient = torch.zeros_like(self._value_work.outputs)
        self._joint_output_gradient = torch.zeros_like(self._joint_work.outputs)
        # what critics and value networks give is their first output; (E, K, B), for both critics (2, E, K, B)
        self._target_first, self._target_second = self._work.outputs[:targets, 0].view(2, runs, groups, batch)
        self._value_outputs = self._value_work.outputs[:, 0].view(runs, groups, batch)
        self._value_gradient = self._value_output_gradient[:, 0].view(runs, groups, batch)
        self._new_values, self._next_values = (
            half.unflatten(0, (runs, groups)) for half in self._both_work.outputs[:, 0].split(batch, dim=1)
        )
        self._critic_outputs = self._joint_work.outputs[: 2 * each, 0].view(2, runs, groups, batch)
        self._critic_gradient = self._joint_output_gradient[: 2 * each, 0].view(2, runs, groups, batch)
        self._actor_outputs = self._joint_work.outputs[2 * each :].mT  # (E, B, A)
        self._actor_gradient = self._joint_output_gradient[2 * each :].mT
        self._prepare_slots()

    def _prepare_slots(self) -> None:
        """Where a batch goes in the inputs; every slot takes (E, 1, B, columns) by broadcasting."""
        runs, groups, batch, width = self.num_runs, self.num_groups, self.settings.batch_size, self.widths[0] + 1
        states, each = self.state_size, runs * groups
        both = self._both_states.view(runs, groups, 2, batch, width)
        actors = self._inputs[4 * each : 4 * each + runs].view(runs, 1, batch, width)
        values = self._value_inputs.view(runs, groups, batch, width)
        self._slot_pairs = self._inputs[: 4 * each].view(4, runs, groups, batch, width)[..., :-1]
        self._slots_states = [slot[..., :states] for slot in (actors, values, both[:, :, 0])]
        self._slot_after = both[:, :, 1, :, :states]

    def _fill_inputs(self, batch: Batch) -> None:
        pairs = batch.pairs[:, None]
        self._slot_pairs.copy_(pairs)
        states = pairs[..., : self.state_size]
        for slot in self._slots_states:
            slot.copy_(states)
        self._slot_after.copy_(batch.after[:, None])

    def _write_value_gradient(self) -> None:
        losses.expectile_gradient(self._differences, self.settings.expectile, out=self._value_gradient)

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
        _, by_log_stds = losses.gaussian_actor_gradient(outputs, log_stds, actions, weights, out=self._actor_gradient)
        torch.mul(by_log_stds, self._raw_log_stds == log_stds, out=self._log_std_grad)  # none outside the bounds

    def _adam(self, rows: list[Tensor], rate: Rate) -> None:
        """Adam on some rows of the buffer, in one kernel."""
        parameters, gradients, first, second = ([part] for part in rows)
        torch._fused_adam_(parameters, gradients, first, second, [], [self._steps], lr=rate, maximize=False, **ADAM)
