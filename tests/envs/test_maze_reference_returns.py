"""Reference returns of D4RL's tasks: the formula, and numbers that can be measured again."""

import re
from pathlib import Path

import numpy as np
import pytest

from pluralbench.envs.maze.maps import LAYOUTS
from pluralbench.envs.maze.reference_returns import (
    D4RL,
    EPISODE_STEPS,
    MEASURED,
    main,
    measure,
    normalised_score,
    reference_returns,
)
from pluralbench.errors import InputError


def test_random_scores_nothing_and_the_expert_a_hundred():
    for layout in LAYOUTS:
        for name, returns in (("d4rl", D4RL), ("pluralbench", MEASURED)):
            known = returns[layout]
            found = normalised_score([known.random, known.expert, (known.random + known.expert) / 2], layout, name)
            np.testing.assert_allclose(found, [0, 100, 50], atol=1e-9)
    assert normalised_score(MEASURED["large"].expert, "large", "d4rl") == pytest.approx(203.8, abs=0.1)
    with pytest.raises(InputError, match="large"):
        normalised_score(1.0, "lage")
    with pytest.raises(InputError, match="d4rl"):
        normalised_score(1.0, "large", "d4l")


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_small_sample_agrees_with_what_stands_in_the_file(layout):
    for policy, expected in (("random", MEASURED[layout].random), ("expert", MEASURED[layout].expert)):
        returns = measure(layout, policy, 60, seed=1)
        assert returns.shape == (60,)
        assert ((returns >= 0) & (returns <= EPISODE_STEPS[layout])).all()
        assert abs(returns.mean() - expected) < 4 * returns.std(ddof=1) / np.sqrt(60)
        np.testing.assert_array_equal(returns, measure(layout, policy, 60, seed=1))


def test_every_episode_of_a_controller_that_is_reset_reaches_the_goal_and_d4rls_do_not():
    assert (measure("medium", "expert", 60, seed=0) > 200).all()
    stuck = measure("medium", "not-reset", 60, seed=0)
    assert 0.2 < (stuck == 0).mean() < 0.8
    assert abs(stuck.mean() - D4RL["medium"].expert) < 4 * stuck.std() / np.sqrt(60)


def test_data_are_told_the_returns_of_their_layout():
    told = reference_returns({"layout": "umaze"})
    assert told["episode_steps"] == 300
    assert (told["d4rl"]["random"], told["d4rl"]["expert"]) == (23.85, 161.86)
    assert told["pluralbench"]["expert"] == MEASURED["umaze"].expert
    assert (
        reference_returns({"layout": "D4RL maze2d"})
        is reference_returns({"layout": [1]})
        is reference_returns({})
        is None
    )


def test_the_command_prints_a_row_for_each_layout(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["reference_returns", "--episodes", "3", "--seed", "1"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["layout", *EPISODE_STEPS]
    assert "23.85, 161.86" in lines[2]


def test_the_page_shows_the_same_numbers():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    for layout, steps in EPISODE_STEPS.items():
        theirs, ours = D4RL[layout], MEASURED[layout]
        row = rf"\| {layout} \| {steps} \| {theirs.random:.2f} \| {theirs.expert:.2f} "
        assert re.search(row + rf"\| {ours.random:.2f} ± \S+ \| {ours.expert:.2f} ± ", page), layout
