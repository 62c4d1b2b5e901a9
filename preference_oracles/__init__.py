"""Who wants what, how they answer, and what they were asked.

For a population of your own:

    from pluralbench.preference_oracles import Group, GroupPopulation, Teacher
"""

from pluralbench.preference_oracles.group_populations import Group, GroupPopulation
from pluralbench.preference_oracles.labelling import collect_preferences, stream_preferences
from pluralbench.preference_oracles.populations import get_population, populations
from pluralbench.preference_oracles.preferences import PreferenceDataset, PreferenceError
from pluralbench.preference_oracles.teacher_populations import with_teacher
from pluralbench.preference_oracles.teachers import Teacher, get_teacher, teachers
from pluralbench.preference_oracles.users import Population, PopulationError, User, Users

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
