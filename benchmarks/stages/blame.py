"""Whose fault a failure is: the learned reward's, or the policy's.

A user's reward is right where what it likes best is what the user wants: its best states are success states. Where it
is and the user is not served, the policy failed; where it is not, no policy could have helped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pluralbench.benchmarks.stages.prepare import Prepared, generator_for
from pluralbench.benchmarks.stages.runs import Run

NUM_STATES = 4_096
"""States of the dataset that are looked at where the environment lays none out."""
NUM_SITUATIONS = 64
"""Different situations in which a one-step choice is looked at."""
BEST_WITHIN = 1e-6
"""States this close to the highest reward, as a share of the rewards' range, are the best ones."""
RIGHT_STATES = 0.5
"""Share of the best states that are success states if the reward is right."""
RIGHT_CHOICES = 0.95
"""Share of the situations in which the outcome of the highest reward is a success if the reward is right."""
_AT_ONCE = 1 << 20
"""Pairs of a user and a state that are judged together."""
_PLANS_AT_ONCE = 256

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Blame:
    """What the learned rewards of U users are worth, NaN where that cannot be said."""

    reward_right: Floats  # (U,) 1 where the best states are success states, else 0
    planned_success: Floats  # (U,) share of the best paths for the learned reward that end in success

    def policy_right(self, success_rates: Floats) -> Floats:
        """(U,) the success rates (U,) of those whose reward is right."""
        return np.where(self.reward_right == 1.0, success_rates, np.nan)


def blame(prepared: Prepared, run: Run) -> Blame:
    """Judges the scaled reward of every acting user of a run.

    Where the environment has a one-step outcome model the reward is right if in 95 % of up to 64 situations of the
    data, of those in which any outcome is a success, the outcome of the highest reward is one. Elsewhere it is right if
    half of its best states are success states, of the reachable states of `state_grid` or, where there is none, of
    4,096 states of the data. Nothing is said of users for whom no success is in sight, of policies that serve the
    rewards of several groups, and of methods that ask nobody.
    """
    environment, nothing = prepared.plan.environment, np.full(len(run.goals), np.nan)
    if run.serves_groups or run.fitted.model.asks_nobody:
        return Blame(nothing, nothing)
    grid = None if environment.state_grid is None else environment.state_grid()
    laid_out = None if grid is None else grid.observations[grid.reachable]
    rewards = None
    if environment.outcomes is not None:
        right = _right_choices(prepared, run, environment.outcomes(_situations(prepared, run.seed)))
    else:
        states = laid_out if laid_out is not None else _states_of_data(prepared, run.seed)
        rewards = run.rewards_of_states(states)
        right = _right_states(rewards, _success_in_states(prepared, run, states))
    planned = nothing
    if environment.planner is not None and laid_out is not None:
        planned = _planned_success(prepared, run, run.rewards_of_states(laid_out) if rewards is None else rewards)
    return Blame(right, planned)


def _states_of_data(prepared: Prepared, seed: int) -> NDArray[np.float32]:
    """(P, S)."""
    states = prepared.dataset.next_observations
    return states[generator_for(seed, "blame").permutation(len(states))[:NUM_STATES]]


def _situations(prepared: Prepared, seed: int) -> NDArray[np.float32]:
    """(C, S) different observations of the data."""
    observations = prepared.dataset.observations
    drawn = observations[generator_for(seed, "blame").permutation(len(observations))[:NUM_STATES]]
    first = np.sort(np.unique(drawn, axis=0, return_index=True)[1])
    return drawn[first[:NUM_SITUATIONS]]


def _success_in_states(prepared: Prepared, run: Run, states: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(U, P) whether things are in states (P, S) as the users want them."""
    rows = max(1, _AT_ONCE // len(states))
    parts = (run.goals[begin : begin + rows, None] for begin in range(0, len(run.goals), rows))
    return np.concatenate([prepared.plan.task.success(states[None], goals) for goals in parts])


def _right_states(rewards: NDArray[np.floating], success: NDArray[np.bool_]) -> Floats:
    """(U,) from rewards and success (U, P)."""
    highest = rewards.max(axis=1, keepdims=True)
    spread = highest - rewards.min(axis=1, keepdims=True)
    best = rewards >= highest - BEST_WITHIN * spread
    right = (best & success).sum(axis=1) >= RIGHT_STATES * np.maximum(best.sum(axis=1), 1)
    return np.where(success.any(axis=1), right, np.nan)


def _right_choices(prepared: Prepared, run: Run, outcomes: NDArray[np.float32]) -> Floats:
    """(U,) from outcomes (C, A, S) of A choices in C situations."""
    num_situations, num_choices, size = outcomes.shape
    states, shape = outcomes.reshape(-1, size), (len(run.goals), num_situations, num_choices)
    success = _success_in_states(prepared, run, states).reshape(shape)
    chosen = run.rewards_of_states(states).reshape(shape).argmax(axis=2)  # (U, C), as the greedy policy chooses
    is_right = np.take_along_axis(success, chosen[..., None], axis=2)[..., 0]
    possible = success.any(axis=2).sum(axis=1)
    return np.where(possible > 0, is_right.sum(axis=1) >= RIGHT_CHOICES * possible - 1e-9, np.nan)


def _planned_success(prepared: Prepared, run: Run, rewards: NDArray[np.floating]) -> Floats:
    """(U,) from rewards (U, P) of the states that the environment lays out; equal rewards are planned once."""
    planner, task = prepared.plan.environment.planner, prepared.plan.task
    assert planner is not None  # `blame` has seen to that
    kinds, kind_of = np.unique(rewards, axis=0, return_inverse=True)
    kind_of = kind_of.reshape(-1)
    planned = np.full(len(rewards), np.nan)
    for begin in range(0, len(kinds), _PLANS_AT_ONCE):
        ends = planner(kinds[begin : begin + _PLANS_AT_ONCE]).ends  # (J, M, S)
        users = np.flatnonzero((kind_of >= begin) & (kind_of < begin + _PLANS_AT_ONCE))
        for user in users:
            planned[user] = task.success(ends[kind_of[user] - begin], run.goals[user]).mean()
    return planned
