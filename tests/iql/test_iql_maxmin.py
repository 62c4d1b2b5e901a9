from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pluralbench.iql import GroupWeightSettings, IQLError, IQLSettings, MaxMinSettings, ReplayData, train, train_maxmin
from pluralbench.iql.maxmin_iql import MaxMinLearner

SETTINGS = MaxMinSettings(
    num_updates=800,
    batch_size=128,
    hidden_sizes=(32, 32),
    learning_rate=3e-3,
    temperature=10.0,
    polyak=0.05,
    schedule="cosine",
    discrete_actions=True,
    actor_average=0.02,
    group_weights=GroupWeightSettings(rate=0.02),
)

# worth of three actions to two groups: all to the one, all to the other, a little to both
WORTH = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, 0.3]])


def bandit(worth: np.ndarray, num: int = 3000) -> tuple[ReplayData, np.ndarray]:
    """One-step episodes with uniform actions; returns data with rewards (1, K, N) and the choices."""
    rng = np.random.default_rng(0)
    choices = rng.integers(worth.shape[1], size=num)
    observations, ends = rng.normal(size=(num, 2)), np.ones(num, bool)
    actions = np.eye(worth.shape[1])[choices]
    data = ReplayData.from_arrays(observations, actions, observations, ends, ~ends, worth[:, choices][None])
    return data, choices


def value_of(policy, worth: np.ndarray) -> np.ndarray:
    """What the stochastic policy is worth to each group."""
    observations = np.random.default_rng(1).normal(size=(1, 500, 2))
    return worth @ policy.probabilities(observations)[0].mean(0).numpy()


def test_maxmin_mixes_where_the_pointwise_minimum_settles_for_little() -> None:
    data, _ = bandit(WORTH)
    mixed = value_of(train_maxmin(data, SETTINGS, [0]).policy, WORTH)
    minimum = replace(data, rewards=data.rewards.amin(1))
    plain = IQLSettings(**{name: getattr(SETTINGS, name) for name in IQLSettings.__dataclass_fields__})
    pointwise = value_of(train(minimum, plain, [0]).policy, WORTH)
    assert mixed.min() > 0.42  # the best of all policies gives 0.5 to both
    assert pointwise.min() < 0.36
    assert pointwise.max() < 0.45


def test_weights_move_to_the_group_that_is_worse_off() -> None:
    """The first group is served by both good actions, the second by one: serving the second serves all."""
    worth = np.array([[1.0, 0.6, 0.0], [0.0, 0.6, 0.0]])
    data, _ = bandit(worth)
    result = train_maxmin(data, SETTINGS, [0])
    last = result.metrics[-1]
    assert last["group_weight_1"][0] > 0.6
    assert np.isclose(last["group_weight_0"][0] + last["group_weight_1"][0], 1.0)
    assert value_of(result.policy, worth).min() > 0.5


def test_one_group_is_plain_iql() -> None:
    data, _ = bandit(WORTH[:1])
    short = replace(SETTINGS, num_updates=50)
    plain = IQLSettings(**{name: getattr(short, name) for name in IQLSettings.__dataclass_fields__})
    alone = train(replace(data, rewards=data.rewards[:, 0]), plain, [3])
    group = train_maxmin(data, short, [3])
    assert torch.allclose(alone.policy.actors, group.policy.actors, atol=1e-6)


def test_it_resumes(tmp_path: Path) -> None:
    data, _ = bandit(WORTH)
    settings = replace(SETTINGS, num_updates=60)

    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done >= 30:
            raise StopError

    options = {"checkpoint_folder": tmp_path, "checkpoint_every": 20}
    with pytest.raises(StopError):
        train_maxmin(data, settings, [1], progress=stop, **options)
    resumed = train_maxmin(data, settings, [1], resume=True, **options)
    assert torch.equal(resumed.policy.actors, train_maxmin(data, settings, [1]).policy.actors)


def test_starts_are_the_first_observations_of_episodes() -> None:
    num = 12
    observations = np.arange(num, dtype=float)[:, None].repeat(2, 1)
    terminals, timeouts = np.arange(num) == 3, np.arange(num) == 8
    data = ReplayData.from_arrays(
        observations, np.zeros((num, 1)), observations, terminals, timeouts, np.zeros((1, 2, num))
    )
    learner = MaxMinLearner(data, replace(SETTINGS, discrete_actions=False), [0])
    expected = learner.features(torch.tensor([[0.0, 0.0], [4.0, 4.0], [9.0, 9.0]]))
    assert torch.allclose(learner._starts[1, :, :2], expected)


def test_wrong_rewards_are_named() -> None:
    data, _ = bandit(WORTH)
    with pytest.raises(IQLError, match=r"needs rewards \(E, N\), got \(1, 2, 3000\)"):
        train(data, IQLSettings(num_updates=1, discrete_actions=True), [0])
    with pytest.raises(IQLError, match=r"needs rewards \(E, K, N\)"):
        train_maxmin(replace(data, rewards=data.rewards[:, 0]), SETTINGS, [0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": -1.0}, "rate must not be negative"),
        ({"rate": float("nan")}, "rate must be a finite number"),
        ({"min_weight": 0.5}, r"min_weight must lie in \[0, 0.5\)"),
    ],
)
def test_group_weights_that_make_no_sense_are_named(values: dict, message: str) -> None:
    with pytest.raises(IQLError, match=message):
        GroupWeightSettings(**values)


def test_there_is_no_reference_of_maxmin() -> None:
    with pytest.raises(IQLError, match=r"no reference implementation: use iql\.implementation=fast"):
        MaxMinSettings(implementation="reference")


def walk(rewards_of, num_episodes: int = 300, length: int = 10) -> ReplayData:
    """Two places, -1 and 1; an action above 0 leads to the latter. Every episode starts at -1."""
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, size=(num_episodes, length))
    after = np.where(actions > 0, 1.0, -1.0)
    before = np.concatenate([np.full((num_episodes, 1), -1.0), after[:, :-1]], axis=1)
    before, actions, after = (values.reshape(-1, 1) for values in (before, actions, after))
    ends = np.arange(len(before)) % length == length - 1
    rewards, starts = rewards_of(after[:, 0])[None], rewards_of(before[:, 0])[None]
    return ReplayData.from_arrays(
        before, actions, after, np.zeros_like(ends), ends, rewards=rewards, rewards_before=starts
    )


def true_values(policy, rewards_of, discount: float) -> np.ndarray:
    """V_k (K,) of the stochastic policy from -1."""
    places = np.array([-1.0, 1.0])
    means = torch.as_tensor(policy.act(places[None, :, None].astype(np.float32)).ravel())
    deviation = policy.actors[0, -1].clamp(WALK.min_log_std, WALK.max_log_std).exp().item()
    right = torch.distributions.Normal(0.0, 1.0).cdf(means / deviation).numpy()
    step = np.stack([1 - right, right], axis=1)
    return np.linalg.solve(np.eye(2) - discount * step, step @ rewards_of(places).T)[0]


WALK = replace(
    SETTINGS, num_updates=1500, discount=0.9, temperature=3.0, learning_rate=1e-3, polyak=0.02, actor_average=0.0,
    discrete_actions=False, group_weights=GroupWeightSettings(rate=0.003),
)  # fmt: skip


@pytest.mark.parametrize("shaping", [False, True])
def test_both_places_are_worth_a_visit_whether_rewards_are_shaped_or_not(shaping: bool) -> None:
    """One group wants to be at -1, where all start, the other at 1: half of the time each serves both, 5 of 10."""

    def rewards_of(places: np.ndarray) -> np.ndarray:
        return np.stack([places < 0, places > 0]).astype(float)

    result = train_maxmin(walk(rewards_of), replace(WALK, shaping=shaping), [0])
    values = true_values(result.policy, rewards_of, 0.9)
    assert values.min() > 4.5
    assert 0.4 < result.metrics[-1]["group_weight_0"][0] < 0.6
    fitted = [result.metrics[-1][f"group_value_{group}"][0] for group in range(2)]
    assert fitted == pytest.approx(values.tolist(), abs=1.0)  # without the potential's 10 and 0 added back


def test_groups_are_normalised_by_the_same_numbers() -> None:
    """Else the group with the smaller range would count as much as the other, and could not be the better-off one."""
    rewards = np.stack([np.arange(8.0), np.full(8, 100.0) + np.arange(8.0) / 10])
    ends = np.arange(8) == 7
    data = ReplayData.from_arrays(
        np.zeros((8, 1)), np.zeros((8, 1)), np.zeros((8, 1)), np.zeros_like(ends), ends, rewards[None]
    )
    found = data.with_normalized_rewards().rewards[0]
    assert found.mean() == pytest.approx(0.0, abs=1e-6)
    assert found.std() == pytest.approx(1.0)
    scale = rewards.reshape(-1).std(ddof=1)
    assert torch.allclose(found[1] - found[0], torch.as_tensor((rewards[1] - rewards[0]) / scale).float(), atol=1e-5)
