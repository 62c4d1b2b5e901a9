"""How fast IQL's updates are, beside a plain eager PyTorch IQL with the same networks in the same process.

The baseline is written as most public implementations are: one network and one optimiser per role, one loss after
another, metrics read at every update. It fetches its batches from tensors on the device, as ours does, and computes
the target critics once per update.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from pluralbench.iql import IQLSettings, ReplayData
from pluralbench.iql.learner import Learner
from pluralbench.iql.losses import expectile_loss, gaussian_log_prob
from pluralbench.iql.runner import Runner
from pluralbench.iql.settings import Precision


@dataclass(frozen=True)
class UpdateSpeed:
    """One measured row.

    Attributes:
        name: what was measured.
        runs: E, trained at once.
        threads: of PyTorch.
        ours: updates per second, summed over the runs; the median of the rounds.
        baseline: the same of the plain baseline, which trains one run.
        ratio: median over the rounds of ours over the baseline of the same round.
    """

    name: str
    runs: int
    threads: int
    ours: float
    baseline: float
    ratio: float


def _mlp(inputs: int, outputs: int, hidden: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class PlainIQL:
    """IQL as one would first write it."""

    def __init__(self, data: ReplayData, settings: IQLSettings) -> None:
        self.settings = settings
        self.data = data
        device = data.observations.device
        state, action = data.observations.shape[1], data.actions.shape[1]
        hidden = settings.hidden_sizes
        self.q1, self.q2 = (_mlp(state + action, 1, hidden).to(device) for _ in range(2))
        self.target_q1, self.target_q2 = (_mlp(state + action, 1, hidden).to(device) for _ in range(2))
        self.target_q1.load_state_dict(self.q1.state_dict())
        self.target_q2.load_state_dict(self.q2.state_dict())
        self.value = _mlp(state, 1, hidden).to(device)
        self.actor = _mlp(state, action, hidden).to(device)
        self.log_std = nn.Parameter(torch.zeros(action, device=device))
        rate = settings.learning_rate
        self.value_optimizer = torch.optim.Adam(self.value.parameters(), lr=rate)
        self.q1_optimizer = torch.optim.Adam(self.q1.parameters(), lr=rate)
        self.q2_optimizer = torch.optim.Adam(self.q2.parameters(), lr=rate)
        self.actor_optimizer = torch.optim.Adam([*self.actor.parameters(), self.log_std], lr=rate)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.actor_optimizer, settings.num_updates)

    def update(self) -> dict[str, float]:
        """One update; returns its metrics."""
        settings, data = self.settings, self.data
        index = torch.randint(len(data), (settings.batch_size,), device=data.observations.device)
        observations, actions = data.observations[index], data.actions[index]
        next_observations, rewards = data.next_observations[index], data.rewards[0, index]
        not_done = 1 - data.terminals[index].float()

        pair = torch.cat([observations, actions], dim=1)
        with torch.no_grad():
            target = torch.minimum(self.target_q1(pair), self.target_q2(pair)).squeeze(1)
        value = self.value(observations).squeeze(1)
        value_loss = expectile_loss(target - value, settings.expectile).mean()
        self.value_optimizer.zero_grad()
        value_loss.backward()
        self.value_optimizer.step()

        with torch.no_grad():
            advantage = target - self.value(observations).squeeze(1)
            weights = torch.exp(settings.temperature * advantage).clamp(max=settings.advantage_clip)
        log_std = self.log_std.clamp(settings.min_log_std, settings.max_log_std)
        log_prob = gaussian_log_prob(torch.tanh(self.actor(observations)), log_std, actions)
        actor_loss = -(weights * log_prob).mean()
        self.actor_optimizer.zero_grad()
        actor_loss.backward()
        self.actor_optimizer.step()
        self.schedule.step()

        with torch.no_grad():
            goal = rewards + settings.discount * not_done * self.value(next_observations).squeeze(1)
        critic_losses = []
        for critic, optimizer in ((self.q1, self.q1_optimizer), (self.q2, self.q2_optimizer)):
            critic_loss = ((critic(pair).squeeze(1) - goal) ** 2).mean()
            optimizer.zero_grad()
            critic_loss.backward()
            optimizer.step()
            critic_losses.append(critic_loss)

        with torch.no_grad():
            for net, slow in ((self.q1, self.target_q1), (self.q2, self.target_q2)):
                for parameter, follower in zip(net.parameters(), slow.parameters(), strict=True):
                    follower.mul_(1 - settings.polyak).add_(parameter, alpha=settings.polyak)
        return {
            "value_loss": value_loss.item(),
            "actor_loss": actor_loss.item(),
            "q1_loss": critic_losses[0].item(),
            "q2_loss": critic_losses[1].item(),
            "value": value.mean().item(),
            "advantage": advantage.mean().item(),
        }


def random_data(runs: int, device: str, num: int = 100_000, state: int = 12, action: int = 2) -> ReplayData:
    """Transitions of the maze's size after its input features, with random contents."""
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(num, state))
    return ReplayData.from_arrays(
        observations,
        rng.uniform(-1, 1, (num, action)),
        observations + 0.1 * rng.normal(size=(num, state)),
        rng.random(num) < 0.01,
        np.zeros(num, bool),
        rng.random((runs, num)),
        device=device,
    )


def measure_updates(
    runs: int = 1,
    precision: Precision = "float32",
    device: str = "cpu",
    threads: int | None = None,
    rounds: int = 5,
    seconds: float = 1.0,
) -> UpdateSpeed:
    """Updates per second of ours and of the baseline, in turns of about `seconds` each, `rounds` times.

    Batch 256, two hidden layers of 256. The baseline trains one run; `runs` of ours are trained at once.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        settings = replace(IQLSettings(), precision=precision)
        plain = PlainIQL(random_data(1, device), settings)
        runner = Runner(Learner(random_data(runs, device), settings, list(range(runs))), list(range(runs)))
        done = [0]

        def many(count: int) -> None:
            runner.run(done[0], done[0] + count)
            done[0] += count

        def one_by_one(count: int) -> None:
            for _ in range(count):
                plain.update()

        rates = []
        for _ in range(rounds + 1):  # the first round warms up
            baseline = _rate(one_by_one, seconds, device)
            rates.append((runs * _rate(many, seconds, device), baseline))
        rates = rates[1:]
        return UpdateSpeed(
            name=f"IQL updates/s, {device}, {precision}, {runs} run{'s' if runs > 1 else ''}",
            runs=runs,
            threads=torch.get_num_threads(),
            ours=statistics.median(ours for ours, _ in rates),
            baseline=statistics.median(baseline for _, baseline in rates),
            ratio=statistics.median(ours / baseline for ours, baseline in rates),
        )
    finally:
        torch.set_num_threads(before)


def _rate(work: Callable[[int], None], seconds: float, device: str) -> float:
    """Calls per second of `work`, in portions until `seconds` have passed."""
    _synchronise(device)
    began, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        work(25)
        count += 25
        _synchronise(device)
    return count / passed


def _synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
