"""The error of this folder; importing it imports nothing else."""

from pluralbench.errors import InputError


class LearnerError(InputError):
    """A reward learner asked for something it cannot do; the message says what is wrong and what would be right."""
