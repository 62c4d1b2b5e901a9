import importlib.util
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

from pluralbench.benchmarks.learned_reward import LearnedReward
from pluralbench.errors import InputError
from pluralbench.reward_learning.reward_model import RewardModel


class ColumnReward(RewardModel):
    """A reward model whose latent says which column of the observation is the reward."""

    name = "column"
    latent_size = 2

    def __init__(self) -> None:
        pass

    def fit(self, preferences, seed, progress=None):
        return []

    def infer(self, context):
        raise NotImplementedError

    def reward(self, observations: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        return (observations[..., :2] * latents).sum(-1)


def wrapped(**options) -> LearnedReward:
    return LearnedReward(gym.make("pluralbench/MazeNavigation-v0"), ColumnReward(), [1.0, 0.0], **options)


def test_pays_the_model_for_where_a_step_arrives() -> None:
    env = wrapped()
    env.reset(seed=0)
    for _ in range(3):
        observation, reward, _, _, info = env.step(np.array([1.0, 0.5], dtype=np.float32))
        assert reward == pytest.approx(float(observation[0]))
        assert "reward_terms" not in info
        assert {"success", "environment_reward"} <= set(info)
    env.close()


def test_scaling_is_that_of_the_datasets() -> None:
    states = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    env = wrapped(scaling="spo", comparison_states=states, shift=-1.0)
    observation, _ = env.reset(seed=0)
    expected = (1 / (1 + np.exp(states[:, 0] - observation[0]))).mean() - 1
    assert env.reward(observation) == pytest.approx(float(expected), abs=1e-6)
    env.close()


def test_the_goal_reaches_every_reset() -> None:
    given = []
    env = wrapped(goal=[7.0, 10.0, 1.0])
    inner = env.env.reset
    env.env.reset = lambda **options: given.append(options["options"]) or inner(**options)  # type: ignore[method-assign]
    env.reset(seed=0)
    env.reset(options={"goal": [7.0, 1.0, 1.0]})
    assert given == [{"goal": [7.0, 10.0, 1.0]}, {"goal": [7.0, 1.0, 1.0]}]
    env.close()


def test_a_latent_of_another_size_is_named() -> None:
    with pytest.raises(InputError, match=r"latent must be \(2,\), is \(3,\)"):
        LearnedReward(gym.make("pluralbench/MazeNavigation-v0"), ColumnReward(), [1.0, 0.0, 0.0])


def test_the_sac_example_runs() -> None:
    pytest.importorskip("stable_baselines3")
    path = Path(__file__).parents[2] / "examples" / "online_sac_on_learned_reward.py"
    spec = importlib.util.spec_from_file_location("online_sac_example", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    words = ["--steps", "60", "--episodes", "1", "--transitions", "5000", "--users", "64", "--reward-updates", "20"]
    assert example.main(words) in (0.0, 1.0)
