"""The error of this folder; importing it imports nothing else."""

from pluralbench.errors import InputError


class LearnerError(InputError):
    """A reward learner asked for something it cannot do; the message says what is wrong and what would be right."""


def check_at_least(minimum: int, settings: object, *names: str) -> None:
    """Raises LearnerError unless the settings of these names are at least `minimum`."""
    rule = f"must be at least {minimum}" if minimum else "must not be negative"
    for name in names:
        if getattr(settings, name) < minimum:
            raise LearnerError(f"{name} {rule}, is {getattr(settings, name)}")
