"""Who wants what, how they answer, and what they were asked.

For a population of your own:

    from preference_oracles import Group, GroupPopulation, Teacher
"""

from preference_oracles.group_populations import Group, GroupPopulation
from preference_oracles.labelling import collect_preferences, stream_preferences
from preference_oracles.populations import get_population, populations
from preference_oracles.preferences import PreferenceDataset, PreferenceError
from preference_oracles.teacher_populations import with_teacher
from preference_oracles.teachers import Teacher, get_teacher, teachers
from preference_oracles.users import Population, PopulationError, User, Users

__all__ = [
    "Group",
    "GroupPopulation",
    "Population",
    "PopulationError",
    "PreferenceDataset",
    "PreferenceError",
    "Teacher",
    "User",
    "Users",
    "collect_preferences",
    "get_population",
    "get_teacher",
    "populations",
    "stream_preferences",
    "teachers",
    "with_teacher",
]
