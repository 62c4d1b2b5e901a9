from dataclasses import replace

import numpy as np
import pytest
import torch

from pluralbench.iql import InputFeatures, IQLError, IQLSettings, ReplayData, train
from pluralbench.iql.data import fold_rewards
from pluralbench.iql.learner import Learner
from pluralbench.iql.networks import Stack
from pluralbench.iql.runner import CHUNK, Runner

SETTINGS = IQLSettings(
    num_updates=40,
    batch_size=32,
    hidden_sizes=(32, 24),
    n_step=3,
    temperature=3.0,
    learning_rate=1e-3,
    polyak=0.05,
    actor_average=0.1,
    features=InputFeatures((0,), (4.0,), (((0,), (1,)),)),
)


def make_data(num_runs: int = 2, discrete: bool = False, num: int = 400) -> ReplayData:
    rng = np.random.default_rng(1)
    actions = np.eye(3)[rng.integers(3, size=num)] if discrete else rng.uniform(-1, 1, (num, 2))
    return ReplayData.from_arrays(
        rng.normal(size=(num, 3)),
        actions,
        rng.normal(size=(num, 3)),
        rng.random(num) < 0.05,
        rng.random(num) < 0.05,
        rng.random((num_runs, num)),
        rng.normal(size=(num_runs, 5, 2)),
        rng.integers(5, size=(num_runs, num)),
    )


def trained_stack(learner: Learner) -> Stack:
    """All networks but the targets: critics, critics, actors and value networks, each E rows."""
    return Stack(learner.parameters[len(learner.targets) :], learner.widths)


def part(data: ReplayData, run: int) -> ReplayData:
    rows = slice(run, run + 1)
    return replace(data, rewards=data.rewards[rows], latents=data.latents[rows], latent_index=data.latent_index[rows])


@pytest.mark.parametrize("discrete", [False, True])
def test_batches_hold_what_the_data_say(discrete: bool) -> None:
    settings, data = replace(SETTINGS, discrete_actions=discrete), make_data(2, discrete)
    learner = Learner(data, settings, [3, 4])
    indices = torch.randint(len(data), (2, settings.batch_size), generator=torch.Generator().manual_seed(0))
    batch = learner.fetch(indices)
    folded = fold_rewards(data.rewards, data.terminals, data.timeouts, settings.n_step, settings.discount)
    returns, bootstrap, discounts = folded
    actions = data.actions if discrete else data.actions.clamp(-1 + 1e-5, 1 - 1e-5)
    for run, rows in enumerate(indices):
        latents = data.latents[run][data.latent_index[run][rows].long()]
        here = learner.features(data.observations[rows])
        there = learner.features(data.next_observations[bootstrap[rows]])
        assert torch.equal(batch.pairs[run], torch.cat([here, latents, actions[rows]], 1))
        assert torch.equal(batch.after[run], torch.cat([there, latents], 1))
        assert torch.equal(batch.rewards[run, 0], returns[run, rows])
        assert torch.equal(batch.discounts[run, 0], discounts[rows])


def test_padding_stays_what_it_was() -> None:
    learner = Learner(make_data(), SETTINGS, [0, 1])
    padding = trained_stack(learner).weights[-1][:4, 1]  # critics give one number, not A
    before = learner.parameters.clone(), padding.clone()
    for rates in learner.settings.step_sizes(0, 5):
        learner.update(learner.fetch(torch.randint(400, (2, 32))), *rates)
    assert not torch.equal(before[0], learner.parameters)
    assert torch.equal(before[1], padding)
    assert (trained_stack(learner).weights[0][4:, -2:] == 0).all()  # actors and value networks do not see the action


def test_bfloat16_gradients_point_where_those_of_float32_point() -> None:
    """The gradient of one update, cosine above 0.9995; and the head and first layer stay in float32."""
    data, settings = make_data(), replace(SETTINGS, hidden_sizes=(64, 64, 64), batch_size=256)
    exact, rounded = (Learner(data, replace(settings, precision=p), [0, 1]) for p in ("float32", "bfloat16"))
    indices = torch.randint(400, (2, 256), generator=torch.Generator().manual_seed(0))
    for learner in (exact, rounded):
        learner.update(learner.fetch(indices), 0.0, 0.0)
    assert not torch.equal(exact._gradient, rounded._gradient)
    assert torch.cosine_similarity(exact._gradient, rounded._gradient, dim=1).min() > 0.9995
    for rates in settings.step_sizes(0, 30):
        for learner in (exact, rounded):
            learner.update(learner.fetch(indices), *rates)
    moved = exact.parameters - Learner(data, settings, [0, 1]).parameters
    assert (exact.parameters - rounded.parameters).norm() < 0.2 * moved.norm()


@pytest.mark.parametrize("discrete", [False, True])
def test_stacked_runs_equal_separate_ones(discrete: bool) -> None:
    """To 1e-4 after 40 updates: batched products may sum in another order."""
    settings = replace(SETTINGS, discrete_actions=discrete)
    data = make_data(3, discrete)
    together = train(data, settings, [5, 6, 7])
    for run, seed in enumerate([5, 6, 7]):
        alone = train(part(data, run), settings, [seed])
        assert torch.allclose(together.policy.actors[run], alone.policy.actors[0], atol=1e-4)
        for stacked, single in zip(together.metrics, alone.metrics, strict=True):
            assert np.isclose(stacked["critic_loss"][run], single["critic_loss"][0], atol=1e-4)


def test_same_seed_same_run_other_seed_other_run() -> None:
    data = make_data(1)
    first, again, other = (train(data, SETTINGS, [seed]) for seed in (0, 0, 1))
    assert torch.equal(first.policy.actors, again.policy.actors)
    assert first.metrics == again.metrics
    assert not torch.allclose(first.policy.actors, other.policy.actors, atol=1e-2)


def test_wrong_seeds_are_named() -> None:
    with pytest.raises(IQLError, match="2 seeds are needed, got 1"):
        train(make_data(2), SETTINGS, [0])
    with pytest.raises(IQLError, match="must not be negative"):
        train(make_data(1), SETTINGS, [-1])
    with pytest.raises(IQLError, match="one-hot"):
        train(make_data(1), replace(SETTINGS, discrete_actions=True), [0])


def test_progress_logs_and_evaluations() -> None:
    seen, evaluated = [], []
    result = train(
        make_data(1),
        SETTINGS,
        [0],
        progress=lambda done, total: seen.append((done, total)),
        log_every=16,
        evaluate_every=20,
        on_evaluate=lambda step, policy: evaluated.append((step, policy.num_runs)) or step / 2,
    )
    assert seen[-1] == (40, 40)
    assert [row["step"] for row in result.metrics] == [16, 32, 40]
    assert evaluated == [(20, 1), (40, 1)]
    assert result.evaluations == [{"step": 20, "value": 10.0}, {"step": 40, "value": 20.0}]
    assert result.updates_per_second > 0


def test_runner_does_the_same_whatever_the_portions() -> None:
    data = make_data()
    whole, pieces = Learner(data, SETTINGS, [0, 1]), Learner(data, SETTINGS, [0, 1])
    Runner(whole, [0, 1]).run(0, CHUNK + 20)
    runner = Runner(pieces, [0, 1])
    for start, stop in ((0, 7), (7, CHUNK - 1), (CHUNK - 1, CHUNK + 20)):
        runner.run(start, stop)
    assert torch.equal(whole.parameters, pieces.parameters)
    assert not runner.captured
