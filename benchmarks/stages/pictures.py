"""Learned rewards over states, and latents of users: what the figures of reward models draw, kept as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pluralbench.benchmarks.stages.fit import FittedLearner
from pluralbench.benchmarks.stages.prepare import Prepared
from pluralbench.benchmarks.stages.runs import Run
from pluralbench.envs import StateGrid
from pluralbench.reward_learning.scaling import fit_scaling

MAX_USERS = 10


def reward_maps(prepared: Prepared, run: Run, grid: StateGrid) -> dict[str, dict[str, Any]]:
    """Scaled reward of each state for one acting user of each group, beside the true utility.

    Returns:
        By the name of each reward that the policy maximises: `learned` and `true`, (U, H, W), NaN where no robot can
        be; `users`, names of their goals; `rows` and `columns`, names of states.
    """
    task, fitted, reachable = prepared.plan.task, run.fitted, grid.reachable
    first = fitted.draws.first_of_each_group[:MAX_USERS]
    goals = run.goals[first]
    names = [task.goal_name(goal) for goal in goals]
    true = np.full((len(first), len(reachable)), np.nan, dtype=np.float32)
    true[:, reachable] = task.utility(grid.observations[reachable][None], goals[:, None])
    latents = run.user_latents[torch.as_tensor(first)]
    states = torch.as_tensor(grid.observations[reachable]).to(latents.device)
    table = grid.shape[0] == 1  # one row each: all users in one table
    shape = (1, *true.shape) if table else (-1, *grid.shape)
    maps = {}
    for name, reward in run.rewards.items():
        scaling = run.method.scaling
        scaled = fit_scaling(scaling, reward, latents, fitted.comparison_states, fitted.classifier_for(scaling))
        learned = np.full_like(true, np.nan)
        for row in range(len(first)):
            index = torch.full((len(states),), row, dtype=torch.long, device=latents.device)
            learned[row, reachable] = scaled(states, index).cpu().numpy()
        maps[name] = {
            "learned": learned.reshape(shape),
            "true": true.reshape(shape),
            "users": ["each user"] if table else names,
            "rows": names if table else list(grid.row_names),
            "columns": list(grid.column_names) or ([str(k) for k in range(true.shape[1])] if table else []),
        }
    return maps


def latent_rows(fitted: FittedLearner, num_answers: int) -> dict[str, Any]:
    """Posterior means (U, Z) of test users from `num_answers` answers, and their groups."""
    users = fitted.draws.test_users
    posterior = fitted.model.infer(fitted.draws.context(num_answers))
    return {"means": posterior.mean.cpu().numpy(), "groups": [users.group_names[index] for index in users.group_index]}
