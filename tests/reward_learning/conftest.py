"""A world in one dimension where everything about preferences can be worked out by hand."""

import numpy as np
import pytest
import torch

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.envs.transitions import TransitionDataset
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.preference_oracles.teachers import RATIONAL
from pluralbench.preference_oracles.users import Users

# networks as small as these gain nothing from threads, which spin against one another where processors are few
torch.set_num_threads(1)


class LineTask(MultiGoalTask):
    """Observations are (position in [-1, 1], something irrelevant); a goal is the position that a user likes best."""

    name = "line"
    observation_size = 2
    action_size = 1
    goal_size = 1
    observation_names = ("position", "irrelevant")
    max_episode_steps = 10

    def utility(self, observations, goals):
        return (1 - np.abs(np.asarray(observations)[..., 0] - np.asarray(goals)[..., 0]) / 2).astype(np.float32)


class Line:
    """Makes preferences and transitions on the line."""

    task = LineTask()

    def preferences(self, num_users, num_comparisons=16, length=1, seed=0, goals=(-1.0, 1.0)):
        """Users take the goals in turn and answer without mistakes."""
        rng = np.random.default_rng(seed)
        shape = (num_users, num_comparisons, 2, length, 2)
        segments = rng.uniform(-1, 1, shape).astype(np.float32)
        group = np.arange(num_users) % len(goals)
        wanted = np.asarray(goals, dtype=np.float64)[group][:, None]
        returns = self.task.utility(segments, wanted[:, None, None, None]).sum(-1)
        return PreferenceDataset(
            segments=segments,
            labels=np.where(returns[..., 0] > returns[..., 1], 1.0, 0.0).astype(np.float32),
            mask=np.ones(shape[:2], dtype=bool),
            user_ids=np.arange(num_users) + 1000 * seed,
            group_names=tuple(str(goal) for goal in goals),
            group_index=group,
            goals=wanted,
        )

    def users(self, num_users, goals=(-1.0, 1.0), teacher=RATIONAL):
        """The users of `preferences`, one group for each goal."""
        group = np.arange(num_users) % len(goals)
        names = tuple(str(goal) for goal in goals)
        return Users(np.arange(num_users), names, group, np.asarray(goals, dtype=np.float64)[group][:, None], teacher)

    def transitions(self, num_episodes=20, length=10, seed=0):
        """Random walks; where a step arrives differs from where it started."""
        rng = np.random.default_rng(seed)
        num = num_episodes * length
        timeouts = np.zeros(num, dtype=bool)
        timeouts[length - 1 :: length] = True
        return TransitionDataset(
            observations=rng.uniform(-1, 1, (num, 2)).astype(np.float32),
            actions=np.zeros((num, 1), dtype=np.float32),
            next_observations=rng.uniform(-1, 1, (num, 2)).astype(np.float32),
            rewards=np.zeros(num, dtype=np.float32),
            terminals=np.zeros(num, dtype=bool),
            timeouts=timeouts,
        )


@pytest.fixture(scope="session")
def line():
    return Line()
