import numpy as np
import pytest
import torch
from torch import nn

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.reward_learning import training
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.training import (
    PreferenceBatches,
    TrainingSettings,
    context_and_targets,
    split_users,
    train,
)


class Counter(nn.Module):
    """One parameter that a constant gradient moves by about -1e-1 an update."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))


def downhill(network):
    return lambda batch, generator, progress: (network.value * 1.0, {"progress": torch.tensor(progress)})


SETTINGS = TrainingSettings(num_updates=20, batch_users=4, learning_rate=0.1, num_validations=20)


def test_the_checkpoint_is_chosen_by_unseen_answers_not_by_the_loss(line):
    network = Counter()

    def predict(batch):
        # best at -1.0, half way through, while the loss falls to the end
        right = torch.exp(-(network.value.detach() + 1.0).abs())
        return torch.where(batch.labels > 0.5, right, 1 - right), batch.mask

    history = train(network, line.preferences(20), downhill(network), predict, SETTINGS, 0, "cpu")
    assert network.value.item() == pytest.approx(-1.0, abs=0.02)
    kept = [row for row in history if row["kept"]]
    assert [row["update"] for row in kept] == [10.0]
    assert history[-1]["loss"] < kept[0]["loss"]


def test_without_validation_the_last_checkpoint_is_kept(line):
    network = Counter()
    settings = TrainingSettings(
        num_updates=20, batch_users=4, learning_rate=0.1, validation_fraction=0.0, num_validations=4
    )
    calls = []
    history = train(
        network,
        line.preferences(20),
        downhill(network),
        lambda batch: pytest.fail("no users to predict"),
        settings,
        0,
        "cpu",
        progress=lambda done, total: calls.append((done, total)),
    )
    assert network.value.item() == pytest.approx(-2.0, abs=0.05)
    assert [row["kept"] for row in history] == [0, 0, 0, 1]
    assert calls == [(5, 20), (10, 20), (15, 20), (20, 20)]


def test_users_without_an_answer_to_predict_choose_no_checkpoint(line):
    network = Counter()

    def predict(batch):
        return torch.full_like(batch.labels, 0.5), context_and_targets(batch.mask)[1]

    history = train(network, line.preferences(20, num_comparisons=1), downhill(network), predict, SETTINGS, 0, "cpu")
    assert all(row.keys() == {"update", "loss", "progress", "kept"} for row in history)
    assert [row["update"] for row in history if row["kept"]] == [20.0]
    assert network.value.item() == pytest.approx(-2.0, abs=0.05)


def test_a_cosine_lowers_the_learning_rate_to_nothing(line):
    network = Counter()
    settings = TrainingSettings(
        num_updates=20, batch_users=4, learning_rate=0.1, schedule="cosine", validation_fraction=0.0, num_validations=20
    )
    history = train(network, line.preferences(20), downhill(network), lambda batch: None, settings, 0, "cpu")
    # Adam under a constant gradient moves by its learning rate: sum over k < 20 of 0.1 (1 + cos(pi k / 20)) / 2 = 1.05
    assert network.value.item() == pytest.approx(-1.05, abs=0.01)
    moves = -np.diff([row["loss"] for row in history])
    np.testing.assert_allclose(moves, 0.05 * (1 + np.cos(np.pi * np.arange(19) / 20)), atol=2e-3)


def test_learning_and_validation_never_share_a_user_and_keep_to_the_rows_given(line):
    network, learned, judged = Counter(), set(), set()

    def loss(batch, generator, progress):
        learned.update(batch.rows.tolist())
        return network.value * 1.0, {}

    def predict(batch):
        judged.update(batch.rows.tolist())
        return torch.full_like(batch.labels, 0.5), batch.mask

    rows = np.arange(5, 35)
    train(network, line.preferences(40), loss, predict, SETTINGS, 0, "cpu", rows=rows)
    assert learned.isdisjoint(judged)
    assert learned | judged == set(rows.tolist())
    assert len(judged) == 3


def test_split_leaves_a_user_on_both_sides():
    assert [len(part) for part in split_users(2, 0.1, 0)] == [1, 1]
    assert [len(part) for part in split_users(1, 0.1, 0)] == [1, 0]
    assert [len(part) for part in split_users(100, 0.1, 0)] == [90, 10]
    first, again, other = (split_users(100, 0.1, seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_context_and_targets_share_no_answer():
    mask = torch.tensor([[True, False, True, True, False], [True] * 5])
    context, targets = context_and_targets(mask)
    assert not (context & targets).any()
    assert torch.equal(context | targets, mask)
    assert context.sum(1).tolist() == [1, 2]


def test_batches_from_a_file_read_row_by_row_equal_those_in_memory(line, tmp_path, monkeypatch):
    preferences = line.preferences(30)
    preferences.save(tmp_path / "preferences.h5")
    lazy = PreferenceDataset.load(tmp_path / "preferences.h5", lazy=True)
    in_memory = PreferenceBatches(preferences, "cpu")
    monkeypatch.setattr(training, "MEMORY_BYTES", 0)
    from_file = PreferenceBatches(lazy, "cpu")
    rows = np.array([7, 3, 29])
    for name in ("segments", "labels", "mask", "rows"):
        assert torch.equal(getattr(in_memory.take(rows), name), getattr(from_file.take(rows), name))
    assert from_file.take(rows).rows.tolist() == [3, 7, 29]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_updates": 0}, "num_updates must be at least 1"),
        ({"batch_users": 0}, "batch_users must be at least 1"),
        ({"validation_fraction": 1.0}, "validation_fraction must lie in"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"max_grad_norm": 0.0}, "max_grad_norm must be positive"),
        ({"weight_decay": -1.0}, "weight_decay must not be negative"),
    ],
)
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(LearnerError, match=message):
        TrainingSettings(**values)


def test_no_users_to_learn_from(line):
    with pytest.raises(LearnerError, match="no users to learn from"):
        train(Counter(), line.preferences(0), downhill, lambda batch: None, SETTINGS, 0, "cpu")
