"""`pluralbench speed`: what runs how fast on this machine.

Every row stands beside a baseline measured in the same process a moment before or after, so that the ratio means the
same on any machine. Nothing here is asserted in a test: times are measured, not promised.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from rich.table import Table

from pluralbench.benchmarks.commands.arguments import device_for
from pluralbench.benchmarks.commands.places import check_result_folder
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.benchmarks.experiments.settings import ExperimentError
from pluralbench.benchmarks.provenance import provenance
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.benchmarks.speed_iql import measure_updates
from pluralbench.benchmarks.stages.evaluate import run_episodes
from pluralbench.envs import Environment, MultiGoalTask, TransitionDataset, environments
from pluralbench.envs.collection import collect
from pluralbench.envs.environments import AUTO
from pluralbench.envs.vectors import make_single
from pluralbench.files import write_json
from pluralbench.iql.settings import Precision
from pluralbench.preference_oracles.labelling import collect_preferences
from pluralbench.preference_oracles.populations import get_population
from pluralbench.preference_oracles.users import Users
from pluralbench.registry import unknown_name
from pluralbench.reward_learning.learners import make_learner
from pluralbench.reward_learning.relabelling import draw_comparison_states, draw_latents, relabel

DATA_SHARE = 8
"""Data is timed on this fraction of what the quick preset has."""
EPISODES = 100


@dataclass(frozen=True)
class Speed:
    """One row: a rate, and a baseline's."""

    what: str
    rate: float
    unit: str
    baseline: str
    baseline_rate: float

    @property
    def ratio(self) -> float:
        """How many times the baseline."""
        return self.rate / self.baseline_rate


def per_second(work: Callable[[], int], repetitions: int = 3) -> float:
    """The best of some repetitions: units of work per second, what another process took away left out."""
    best = 0.0
    for _ in range(repetitions):
        start = time.perf_counter()
        done = work()
        best = max(best, done / (time.perf_counter() - start))
    return best


def random_steps(env: gym.Env[Any, Any], num_steps: int) -> float:
    """Steps per second of one environment under random actions; new episodes count as time, not as steps."""
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(num_steps)]

    def work() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return num_steps

    rate = per_second(work)
    env.close()
    return rate


def single_rate(environment: Environment) -> tuple[str, float]:
    """Name and steps per second of one environment: the peer's where it is installed, else our own."""
    num_steps = 2_000 if environment.max_parallel_episodes > 100 else 500
    if environment.peer_gym_id is not None:
        try:
            rate = random_steps(gym.make(environment.peer_gym_id), num_steps)
            return f"one {environment.peer_gym_id.rpartition(':')[2]}, random actions", rate
        except ImportError:
            pass
    return "one single environment, random actions", random_steps(make_single(environment), num_steps)


def data_rows(environment: Environment, device: str) -> list[Speed]:
    """Transitions of the behaviour policy per second, file not counted."""
    num = experiment_for(environment.name, "quick").num_transitions // DATA_SHARE
    collect(environment, 100, 0)  # threads and tables
    name, baseline = single_rate(environment)
    rate = per_second(lambda: len(collect(environment, num, 0)), 2)
    return [Speed(f"{environment.name}: data of the behaviour policy", rate, "steps/s", name, baseline)]


def evaluation_rows(environment: Environment, device: str) -> list[Speed]:
    """One evaluation: 4 users x 100 episodes, a network of 2 x 256 units computed for every action."""
    task = environment.make_task()
    goals = np.asarray(task.sample_goals(4, np.random.default_rng(0)), dtype=np.float64)
    network = torch.nn.Sequential(
        torch.nn.Linear(task.observation_size, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256), torch.nn.ReLU(),
        torch.nn.Linear(256, task.action_size), torch.nn.Tanh(),
    ).to(device)  # fmt: skip

    @torch.no_grad()
    def act(observations: np.ndarray, jobs: np.ndarray) -> np.ndarray:
        out = network(torch.as_tensor(observations, device=device)).cpu()
        return np.asarray(out.argmax(1) if task.discrete_actions else out)

    def work() -> int:
        outcome = run_episodes(environment, act, goals, episodes=EPISODES, seed=0)
        return int((outcome.mean_steps * EPISODES).sum())

    name, baseline = single_rate(environment)
    what = f"{environment.name}: evaluation of a policy, {4 * EPISODES} episodes"
    return [Speed(what, per_second(work, 2), "steps/s", f"{name}, no policy", baseline)]


def trajectories(num_transitions: int, num_users: int) -> tuple[MultiGoalTask, TransitionDataset, Users]:
    """What labelling and relabelling are timed with, of the first environment of trajectories."""
    found = (environments.get(name) for name in environments)
    environment = next(environment for environment in found if environment.outcomes is None)
    task, population = environment.make_task(), get_population(environment.default_population)
    users = population.train_users(task, num_users, np.random.default_rng(0))
    return task, collect(environment, num_transitions, 0), users


def labelling(device: str) -> list[Speed]:
    """Answers per second of 50,000 users x 8; the baseline answers them one by one."""
    task, dataset, users = trajectories(50_000, num_users=50_000)

    def vectorised() -> int:
        return collect_preferences(task, dataset, users, 8, 1, seed=0).labels.size

    few = users.take(np.arange(100))

    def one_by_one() -> int:
        generator = np.random.default_rng(0)
        for user in range(len(few)):
            for _ in range(8):
                pair = dataset.observations[generator.integers(len(dataset), size=2)]
                bool(np.subtract(*task.utility(pair, few.goals[user])) > 0)
        return 800

    return [Speed("labelling", per_second(vectorised), "labels/s", "a loop over answers", per_second(one_by_one))]


def relabelling(device: str) -> list[Speed]:
    """Transitions per second for vpl+spo with 256 comparison states; the baseline goes trajectory by trajectory."""
    task, dataset, users = trajectories(200_000, num_users=64)
    preferences = collect_preferences(task, dataset, users, 16, 1, seed=0)
    model = make_learner("vpl", {"num_updates": 10}, device=device, task=task)
    model.fit(preferences, seed=0)
    latents, index = draw_latents(model.infer(preferences), dataset, torch.Generator().manual_seed(0), num_latents=512)
    states = draw_comparison_states(dataset, 256, torch.Generator().manual_seed(0)).to(device)

    def vectorised() -> int:
        relabel(dataset, model, latents, index, "spo", states)
        return len(dataset)

    @torch.no_grad()
    def by_trajectory() -> int:
        done = 0
        for begin, end in dataset.episode_bounds[:40]:
            latent = latents[index[begin]][None]
            compared = model.reward(states, latent)
            own = model.reward(torch.as_tensor(dataset.next_observations[begin:end], device=device), latent)
            (own[:, None] - compared).sigmoid().mean(1)
            done += int(end - begin)
        return done

    what = "relabelling, vpl+spo, 256 comparison states"
    baseline = per_second(by_trajectory)
    return [Speed(what, per_second(vectorised, 2), "transitions/s", "a loop over trajectories", baseline)]


def iql_updates(device: str) -> list[Speed]:
    """Updates per second at batch 256 and two hidden layers of 256: one seed, and several at once in one stack."""
    rows = []
    stacks: tuple[tuple[int, Precision], ...] = ((1, "float32"), (1, "bfloat16"), (4, "bfloat16"))
    if device.startswith("cuda"):
        stacks = ((1, "float32"), (10, "float32"))
    for runs, precision in stacks:
        ours, baseline = measure_updates(runs=runs, precision=precision, device=device)
        what = f"IQL, {runs} seed{'s at once' if runs > 1 else ''}, batch 256, 2 x 256, {precision}"
        rows.append(Speed(what, ours, "updates/s", "iql.reference, one seed", baseline))
    return rows


def rows_by_name(simulator: str = AUTO) -> dict[str, Callable[[str], list[Speed]]]:
    """What can be measured; environments that run on several simulators on this one."""
    rows: dict[str, Callable[[str], list[Speed]]] = {}
    for name in environments:
        environment = environments.get(name)
        if environment.simulators:
            environment = environment.on(simulator)
        rows[f"{name}-data"] = partial(data_rows, environment)
        rows[f"{name}-evaluation"] = partial(evaluation_rows, environment)
    return {**rows, "labelling": labelling, "relabelling": relabelling, "iql": iql_updates}


def run_speed(options: argparse.Namespace) -> None:
    """Measures the rows, prints them as a table and writes `speed.json`."""
    folder, device, only = options.out / "speed", device_for(options.device), options.only
    rows = rows_by_name(options.simulator or AUTO)
    for name in only or ():
        if name not in rows:
            raise ExperimentError(unknown_name("row", name, list(rows)))
    check_result_folder(folder)
    reporter = Reporter()
    speeds: list[Speed] = []
    for name in only or rows:
        with reporter.stage(name):
            speeds += rows[name](device)
    table = Table("what", "rate", "baseline", "its rate", "ratio", title=provenance(device)["machine"])
    for speed in speeds:
        rates = f"{speed.rate:,.0f} {speed.unit}", speed.baseline, f"{speed.baseline_rate:,.0f}", f"{speed.ratio:.1f}"
        table.add_row(speed.what, *rates)
    reporter.console.print(table)
    measured = [{**asdict(speed), "ratio": speed.ratio} for speed in speeds]
    write_json(folder / "speed.json", {"rows": measured, "threads": torch.get_num_threads(), **provenance(device)})
