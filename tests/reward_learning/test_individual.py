"""A network for each user, from that user's answers alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pluralbench.reward_learning import individual
from pluralbench.reward_learning.answering import answer_probabilities
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.individual import Individual, stacked_rewards
from pluralbench.reward_learning.learners import load_model, make_learner


def started(line, seed=0, **settings):
    model = make_learner("individual", {"hidden_size": 16, "num_layers": 2, "learning_rate": 1e-2, **settings})
    model.fit(line.preferences(24, 6), seed=seed)
    return model


def test_it_ranks_segments_as_its_own_user_does(line):
    model, users = started(line), line.preferences(6, 8, length=2, seed=3)
    probability = answer_probabilities(model, users, model.infer(users).mean)
    assert (np.abs(probability - users.labels) < 0.4).all()


def test_opposite_answers_to_the_same_questions_give_opposite_rewards(line):
    one = line.preferences(1, 16, seed=3).take_users([0, 0])
    labels = np.stack([one.labels[0], 1 - one.labels[0]])
    model = started(line)
    latents = model.infer(replace(one, labels=labels)).mean
    positions = torch.linspace(-1, 1, 20)[:, None] * torch.tensor([1.0, 0.0])
    with torch.no_grad():
        rewards = model.reward(positions[None], latents[:, None])
    assert torch.corrcoef(rewards)[0, 1] < -0.9


def test_a_user_is_fitted_alone(line):
    both, generator = line.preferences(2, 8, seed=3), torch.rand(7, 2)
    rewards = []
    for rows in ([0], [1, 0]):
        model = started(line)
        latents = model.infer(both.take_users(rows)).mean[-1:]
        with torch.no_grad():
            rewards.append(model.reward(generator, latents))
    torch.testing.assert_close(rewards[0], rewards[1], rtol=1e-4, atol=1e-5)


def test_train_users_answers_teach_it_nothing(line):
    data, context = line.preferences(24, 6), line.preferences(2, 8, seed=3)
    rewards = []
    for labels in (data.labels, 1 - data.labels):
        model = Individual({"num_steps": 5})
        assert model.fit(replace(data, labels=labels), seed=0) == []
        with torch.no_grad():
            rewards.append(model.reward(torch.ones(2, 2), model.infer(context).mean))
    assert torch.equal(*rewards)


def test_the_same_answers_are_fitted_once(line, monkeypatch):
    fitted = []
    original = Individual._fit_networks

    def counted(self, batch):
        fitted.append(len(batch.rows))
        return original(self, batch)

    monkeypatch.setattr(Individual, "_fit_networks", counted)
    monkeypatch.setattr(individual, "CHUNK_NETWORKS", 3)
    model, context = started(line, num_steps=2), line.preferences(5, 6, seed=3)
    first = model.infer(context).mean
    assert fitted == [3, 2]
    assert torch.equal(model.infer(context.take_queries([3, 1, 0, 2, 5, 4])).mean, first)
    assert fitted == [3, 2]
    more = model.infer(context.take_users([4, 1, 1]).take_queries(slice(0, 5))).mean[:, 0].tolist()
    assert fitted == [3, 2, 2]
    assert sorted(set(more)) == [5, 6]
    assert more[1] == more[2]
    assert first[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_networks_are_those_of_btl_all_at_once(line):
    model = started(line)
    network = model.network
    start = [part.detach() for part in network.parameters()]
    others = [part + 0.1 for part in start]
    stack = [torch.stack(pair) for pair in zip(start, others, strict=True)]
    observations = torch.rand(2, 5, 2)
    rewards = stacked_rewards(list(zip(stack[::2], stack[1::2], strict=True)), network.features(observations))
    with torch.no_grad():
        torch.testing.assert_close(rewards[0], network(observations[0])[:, 0])
        for parameter, value in zip(network.parameters(), others, strict=True):
            parameter.copy_(value)
        torch.testing.assert_close(rewards[1], network(observations[1])[:, 0])
    btl = make_learner("btl", {"hidden_size": 16, "num_layers": 2})
    btl.sizes = model.sizes
    assert [part.shape for part in btl.build().parameters()] == [part.shape for part in start]


def test_a_tie_pulls_together_and_no_answer_pulls_nowhere(line):
    data = line.preferences(1, 8, seed=3)
    model = started(line)
    tied = model.infer(replace(data, labels=np.full_like(data.labels, 0.5))).mean
    np.testing.assert_allclose(answer_probabilities(model, data, tied), 0.5, atol=0.05)
    silent = replace(data, mask=np.zeros_like(data.mask), labels=np.full_like(data.labels, 0.5))
    nothing = model.infer(silent).mean
    assert model.infer(silent.take_queries(slice(0, 0))).mean.item() == nothing.item()
    with torch.no_grad():
        expected = model.network(torch.ones(1, 2))[:, 0]
        # weight decay alone has worked
        torch.testing.assert_close(model.reward(torch.ones(1, 2), nothing), expected, rtol=0.02, atol=1e-3)


def test_it_fits_after_loading_what_it_would_have_fitted(line, tmp_path):
    model, context = started(line, num_steps=20), line.preferences(3, 6, seed=3)
    model.save(tmp_path / "empty")
    latents = model.infer(context).mean
    observations = torch.rand(9, 2)
    model.save(tmp_path / "fitted")
    for folder in ("empty", "fitted"):
        loaded = load_model(tmp_path / folder)
        assert len(loaded.state()["fitted"]) == (0 if folder == "empty" else 3)
        assert torch.equal(loaded.infer(context).mean, latents)
        with torch.no_grad():
            table = loaded.reward(observations[None], latents[:, None])
            assert torch.equal(table, model.reward(observations[None], latents[:, None]))


def test_numbers_of_no_network_are_refused(line):
    model = started(line, num_steps=1)
    with pytest.raises(LearnerError, match="individual has fitted 0 networks: latents are numbers from `infer`"):
        model.reward(torch.ones(1, 2), torch.zeros(1, 1))
    model.infer(line.preferences(3, 6, seed=3))
    with pytest.raises(LearnerError, match="individual has fitted 3 networks"):
        model.reward(torch.ones(2, 2), torch.tensor([[0.0], [3.0]]))
    assert model.reward(torch.ones(0, 2), torch.zeros(0, 1)).shape == (0,)


def test_only_it_has_a_network_per_user():
    assert Individual.per_user
    assert not make_learner("btl").per_user
