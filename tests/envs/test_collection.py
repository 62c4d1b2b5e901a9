import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pluralbench.envs.collection import cached_transitions_path, data_folder, load_or_collect
from pluralbench.envs.environments import Environment
from pluralbench.envs.transition_files import save_transitions
from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.folders import FolderError


class LineTask:
    """A robot on a line."""

    name = "line"
    observation_size = 1
    action_size = 1
    goal_size = 1
    observation_names = ("position (m)",)
    max_episode_steps = 5


class LineWalk:
    """A random walk in episodes of five; counts how often it was run."""

    def __init__(self, action_size=1, shortfall=0):
        self.runs = 0
        self.action_size = action_size
        self.shortfall = shortfall

    def __call__(self, num_transitions, seed, progress=None):
        self.runs += 1
        num = -(-num_transitions // 5) * 5 - self.shortfall
        steps = np.random.default_rng(seed).normal(size=num).astype(np.float32)
        positions = np.concatenate([[0], np.cumsum(steps)]).astype(np.float32)[:, None]
        if progress is not None:
            progress(num, num)
        return TransitionDataset(
            observations=positions[:-1],
            actions=np.repeat(steps[:, None], self.action_size, axis=1),
            next_observations=positions[1:],
            rewards=steps,
            terminals=np.zeros(num, bool),
            timeouts=np.arange(num) % 5 == 4,
            metadata={"policy": "walk", "seed": seed, "range": (0, 1)},
        )


def _environment(collect, **changes):
    environment = Environment("line", "pluralbench/Line-v0", LineTask, collect, 1, "nobody")
    return dataclasses.replace(environment, **changes)


def _files(folder):
    return sorted(path.name for path in Path(folder).rglob("*") if path.is_file())


def test_data_is_collected_once_and_then_read(tmp_path):
    walk, told = LineWalk(), []
    environment = _environment(walk)
    first = load_or_collect(environment, 12, 0, tmp_path, lambda *step: told.append(step))
    second = load_or_collect(environment, 12, 0, tmp_path)
    assert walk.runs == 1
    assert told == [(15, 15)]
    assert len(first) == 15
    for name in ("observations", "actions", "next_observations", "rewards", "terminals", "timeouts"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.metadata == second.metadata  # a tuple of the policy's has become a list in both
    assert len(_files(tmp_path)) == 1


def test_the_same_settings_give_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        load_or_collect(_environment(LineWalk()), 12, 7, tmp_path / folder)
    a, b = (cached_transitions_path(_environment(LineWalk()), 12, 7, tmp_path / folder) for folder in ("a", "b"))
    assert a.name == b.name
    assert a.read_bytes() == b.read_bytes()


class LongerTask(LineTask):
    max_episode_steps = 6


@pytest.mark.parametrize(
    ("num", "seed", "changes"),
    [
        (13, 0, {}),
        (12, 1, {}),
        (12, 0, {"behaviour_version": 2}),
        (12, 0, {"name": "other"}),
        (12, 0, {"gym_id": "somebody/Line-v0"}),
        (12, 0, {"make_task": LongerTask}),
    ],
)
def test_other_settings_are_other_data(tmp_path, num, seed, changes):
    path = cached_transitions_path(_environment(LineWalk()), 12, 0, tmp_path)
    assert cached_transitions_path(_environment(LineWalk(), **changes), num, seed, tmp_path) != path


@pytest.mark.parametrize("damage", ["text", "truncated", "flipped", "of another task", "too short"])
def test_a_damaged_cache_is_named_and_collected_anew(tmp_path, damage):
    walk = LineWalk()
    environment = _environment(walk)
    path = cached_transitions_path(environment, 12, 0, tmp_path)
    whole = load_or_collect(environment, 12, 0, tmp_path)
    content = path.read_bytes()
    if damage == "text":
        path.write_text("garbage")
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        place = content.index(whole.rewards.tobytes())
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    elif damage == "of another task":
        save_transitions(LineWalk(action_size=2)(12, 0), path)
    else:
        save_transitions(LineWalk()(5, 0), path)
    with pytest.warns(UserWarning, match="collecting the data anew") as caught:
        again = load_or_collect(environment, 12, 0, tmp_path)
    assert str(path) in str(caught[0].message)
    assert walk.runs == 2
    np.testing.assert_array_equal(again.rewards, whole.rewards)
    assert path.read_bytes() == content


def test_an_interrupted_collection_leaves_nothing(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_or_collect(_environment(LineWalk()), 12, 0, tmp_path, interrupt)
    assert _files(tmp_path) == []


def test_collecting_the_same_at_once_leaves_one_whole_file(tmp_path):
    environment = _environment(LineWalk())
    with ThreadPoolExecutor(4) as pool:
        datasets = list(pool.map(lambda _: load_or_collect(environment, 50, 0, tmp_path), range(8)))
    assert all(np.array_equal(dataset.rewards, datasets[0].rewards) for dataset in datasets)
    assert _files(tmp_path) == [cached_transitions_path(environment, 50, 0, tmp_path).name]


def test_the_folder_is_the_argument_then_the_variable_then_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PLURALBENCH_DATA_DIR", str(tmp_path / "variable"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_folder(tmp_path / "argument") == tmp_path / "argument"
    assert data_folder() == tmp_path / "variable"
    monkeypatch.delenv("PLURALBENCH_DATA_DIR")
    assert data_folder() == tmp_path / "cache" / "pluralbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".cache" / "pluralbench"
    assert data_folder("~/data") == tmp_path / "data"


def test_impossible_wishes_fail_before_any_work(tmp_path):
    walk = LineWalk()
    with pytest.raises(DatasetError, match="at least 1, is 0"):
        load_or_collect(_environment(walk), 0, 0, tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FolderError, match=r"cannot write to .*PLURALBENCH_DATA_DIR"):
        load_or_collect(_environment(walk), 5, 0, tmp_path / "file")
    assert walk.runs == 0


@pytest.mark.parametrize("walk", [LineWalk(action_size=2), LineWalk(shortfall=4)])
def test_a_policy_that_gives_something_else_is_refused_and_not_kept(tmp_path, walk):
    with pytest.raises(DatasetError, match="line needs 12 transitions"):
        load_or_collect(_environment(walk), 12, 0, tmp_path)
    assert _files(tmp_path) == []
