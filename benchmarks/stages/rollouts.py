"""Pictures of one episode each for users who want different things, from the same start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from pluralbench.benchmarks.experiments.plan import Plan
from pluralbench.benchmarks.figures.rollouts import MAX_USERS, NUM_GIF_FRAMES, show_rollouts
from pluralbench.benchmarks.figures.style import shown_of
from pluralbench.benchmarks.stages.evaluate import as_script
from pluralbench.benchmarks.stages.runs import TrainedRun
from pluralbench.envs import Environment
from pluralbench.envs.scripts import Script
from pluralbench.envs.vectors import make_single

Frame = NDArray[np.uint8]
START = 1
"""Seed of the episodes that are shown."""


def record_rollouts(plan: Plan, trained: TrainedRun, suite_folder: Path) -> None:
    """Writes `<env>-rollouts.png` and `.gif`, one user of each group; nothing where the environment draws nothing."""
    env = make_single(plan.environment)
    draws_pictures = "rgb_array" in env.metadata.get("render_modes", ())
    env.close()
    if not draws_pictures:
        return
    groups = trained.run.fitted.draws.first_of_each_group
    rows = groups[:MAX_USERS]
    goals = trained.run.goals[rows]
    films = [
        _frames(plan.environment, as_script(trained.act), goal, int(row)) for goal, row in zip(goals, rows, strict=True)
    ]
    names = [plan.task.goal_name(goal) for goal in goals]
    shown = shown_of(len(rows), len(groups))
    title = f"{plan.environment.name}, {trained.run.method.name}: a user's episode from the same start, {shown}"
    show_rollouts(films, names, suite_folder / f"{plan.environment.name}-rollouts", title)


def _frames(environment: Environment, script: Script, goal: NDArray[np.float64], row: int) -> list[Frame]:
    """Pictures of an episode, evenly through it: twice as far apart whenever there are many."""
    env = make_single(environment, render_mode="rgb_array")
    try:
        observation, _ = env.reset(seed=START, options={"goal": goal})
        script.begin(_batch(observation), np.array([row]), np.array([START]))
        frames, ended, first = [_frame(env)], False, np.array([0])
        steps, between = 0, 1
        while not ended:
            action = script.act(_batch(observation), first)[0]
            observation, _, terminated, truncated, _ = env.step(action)
            ended = bool(terminated or truncated)
            steps += 1
            if ended or steps % between == 0:
                frames.append(_frame(env))
            if len(frames) > 2 * NUM_GIF_FRAMES:
                frames, between = frames[::2], 2 * between
    finally:
        env.close()
    return frames


def _batch(observation: Any) -> NDArray[np.float32]:
    return np.asarray(observation, dtype=np.float32)[None]


def _frame(env: gym.Env[Any, Any]) -> Frame:
    return np.asarray(env.render(), dtype=np.uint8)
