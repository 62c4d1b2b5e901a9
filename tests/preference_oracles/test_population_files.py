"""Populations in files of the user's own, and what is said where they fail."""

import numpy as np
import pytest

from pluralbench.envs.maze.task import MazeTask
from pluralbench.errors import InputError
from pluralbench.preference_oracles.populations import draw_train_users, get_population, populations
from pluralbench.registry import UnknownNameError

MAZE = MazeTask()


@pytest.mark.parametrize("place", ["made", "drawn"])
def test_a_fault_of_a_population_in_a_file_names_file_and_line(place, tmp_path):
    """Formerly only the field was named."""
    path = tmp_path / "mine.py"
    wrong = "Teacher(mistake_rate=2)"
    path.write_text(
        "from pluralbench.preference_oracles import Group, GroupPopulation, Teacher\n"
        "def made():\n"
        f"    return GroupPopulation('mine', 'one', (Group((7, 1), 1.0, teacher={wrong}),))\n"
        "class drawn:\n"
        "    name, description = 'mine', 'one'\n"
        "    def train_users(self, task, num_users, generator):\n"
        f"        return {wrong}\n"
        "    test_users = train_users\n"
    )
    line = 3 if place == "made" else 7
    with pytest.raises(InputError, match=rf"mine.*{path}, line {line}, in .*: a teacher's mistake_rate must be within"):
        draw_train_users(get_population(f"{path}:{place}"), MAZE, 2, np.random.default_rng(0))


def test_types_have_their_article():
    with pytest.raises(UnknownNameError, match=r"got an int$"):
        populations._checked(3, "mine.py:THREE")
