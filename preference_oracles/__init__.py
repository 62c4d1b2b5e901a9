"""Who wants what, how they answer, and what they were asked.

For a population of your own:

    from pluralbench.preference_oracles import Group, GroupPopulation, Teacher
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluralbench.lazy import lazily
from pluralbench.preference_oracles.goal_populations import NamedGoals
from pluralbench.preference_oracles.group_populations import Group, GroupPopulation
from pluralbench.preference_oracles.populations import get_population, populations
from pluralbench.preference_oracles.teacher_populations import with_teacher
from pluralbench.preference_oracles.teachers import Teacher, TeacherError, get_teacher, teachers
from pluralbench.preference_oracles.users import Population, PopulationError, User, Users

if TYPE_CHECKING:
    from pluralbench.preference_oracles.fingerprints import users_fingerprint
    from pluralbench.preference_oracles.labelling import collect_preferences, stream_preferences
    from pluralbench.preference_oracles.preferences import PreferenceDataset, PreferenceError

__all__ = [
    "Group",
    "GroupPopulation",
    "NamedGoals",
    "Population",
    "PopulationError",
    "PreferenceDataset",
    "PreferenceError",
    "Teacher",
    "TeacherError",
    "User",
    "Users",
    "collect_preferences",
    "get_population",
    "get_teacher",
    "populations",
    "stream_preferences",
    "teachers",
    "users_fingerprint",
    "with_teacher",
]

__getattr__ = lazily(
    __name__,
    {
        "collect_preferences": "pluralbench.preference_oracles.labelling",
        "stream_preferences": "pluralbench.preference_oracles.labelling",
        "PreferenceDataset": "pluralbench.preference_oracles.preferences",
        "PreferenceError": "pluralbench.preference_oracles.preferences",
        "users_fingerprint": "pluralbench.preference_oracles.fingerprints",
    },
)
"""Names that are imported when they are first asked for, with where they are."""
