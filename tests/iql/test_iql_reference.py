"""The fast learner against `iql.reference`: the same start, the same batches, the same numbers to within rounding."""

from dataclasses import replace

import pytest
import torch
from test_iql_learner import SETTINGS, make_data, trained_stack

from pluralbench.iql import IQLError, IQLSettings, train
from pluralbench.iql.learner import Learner
from pluralbench.iql.networks import Stack
from pluralbench.iql.reference import ReferenceIQL, ReferenceLearner, flat_actor, network_of
from pluralbench.iql.runner import Runner
from pluralbench.iql.training import fastest_precision, make_policy

VARIANTS = {
    "gaussian": {},
    "discrete": {"discrete_actions": True},
    "n-step 1": {"n_step": 1},
    "n-step 7": {"n_step": 7},
    "last actor": {"actor_average": 0.0},
    "constant": {"schedule": "constant"},
    "cosine": {"schedule": "cosine"},
    "discrete cosine": {"discrete_actions": True, "schedule": "cosine"},
    "discrete constant": {"discrete_actions": True, "schedule": "constant"},
    "three layers": {"hidden_sizes": (24, 16, 16)},
    "normalised": {"normalize_rewards": True},
    "log std at its bound": {"max_log_std": 0.0005, "min_log_std": -0.0005},
}


def networks(learner: Learner, run: int) -> dict[str, torch.nn.Sequential]:
    """The networks of one run of the fast learner by role, without their padding."""
    runs, state, widths = learner.num_runs, learner.state_size, learner.widths
    trained, targets = trained_stack(learner).flat, Stack(learner.targets, widths).flat
    pair, actions = widths[0], learner.action_size
    return {
        "q1": network_of(trained[run], widths, pair, 1),
        "q2": network_of(trained[runs + run], widths, pair, 1),
        "actor": network_of(trained[2 * runs + run], widths, state, actions),
        "value": network_of(trained[3 * runs + run], widths, state, 1),
        "target q1": network_of(targets[run], widths, pair, 1),
        "target q2": network_of(targets[runs + run], widths, pair, 1),
        "average": network_of(learner.average[run], widths, state, actions),
    }


def networks_of_reference(run: ReferenceIQL) -> dict[str, torch.nn.Module]:
    return {
        "q1": run.critics[0],
        "q2": run.critics[1],
        "actor": run.actor.net,
        "value": run.value,
        "target q1": run.target_critics[0],
        "target q2": run.target_critics[1],
        "average": run.average_actor.net,
    }


def assert_same_networks(fast: Learner, reference: ReferenceLearner, atol: float) -> None:
    for index, run in enumerate(reference.runs):
        expected = networks_of_reference(run)
        for name, network in networks(fast, index).items():
            for first, second in zip(network.parameters(), expected[name].parameters(), strict=True):
                assert torch.allclose(first, second, rtol=0, atol=atol), name
    assert torch.allclose(fast.actor(), reference.actor(), rtol=0, atol=atol)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_updates_equal_those_of_the_reference(changes: dict) -> None:
    """Gradients, Adam, the order of the four steps, targets, averages and padding, all against plain PyTorch.

    A learner that takes another order, the actor on old values for example, is off by far more than the tolerance.
    """
    settings = replace(SETTINGS, **changes)
    data = make_data(2, settings.discrete_actions)
    if settings.normalize_rewards:
        data = data.with_normalized_rewards()
    fast, reference = Learner(data, settings, [3, 4]), ReferenceLearner(data, settings, [3, 4])
    assert_same_networks(fast, reference, atol=0.0)  # the same start
    for learner in (fast, reference):
        Runner(learner, [3, 4]).run(0, 12)
    assert_same_networks(fast, reference, atol=2e-5)
    start = ReferenceLearner(data, settings, [3, 4])
    with pytest.raises(AssertionError):
        assert_same_networks(fast, start, atol=1e-3)
    measured, expected = fast.metrics(), reference.metrics()
    assert measured.keys() == expected.keys()
    for name, values in expected.items():
        assert measured[name] == pytest.approx(values, rel=1e-3, abs=1e-5), name
    if not settings.discrete_actions:
        assert reference.runs[0].actor.log_std.abs().min() > 1e-4  # it was trained


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_train_gives_the_same_policy(changes: dict) -> None:
    settings = replace(SETTINGS, **changes)
    data = make_data(2, settings.discrete_actions)
    fast = train(data, settings, [1, 2])
    reference = train(data, replace(settings, implementation="reference"), [1, 2])
    assert torch.allclose(fast.policy.actors, reference.policy.actors, rtol=0, atol=1e-4)
    assert fast.policy.widths == reference.policy.widths
    observations, latents = torch.randn(2, 50, 3), torch.randn(2, 50, 2)
    outputs = [result.policy._outputs(observations, latents) for result in (fast, reference)]
    assert torch.allclose(*outputs, rtol=0, atol=1e-3)
    assert [row["step"] for row in fast.metrics] == [row["step"] for row in reference.metrics]


def test_runs_do_not_depend_on_one_another() -> None:
    settings, data = replace(SETTINGS, implementation="reference"), make_data(2)
    together = train(data, settings, [5, 6]).policy
    rows = {name: getattr(data, name)[1:] for name in ("rewards", "latents", "latent_index")}
    alone = train(replace(data, **rows), settings, [6]).policy
    assert torch.equal(together.actors[1], alone.actors[0])


def test_a_policy_is_a_copy() -> None:
    learner = ReferenceLearner(make_data(), SETTINGS, [0, 1])
    mean, std = torch.zeros(2, 1, 2), torch.ones(2, 1, 2)
    policy = make_policy(learner, mean, std)
    before = policy.actors.clone()
    Runner(learner, [0, 1]).run(0, 5)
    assert torch.equal(policy.actors, before)
    assert not torch.equal(learner.actor(), before)


def test_a_flat_actor_is_the_same_network() -> None:
    learner = ReferenceLearner(make_data(), SETTINGS, [0, 1])
    actor, states = learner.runs[0].actor, torch.randn(7, learner.state_size)
    again = network_of(flat_actor(actor, learner.widths).detach(), learner.widths, learner.state_size, 2)
    assert torch.equal(again(states), actor.net(states))


def test_the_global_generator_stays_where_it_was() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    train(make_data(), replace(SETTINGS, implementation="reference", num_updates=3), [1, 2])
    assert torch.equal(torch.rand(3), expected)


def test_state_of_another_learner_is_refused() -> None:
    learner = ReferenceLearner(make_data(), SETTINGS, [0, 1])
    with pytest.raises(IQLError, match=r"the stored state has no 0\.critics\.0\.0\.weight of shape"):
        learner.load_state(Learner(make_data(), SETTINGS, [0, 1]).state())


def test_precision_of_the_reference_is_float32() -> None:
    assert fastest_precision("cpu", "reference") == "float32"
    settings = replace(SETTINGS, implementation="reference", precision="auto", num_updates=2)
    train(make_data(), settings, [0, 1])
    with pytest.raises(IQLError, match=r"iql.implementation=reference is float32: set iql.precision"):
        IQLSettings(implementation="reference", precision="bfloat16")
