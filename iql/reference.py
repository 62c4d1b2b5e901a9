"""IQL as one would read it (Kostrikov et al., ICLR 2022, arXiv 2110.06169): the yardstick of tests and of speed.

One method per loss, autograd, `torch.optim.Adam`, one network per role; E runs are E such learners, one after the
other. `iql.learner` computes the same numbers, to within rounding, several times as fast. Choose this one with
`IQLSettings(implementation="reference")`; it starts from the same parameters and sees the same batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from pluralbench.iql import losses
from pluralbench.iql.data import ReplayData
from pluralbench.iql.networks import Stack, initial_parameters, num_parameters
from pluralbench.iql.offline_learner import Batch, OfflineLearner, Rate
from pluralbench.iql.settings import IQLSettings

Metrics = dict[str, Tensor]


class Transitions(NamedTuple):
    """One run's batch. A state is [features of the observation, latent of the user]."""

    states: Tensor
    """(B, F + Z)."""
    actions: Tensor
    """(B, A), one-hot where actions are discrete."""
    next_states: Tensor
    """(B, F + Z), after the last summed reward."""
    rewards: Tensor
    """(B,), summed over n steps."""
    discounts: Tensor
    """(B,), discount^n, and 0 where the task ended on the way."""


class Actor(nn.Module):
    """A diagonal Gaussian around tanh(net(s)) with a deviation that is the same in all states, or logits of choices."""

    def __init__(self, net: nn.Sequential, action_size: int, settings: IQLSettings) -> None:
        super().__init__()
        self.net = net
        self.log_std = nn.Parameter(torch.zeros(action_size))
        self.settings = settings

    def bounded_log_std(self) -> Tensor:
        """(A,), within the settings' bounds."""
        return self.log_std.clamp(self.settings.min_log_std, self.settings.max_log_std)

    def log_prob(self, states: Tensor, actions: Tensor) -> Tensor:
        """(B,), log pi(a | s)."""
        if self.settings.discrete_actions:
            return losses.categorical_log_prob(self.net(states), actions)
        return losses.gaussian_log_prob(self.net(states).tanh(), self.bounded_log_std(), actions)


class ReferenceIQL(nn.Module):
    """One run: two critics with targets that follow slowly, a value network and an actor.

    Widths and state size are those of `OfflineLearner`; the seed draws the initial parameters.
    """

    def __init__(
        self, widths: Sequence[int], state_size: int, settings: IQLSettings, seed: int, device: torch.device
    ) -> None:
        super().__init__()
        self.settings = settings
        generator = torch.Generator().manual_seed(seed)
        pair_size, action_size = widths[0], widths[-1]

        def network(inputs: int, outputs: int) -> nn.Sequential:
            return network_of(initial_parameters(widths, inputs, generator), widths, inputs, outputs)

        self.critics = nn.ModuleList([network(pair_size, 1), network(pair_size, 1)])
        self.actor = Actor(network(state_size, action_size), action_size, settings)
        self.value = network(state_size, 1)
        self.target_critics = deepcopy(self.critics).requires_grad_(False)
        self.average_actor = deepcopy(self.actor).requires_grad_(False)
        self.to(device)
        parts = {"value": self.value, "actor": self.actor, "critics": self.critics}
        self.optimizers = {name: torch.optim.Adam(part.parameters()) for name, part in parts.items()}  # rate: `_step`
        for optimizer in self.optimizers.values():  # as Adam's first step would: `state` names them from the start
            for parameter in optimizer.param_groups[0]["params"]:
                moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                optimizer.state[parameter] = {"step": torch.zeros(()), **moments}
        self.metrics: Metrics = {}

    def update(self, batch: Transitions, rate: Rate, actor_rate: Rate) -> None:
        """One step of V, of the actor and of Q, in the order of the original code; then the slow copies follow."""
        with torch.no_grad():
            target_values = torch.minimum(*self.q_values(self.target_critics, batch))  # (B,)
        value_loss, value_metrics = self.value_loss(batch, target_values)
        self._step("value", value_loss, rate)
        actor_loss, actor_metrics = self.actor_loss(batch, target_values)
        self._step("actor", actor_loss, actor_rate)
        critic_loss, critic_metrics = self.critic_loss(batch)
        self._step("critics", critic_loss, rate)
        follow(self.target_critics, self.critics, self.settings.polyak)
        if self.settings.actor_average:
            follow(self.average_actor, self.actor, self.settings.actor_average)
        self.metrics = {**value_metrics, **critic_metrics, **actor_metrics}

    def value_loss(self, batch: Transitions, target_values: Tensor) -> tuple[Tensor, Metrics]:
        """Expectile regression of V(s) on the target critics' smaller Q(s, a), (B,) (eq. 5)."""
        difference = target_values - self.value(batch.states).squeeze(1)
        loss = losses.expectile_loss(difference, self.settings.expectile).mean()
        return loss, {"value_loss": loss.detach(), "target_value": target_values.mean()}

    def actor_loss(self, batch: Transitions, target_values: Tensor) -> tuple[Tensor, Metrics]:
        """Behaviour cloning, weighted by exp(temperature (Q(s, a) - V(s))) (eq. 7)."""
        settings = self.settings
        with torch.no_grad():
            advantages = target_values - self.value(batch.states).squeeze(1)
            weights = losses.advantage_weights(advantages, settings.temperature, settings.advantage_clip)
        loss = -(weights * self.actor.log_prob(batch.states, batch.actions)).mean()
        clipped = (weights >= settings.advantage_clip).float().mean()
        return loss, {"advantage": advantages.mean(), "clipped_weights": clipped}

    def critic_loss(self, batch: Transitions) -> tuple[Tensor, Metrics]:
        """Squares of both critics' temporal differences to r + gamma V(s') (eq. 6)."""
        with torch.no_grad():
            next_values = self.value(batch.next_states).squeeze(1)
            targets = losses.td_targets(batch.rewards, batch.discounts, next_values)
        first, second = self.q_values(self.critics, batch)
        loss = losses.critic_loss(first, targets).mean() + losses.critic_loss(second, targets).mean()
        return loss, {"critic_loss": loss.detach() / 2}

    def q_values(self, critics: Iterable[nn.Module], batch: Transitions) -> list[Tensor]:
        """Q(s, a) of each critic, (B,)."""
        pairs = torch.cat([batch.states, batch.actions], dim=1)
        return [critic(pairs).squeeze(1) for critic in critics]

    def _step(self, name: str, loss: Tensor, rate: Rate) -> None:
        optimizer = self.optimizers[name]
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class ReferenceLearner(OfflineLearner):
    """E runs of `ReferenceIQL`, one after the other, behind the interface of the fast learner; float32 only."""

    capturable: ClassVar[bool] = False

    def __init__(self, data: ReplayData, settings: IQLSettings, seeds: list[int]) -> None:
        super().__init__(data, settings, seeds)
        self.runs = [ReferenceIQL(self.widths, self.state_size, settings, seed, self.device) for seed in seeds]

    def update(self, batch: Batch, rate: Rate, actor_rate: Rate) -> None:
        """One gradient update of every run."""
        for index, run in enumerate(self.runs):
            states, actions = batch.pairs[index].split([self.state_size, self.action_size], dim=1)
            rewards, discounts = batch.rewards[index, 0], batch.discounts[index, 0]
            run.update(Transitions(states, actions, batch.after[index], rewards, discounts), rate, actor_rate)

    @torch.no_grad()
    def actor(self) -> Tensor:
        """The actors that evaluation should use, (E, P): the averages where the settings ask for them."""
        acting = [run.average_actor if self.settings.actor_average else run.actor for run in self.runs]
        return torch.stack([flat_actor(actor, self.widths) for actor in acting])

    @torch.no_grad()
    def metrics(self) -> dict[str, list[float]]:
        """Losses and values of the last batch, one number per run."""
        rows = {name: [float(run.metrics[name]) for run in self.runs] for name in self.runs[0].metrics}
        if not self.settings.discrete_actions:
            rows["action_std"] = [float(run.actor.bounded_log_std().exp().mean()) for run in self.runs]
        return rows

    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next update depends on, by name: parameters, and Adam's steps and moments."""
        tensors = {}
        for index, run in enumerate(self.runs):
            for name, tensor in run.state_dict().items():
                tensors[f"{index}.{name}"] = tensor
            for role, optimizer in run.optimizers.items():
                for number, moments in optimizer.state_dict()["state"].items():
                    for name, tensor in moments.items():
                        tensors[f"{index}.adam.{role}.{number}.{name}"] = tensor
        return tensors


def network_of(flat: Tensor, widths: Sequence[int], inputs: int, outputs: int) -> nn.Sequential:
    """The network of a flat row (P,) of `iql.networks`, without its padding: linear layers with ReLU between them."""
    stack = Stack(flat[None], widths)
    layers: list[nn.Module] = []
    for layer, (before, after) in enumerate(pairwise((inputs, *widths[1:-1], outputs))):
        linear = nn.utils.skip_init(nn.Linear, before, after)  # draws nothing from the global generator
        weight = stack.weights[layer][0]
        weight = weight if layer == len(widths) - 2 else weight.T  # (out, in)
        linear.weight.data.copy_(weight[:after, :before])
        linear.bias.data.copy_(stack.biases[layer].flatten()[:after])
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def flat_actor(actor: Actor, widths: Sequence[int]) -> Tensor:
    """The actor as a flat row (P,), padded with zeros, the log standard deviations last."""
    flat = actor.log_std.new_zeros(num_parameters(widths) + widths[-1])
    stack = Stack(flat[None], widths)
    linears = [module for module in actor.net if isinstance(module, nn.Linear)]
    for layer, linear in enumerate(linears):
        weight = linear.weight if linear is linears[-1] else linear.weight.T
        stack.weights[layer][0, : weight.shape[0]] = weight
        stack.biases[layer].view(-1).copy_(linear.bias)
    flat[-widths[-1] :] = actor.log_std
    return flat


@torch.no_grad()
def follow(slow: nn.Module, source: nn.Module, share: float) -> None:
    """Moves `share` of the source's parameters into those of its slow copy."""
    for follower, parameter in zip(slow.parameters(), source.parameters(), strict=True):
        follower.lerp_(parameter, share)
