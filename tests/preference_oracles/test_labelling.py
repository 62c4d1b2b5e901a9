"""Labels on whole segments; streamed or not, the same; a million users."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path

import numpy as np
import pytest
from small_worlds import LineWorld, line_data

from pluralbench.envs.maze.task import MazeTask
from pluralbench.preference_oracles import (
    PreferenceDataset,
    Teacher,
    collect_preferences,
    get_population,
    labelling,
    stream_preferences,
    with_teacher,
)
from pluralbench.preference_oracles.inspection import describe, group_statistics
from pluralbench.preference_oracles.queries import QueryError
from pluralbench.preference_oracles.users import Users

TASK = LineWorld()
DATA = line_data(num_episodes=60, length=20)


def users(num: int, teacher: str | Teacher = "rational", name: str = "two-goals") -> Users:
    return with_teacher(get_population(name), teacher).train_users(TASK, num, np.random.default_rng(0))


@pytest.mark.parametrize("length", [1, 5, 20])
def test_labels_follow_the_sum_over_the_whole_segment(length: int) -> None:
    people = users(50)
    found = collect_preferences(TASK, DATA, people, 10, length, seed=1)
    for user in range(0, 50, 7):
        for k in range(10):
            sums = [TASK.utility(found.segments[user, k, i], people.goals[user]).sum(dtype=float) for i in range(2)]
            expected = 0.5 if sums[0] == sums[1] else float(sums[0] > sums[1])
            assert found.labels[user, k] == expected
    assert found.mask.all()
    np.testing.assert_array_equal(found.user_ids, people.ids)
    np.testing.assert_array_equal(found.goals, people.goals)
    # successive steps of one episode, and observations rather than what follows
    assert (np.diff(found.segments[..., 1], axis=-1) == 1).all()
    assert (np.ptp(found.segments[..., 2], axis=-1) == 0).all()


def test_opposed_users_answer_opposite_queries_oppositely() -> None:
    people = users(400, name="conflicting-pairs")
    found = collect_preferences(TASK, DATA, people, 4, 2, seed=1)
    utilities = TASK.utility(found.segments, TASK.goal((7, 1))).sum(-1)
    better = (utilities[:, :, 0] > utilities[:, :, 1]).astype(np.float32)
    wants = found.group_index == 0
    np.testing.assert_array_equal(found.labels[wants], better[wants])
    np.testing.assert_array_equal(found.labels[~wants], 1 - better[~wants])


def test_episodes_are_held_out() -> None:
    found = collect_preferences(TASK, DATA, users(50), 10, 3, seed=1, episodes=np.arange(40, 60))
    assert found.segments[..., 2].min() >= 40


def test_another_teacher_is_asked_the_same_questions() -> None:
    a = collect_preferences(TASK, DATA, users(50), 10, 3, seed=1)
    b = collect_preferences(TASK, DATA, users(50, "mistake"), 10, 3, seed=1)
    np.testing.assert_array_equal(a.segments, b.segments)
    assert 0 < (a.labels != b.labels).mean() < 0.2


@pytest.mark.parametrize("strategy", ["random", "stratified", "near-tie"])
@pytest.mark.parametrize("teacher", ["rational", "bpref", "skip-quantile"])
def test_streamed_and_collected_are_the_same(
    strategy: str, teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "CHUNK_NUMBERS", 5000)  # several chunks
    people = users(200, teacher)
    seen: list[tuple[int, int]] = []
    arguments = (TASK, DATA, people, 6, 3, 9)
    path = stream_preferences(
        tmp_path / "p.hdf5", *arguments, strategy=strategy, progress=lambda *done: seen.append(done)
    )
    kept = collect_preferences(*arguments, strategy=strategy)
    read = PreferenceDataset.load(path)
    for column in ("segments", "labels", "mask", "user_ids", "group_index", "goals"):
        np.testing.assert_array_equal(getattr(read, column), getattr(kept, column))
    assert read.provenance == kept.provenance
    assert len(seen) > 3
    assert seen[-1] == (200, 200)
    first = collect_preferences(TASK, DATA, people.take(np.arange(46)), 6, 3, 9, strategy="random")
    if strategy == "random" and teacher == "rational":  # fewer users: the first ones get the same queries
        np.testing.assert_array_equal(first.segments, kept.segments[:46])


def test_an_interrupted_stream_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "CHUNK_NUMBERS", 5000)
    path = stream_preferences(tmp_path / "p.hdf5", TASK, DATA, users(20), 2, 1, seed=1)
    before = path.read_bytes()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream_preferences(path, TASK, DATA, users(2000), 6, 3, seed=1, progress=stop)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.hdf5"]


def test_provenance_tells_the_realised_rates() -> None:
    people = users(2000, Teacher(mistake_rate=0.2, skip_fraction=0.3, threshold_rule="quantile"))
    found = collect_preferences(TASK, DATA, people, 10, 3, seed=1, provenance={"population": "two-goals"})
    rates = found.provenance["realised_rates"]
    assert rates["skip"] == 1 - found.mask.mean()
    assert abs(rates["skip"] - 0.3) < 0.02
    meant = TASK.utility(found.segments, people.goals[:, None, None, None]).sum(-1, dtype=float)
    wrong = (meant[:, :, 0] > meant[:, :, 1]) != (found.labels == 1)
    decided = found.mask & (found.labels != 0.5)
    assert rates["flip"] == pytest.approx(wrong[decided].mean())
    assert abs(rates["flip"] - 0.2) < 5 * np.sqrt(0.2 * 0.8 / decided.sum())
    assert (found.provenance["environment"], found.provenance["population"]) == ("line", "two-goals")
    assert found.provenance["teacher"]["mistake_rate"] == 0.2
    json.dumps(found.provenance, allow_nan=False)


def test_thresholds_differ_between_users_and_their_goals() -> None:
    people = users(3000, name="mixed-rationality")
    people = Users(
        people.ids,
        people.group_names,
        people.group_index,
        people.goals,
        Teacher(skip_fraction=np.where(np.arange(3000) % 2, 0.4, 0.1), threshold_rule="quantile"),
    )
    found = collect_preferences(TASK, DATA, people, 20, 2, seed=1)
    for odd, nominal in ((0, 0.1), (1, 0.4)):
        for group in (0, 1):
            rows = (np.arange(3000) % 2 == odd) & (people.group_index == group)
            assert abs((~found.mask[rows]).mean() - nominal) < 0.05


def test_what_cannot_be_labelled_is_refused() -> None:
    with pytest.raises(QueryError, match="at least 1 query, not 0"):
        collect_preferences(TASK, DATA, users(3), 0, 1, seed=1)
    with pytest.raises(QueryError, match="21 steps are longer than every episode"):
        collect_preferences(TASK, DATA, users(3), 1, 21, seed=1)
    with pytest.raises(QueryError, match="unknown strategy 'easy'"):
        collect_preferences(TASK, DATA, users(3), 1, 1, seed=1, strategy="easy")


def test_description_tells_users_shares_rates_and_examples() -> None:
    people = users(3000, Teacher(mistake_rate=0.1, skip_fraction=0.3, threshold_rule="quantile"), "two-goals-1-6")
    found = collect_preferences(TASK, DATA, people, 10, 3, seed=1, provenance={"population": "two-goals-1-6"})
    table = group_statistics(found)
    assert list(table) == ["(7, 1)", "(7, 10)", "all"]
    minority = found.group_index == 0
    assert table["(7, 1)"]["share"] == pytest.approx(minority.mean())
    assert table["(7, 1)"]["skip"] == pytest.approx((~found.mask[minority]).mean())
    assert table["all"]["first"] == pytest.approx((found.labels[found.mask] == 1).mean(), abs=0.01)
    assert table["all"]["tie"] == pytest.approx((found.labels[found.mask] == 0.5).mean())
    text = describe(found, num_examples=2)
    for part in ("3000 rows", "10 per user", "3 steps of 3 numbers", "two-goals-1-6", "(7, 10)", "flip 0.1", "->"):
        assert part in text
    assert text.count(" of group ") == 2
    assert "user 0 of group" in text
    assert "user 2999 of group" in text


def test_description_of_ties_and_skips_by_hand() -> None:
    found = collect_preferences(TASK, DATA, users(1), 2, 1, seed=1)
    labels, mask = np.array([[0.5, 0.0]], np.float32), np.array([[True, True]])
    example = PreferenceDataset(
        found.segments, labels, mask, found.user_ids, found.group_names, found.group_index, found.goals
    )
    assert "finds both equal" in describe(example)
    skipped = PreferenceDataset(
        found.segments, labels, ~mask, found.user_ids, found.group_names, found.group_index, found.goals
    )
    assert "skipped:" in describe(skipped)
    assert group_statistics(skipped)["all"] == {"users": 1, "share": 1, "skip": 1, "tie": 0, "first": 0}


@pytest.mark.slow
def test_a_million_users_are_labelled_and_streamed_within_4_gib(tmp_path: Path) -> None:
    from small_worlds import random_data

    task = MazeTask()
    data = random_data(task, num_episodes=1250, length=800)
    people = get_population("two-goals").train_users(task, 1_000_000, np.random.default_rng(0))
    start = time.perf_counter()
    path = stream_preferences(tmp_path / "million.hdf5", task, data, people, 8, 1, seed=0)
    rate = 8e6 / (time.perf_counter() - start)
    lazy = PreferenceDataset.load(path, lazy=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{rate / 1e6:.2f} million labels/s, peak memory {peak:.2f} GiB")
    assert lazy.labels.shape == (1_000_000, 8)
    assert peak < 4
    chunk = labelling.CHUNK_NUMBERS // (8 * 2 * 4)
    again = collect_preferences(task, data, people.take(np.arange(chunk)), 8, 1, seed=0)
    np.testing.assert_array_equal(again.segments, lazy.segments[:chunk])
