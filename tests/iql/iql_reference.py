"""IQL written a second time with autograd, `torch.optim.Adam` and one network per role, to check the learner."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from pluralbench.iql import losses
from pluralbench.iql.learner import Learner
from pluralbench.iql.networks import Stack


def mlp(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def layer_weight(stack: Stack, layer: int, row: int, shape: tuple[int, ...]) -> Tensor:
    """One network's weight (out, in) without its padding."""
    weight = stack.weights[layer][row]
    weight = weight if layer == len(stack.weights) - 1 else weight.T
    return weight[: shape[0], : shape[1]]


def trained_stack(learner: Learner) -> Stack:
    """All networks but the targets: critics, critics, actors and value networks, each E rows."""
    return Stack(learner.parameters[len(learner.targets) :], learner.widths)


class ReferenceIQL:
    """One run of a learner, its parameters copied, its update in the order of the original code."""

    def __init__(self, learner: Learner, run: int) -> None:
        self.settings = learner.settings
        self.learner, self.run = learner, run
        state, actions = learner.widths[0] - learner.action_size, learner.action_size
        hidden = learner.settings.hidden_sizes
        self.q1, self.q2 = mlp((state + actions, *hidden, 1)), mlp((state + actions, *hidden, 1))
        self.t1, self.t2 = mlp((state + actions, *hidden, 1)), mlp((state + actions, *hidden, 1))
        self.pi, self.v = mlp((state, *hidden, actions)), mlp((state, *hidden, 1))
        self.log_std = nn.Parameter(torch.zeros(1, actions))
        stack, runs = trained_stack(learner), learner.num_runs
        for net, row in ((self.q1, 0), (self.q2, 1), (self.pi, 2), (self.v, 3), (self.t1, 0), (self.t2, 1)):
            linears = [module for module in net if isinstance(module, nn.Linear)]
            for layer, linear in enumerate(linears):
                linear.weight.data = layer_weight(stack, layer, row * runs + run, tuple(linear.weight.shape)).clone()
                linear.bias.data = stack.biases[layer][row * runs + run].flatten()[: linear.out_features].clone()
        self.average = [p.detach().clone() for p in self.pi.parameters()]
        critics = [*self.q1.parameters(), *self.q2.parameters()]
        rate = learner.settings.learning_rate
        self.adam_v = torch.optim.Adam(self.v.parameters(), rate)
        self.adam_q = torch.optim.Adam(critics, rate)
        self.adam_pi = torch.optim.Adam([*self.pi.parameters(), self.log_std], rate)

    def update(self, batch: dict[str, Tensor], rate: float, actor_rate: float) -> None:
        settings = self.settings
        state, next_state, actions = batch["state"], batch["next_state"], batch["actions"]
        pair = torch.cat([state, actions], 1)
        for adam, lr in ((self.adam_v, rate), (self.adam_q, rate), (self.adam_pi, actor_rate)):
            adam.param_groups[0]["lr"] = lr
        with torch.no_grad():
            target = torch.minimum(self.t1(pair), self.t2(pair)).squeeze(1)
        _step(self.adam_v, losses.expectile_loss(target - self.v(state).squeeze(1), settings.expectile).mean())
        with torch.no_grad():
            advantages = target - self.v(state).squeeze(1)
            weights = losses.advantage_weights(advantages, settings.temperature, settings.advantage_clip)
        if settings.discrete_actions:
            log_prob = losses.categorical_log_prob(self.pi(state), actions)
        else:
            log_std = self.log_std.clamp(settings.min_log_std, settings.max_log_std)
            log_prob = losses.gaussian_log_prob(self.pi(state).tanh(), log_std, actions)
        _step(self.adam_pi, -(weights * log_prob).mean())
        with torch.no_grad():
            goal = losses.td_targets(batch["rewards"], batch["discounts"], self.v(next_state).squeeze(1))
        first, second = self.q1(pair).squeeze(1), self.q2(pair).squeeze(1)
        _step(self.adam_q, losses.critic_loss(first, goal).mean() + losses.critic_loss(second, goal).mean())
        with torch.no_grad():
            for net, follower in ((self.q1, self.t1), (self.q2, self.t2)):
                for source, slow in zip(net.parameters(), follower.parameters(), strict=True):
                    slow.lerp_(source, settings.polyak)
            for source, slow in zip(self.pi.parameters(), self.average, strict=True):
                slow.lerp_(source, settings.actor_average)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
