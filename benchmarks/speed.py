"""`python -m benchmarks speed`: what runs how fast on this machine.

Every row stands beside a baseline measured in the same process a moment before or after, so that the ratio means the
same on any machine. Nothing here is asserted in a test: times are measured, not promised.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from rich.table import Table

import pluralbench.envs  # noqa: F401 (registers the environments)
from pluralbench.benchmarks import results
from pluralbench.benchmarks.evaluation import run_episodes
from pluralbench.benchmarks.experiment import ExperimentError
from pluralbench.benchmarks.progress import Reporter
from pluralbench.benchmarks.speed_iql import measure_updates
from pluralbench.envs.environments import environments
from pluralbench.iql.settings import Precision
from pluralbench.preference_oracles.labelling import collect_preferences
from pluralbench.preference_oracles.populations import get_population
from pluralbench.registry import unknown_name
from pluralbench.reward_learning.learners import make_learner
from pluralbench.reward_learning.relabelling import draw_latents, relabel


@dataclass(frozen=True)
class Speed:
    """One row: a rate, and a baseline's rate where there is one to compare with."""

    what: str
    rate: float
    unit: str
    baseline: str = ""
    baseline_rate: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times the baseline."""
        return None if self.baseline_rate is None else self.rate / self.baseline_rate


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


def single_maze_rate() -> tuple[str, float]:
    """Steps per second of one process of PointMaze_Large-v3, or of our own single environment where it is missing."""
    try:
        import gymnasium_robotics

        gym.register_envs(gymnasium_robotics)
        env, name = gym.make("PointMaze_Large-v3"), "one PointMaze_Large-v3"
    except ImportError:
        env, name = gym.make("pluralbench/MazeNavigation-v0"), "one MazeNavigation-v0"
    return f"{name}, random actions", random_steps(env, 2_000)


def maze_data(device: str) -> list[Speed]:
    """Transitions of the waypoint policy per second, file not counted."""
    collect = environments.get("maze").collect
    collect(10_000, 0)  # threads and tables
    name, baseline = single_maze_rate()
    return [Speed("maze data", per_second(lambda: len(collect(400_000, 0)), 2), "steps/s", name, baseline)]


def maze_evaluation(device: str) -> list[Speed]:
    """One evaluation: 2 users x 100 episodes x 2 seeds x 800 steps, a policy of 2 x 256 acting."""
    environment = environments.get("maze")
    goals = np.array([[7.0, 1.0, 1.0], [7.0, 10.0, 1.0]] * 2)
    network = torch.nn.Sequential(
        torch.nn.Linear(4, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256), torch.nn.ReLU(),
        torch.nn.Linear(256, 2), torch.nn.Tanh(),
    ).to(device)  # fmt: skip

    @torch.no_grad()
    def act(observations: np.ndarray, jobs: np.ndarray) -> np.ndarray:
        return np.asarray(network(torch.as_tensor(observations, device=device)).cpu().numpy())

    def work() -> int:
        outcome = run_episodes(environment, act, goals, episodes=100, seed=0)
        return int((outcome.mean_steps * 100).sum())

    name, baseline = single_maze_rate()
    what = "maze evaluation, 400 episodes of 800 steps"
    return [Speed(what, per_second(work), "steps/s", f"{name}, no policy", baseline)]


def labelling(device: str) -> list[Speed]:
    """Answers per second of 50,000 users x 8; the baseline answers them one by one."""
    environment = environments.get("maze")
    task, dataset = environment.make_task(), environment.collect(50_000, 0)
    users = get_population("two-goals").train_users(task, 50_000, np.random.default_rng(0))

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
    environment = environments.get("maze")
    task, dataset = environment.make_task(), environment.collect(200_000, 0)
    users = get_population("two-goals").train_users(task, 64, np.random.default_rng(0))
    preferences = collect_preferences(task, dataset, users, 16, 1, seed=0)
    model = make_learner("vpl", {"num_updates": 10}, device=device, task=task)
    model.fit(preferences, seed=0)
    latents, index = draw_latents(model.infer(preferences), dataset, torch.Generator().manual_seed(0), num_latents=512)

    def vectorised() -> int:
        relabel(dataset, model, latents, index, "spo", generator=torch.Generator().manual_seed(0))
        return len(dataset)

    states = torch.as_tensor(dataset.next_observations[:256], device=device)

    @torch.no_grad()
    def by_trajectory() -> int:
        done = 0
        for begin, end in dataset.episode_bounds[:40]:
            latent = latents[index[begin]][None]
            compared = model.reward(states, latent.expand(256, -1))
            own = model.reward(torch.as_tensor(dataset.next_observations[begin:end], device=device),
                               latent.expand(int(end - begin), -1))  # fmt: skip
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
        measured = measure_updates(runs=runs, precision=precision, device=device)
        what = f"IQL, {runs} seed{'s at once' if runs > 1 else ''}, batch 256, 2 x 256, {precision}"
        rows.append(Speed(what, measured.ours, "updates/s", "plain eager PyTorch IQL, one seed", measured.baseline))
    return rows


def ravens_steps(device: str) -> list[Speed]:
    """Environment steps of one process."""
    return [Speed("Ravens, one process", random_steps(gym.make("pluralbench/RavensManipulation-v0"), 500), "steps/s")]


def household_placements(device: str) -> list[Speed]:
    """Objects carried to a place and settled there by one process, each in an episode of its own."""
    env = gym.make("pluralbench/HabitatRearrange-v0", simulator="pybullet")
    return [Speed("household, one process", random_steps(env, 200), "placements/s")]


ROWS: dict[str, Callable[[str], list[Speed]]] = {
    "maze-data": maze_data,
    "maze-evaluation": maze_evaluation,
    "labelling": labelling,
    "relabelling": relabelling,
    "iql": iql_updates,
    "ravens": ravens_steps,
    "household": household_placements,
}


def run_speed(folder: Path, device: str, only: Sequence[str] | None = None) -> list[Speed]:
    """Measures the rows, prints them as a table and writes `speed.json`."""
    for name in only or ():
        if name not in ROWS:
            raise ExperimentError(unknown_name("row", name, list(ROWS)))
    reporter = Reporter()
    speeds: list[Speed] = []
    for name in only or ROWS:
        with reporter.stage(name):
            speeds += ROWS[name](device)
    table = Table("what", "rate", "baseline", "its rate", "ratio", title=results.provenance(device)["machine"])
    for speed in speeds:
        table.add_row(
            speed.what,
            f"{speed.rate:,.0f} {speed.unit}",
            speed.baseline,
            "" if speed.baseline_rate is None else f"{speed.baseline_rate:,.0f}",
            "" if speed.ratio is None else f"{speed.ratio:.1f}",
        )
    reporter.console.print(table)
    rows = [{**asdict(speed), "ratio": speed.ratio} for speed in speeds]
    results.write_json(
        folder / "speed.json", {"rows": rows, "threads": torch.get_num_threads(), **results.provenance(device)}
    )
    return speeds
