"""How a simulated person turns the utilities of two segments into an answer.

The formulas are those of B-Pref (Lee et al., NeurIPS 2021, section 3). For utilities u_1 ... u_T along a segment, with
the segment's sum s = sum_t u_t and its discounted sum r = sum_t gamma^(T - t) u_t (late steps weigh more):

| step | rule |
|---|---|
| skip | no answer where max(s_a, s_b) < d_skip |
| equal | answer 1/2 where abs(s_a - s_b) < d_equal |
| prefer | answer 1 with probability sigmoid(beta (r_a - r_b)), else 0 |
| flip | a 1 or a 0 is exchanged with probability epsilon, once (B-Pref's mistake) |

All are combinable, and every field may differ from user to user. Where beta is infinite and r_a = r_b there is nothing
to choose: the answer is 1/2, not a loss.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.errors import InputError
from pluralbench.lines import kind_of, shown
from pluralbench.plugins import is_maker, made_by
from pluralbench.preference_oracles.thresholds import (
    Float,
    PerUser,
    Thresholds,
    choose_thresholds,
    probability_below,
    quantile_thresholds,
    return_thresholds,
)
from pluralbench.registry import Registry, UnknownNameError, file_of, unknown_name

Utilities = NDArray[np.floating]
"""Along segments of T steps: (..., T)."""
THRESHOLD_RULES = ("auto", "return", "quantile")


class TeacherError(InputError):
    """A teacher whose settings are outside their range; the message names the field and the range."""


@dataclass(frozen=True)
class Answers:
    """What was answered."""

    labels: NDArray[np.float32]
    """(..., K) float32: 1 first preferred, 0 second preferred, 0.5 equal (and where skipped)."""
    mask: NDArray[np.bool_]
    """(..., K) bool, False where the user skipped."""
    flipped: NDArray[np.bool_]
    """(..., K) bool, True where a given 0 or 1 is the opposite of what was meant."""


@dataclass(frozen=True)
class AnswerProbabilities:
    """How probable each possible answer is; the four add up to 1."""

    first: Float
    """(..., K): the label is 1."""
    second: Float
    """(..., K): the label is 0."""
    equal: Float
    """(..., K): the label is 0.5."""
    skip: Float
    """(..., K): no answer is given."""

    def of(self, labels: NDArray[np.floating], mask: NDArray[np.bool_]) -> Float:
        """Probability of what was answered: labels and mask as in `Answers`, leading axes broadcast."""
        decided = np.where(labels == 1, self.first, np.where(labels == 0, self.second, self.equal))
        return np.where(mask, decided, self.skip)


@dataclass(frozen=True)
class Teacher:
    """How users answer; every field a number, or (U,) numbers, one for each user."""

    rationality: PerUser = np.inf
    """Beta, per unit of summed utility; infinite for one who always names the better segment."""
    discount: PerUser = 1.0
    """Gamma in (0, 1]; below 1 the end of a segment weighs more than its beginning (myopic)."""
    skip_fraction: PerUser = 0.0
    """Sets d_skip, in [0, 1); see `thresholds`."""
    equal_fraction: PerUser = 0.0
    """Sets d_equal, in [0, 1); see `thresholds`."""
    mistake_rate: PerUser = 0.0
    """Epsilon in [0, 1], the share of the answers 0 and 1 that are flipped."""
    threshold_rule: str = "auto"
    """How the fractions become thresholds: `return` (B-Pref), `quantile`, or `auto`: `return` unless some utility is
    negative."""

    def __post_init__(self) -> None:
        if self.threshold_rule not in THRESHOLD_RULES:
            raise TeacherError(f"threshold_rule {self.threshold_rule!r} is none of {', '.join(THRESHOLD_RULES)}")
        lengths: set[int] = set()
        for name, (low_open, high, high_open, words) in _RANGES.items():
            given = getattr(self, name)
            try:
                value = np.asarray(given, dtype=np.float64)
            except (TypeError, ValueError, OverflowError):
                value = np.array(np.nan)
            if value.ndim > 1:
                raise TeacherError(f"{name} must be one number or one per user, has shape {value.shape}")
            outside = np.isnan(value) | (value < 0) | (value > high)
            if (outside | (low_open & (value == 0)) | (high_open & (value == high))).any():
                raise TeacherError(f"a teacher's {name} must be {words}, is {shown(given)}")
            object.__setattr__(self, name, value if value.ndim else float(value))
            lengths.update(value.shape)
        if len(lengths) > 1:
            raise TeacherError(f"a teacher's fields are for different numbers of users: {sorted(lengths)}")

    @property
    def num_users(self) -> int | None:
        """U where some field differs from user to user, else None: it serves any number of users."""
        lengths = {len(value) for _, value in self._numbers() if not isinstance(value, float)}
        return lengths.pop() if lengths else None

    def take(self, index: ArrayLike) -> Teacher:
        """The teacher of these users, in this order; of one user, with scalar fields, for a single number."""
        rows = np.asarray(index)
        numbers: dict[str, Any] = {name: v if isinstance(v, float) else v[rows] for name, v in self._numbers()}
        return replace(self, **numbers)

    def summary(self) -> dict[str, Any]:
        """JSON values that describe it: each number, or its minimum and maximum where users differ."""
        texts: dict[str, Any] = {"threshold_rule": self.threshold_rule}
        for name, value in self._numbers():
            low, high = float(np.min(value)), float(np.max(value))
            both = [v if np.isfinite(v) else "inf" for v in (low, high)]
            texts[name] = both[0] if low == high else both
        return texts

    def _numbers(self) -> list[tuple[str, PerUser]]:
        return [(name, getattr(self, name)) for name in NUMBERS]

    def thresholds(self, utilities_a: Utilities, utilities_b: Utilities) -> Thresholds:
        """Resolves the fractions on reference pairs, which stand for the data and not for the queries asked.

        By `return_thresholds`, which supposes that utilities are not negative, or by `quantile_thresholds`; both use
        undiscounted sums.

        Args:
            utilities_a: (U, R, T) utilities of the first segments of R reference pairs; (R, T) serves all users.
            utilities_b: likewise of the second ones.
        """
        if not self.needs_thresholds:
            return Thresholds()
        sums = _sums(utilities_a), _sums(utilities_b)
        fractions = _column(self.skip_fraction), _column(self.equal_fraction)
        if self.threshold_rule == "quantile":
            return quantile_thresholds(*sums, *fractions)
        by_return = return_thresholds(*sums, *fractions)
        negative = (np.minimum(utilities_a, utilities_b).min(-1) < 0).any(-1, keepdims=True)
        if self.threshold_rule == "return" or not negative.any():
            return by_return
        return choose_thresholds(negative, quantile_thresholds(*sums, *fractions), by_return)

    @property
    def needs_thresholds(self) -> bool:
        """Whether some user skips or calls different segments equal."""
        return bool(np.any(np.greater(self.skip_fraction, 0)) or np.any(np.greater(self.equal_fraction, 0)))

    def skip_probability(
        self, utilities_a: Utilities, utilities_b: Utilities, thresholds: Thresholds | None = None
    ) -> Float:
        """Probability that no answer is given: (..., K) from utilities (..., K, T)."""
        thresholds = self._resolved(thresholds)
        best = np.maximum(_sums(utilities_a), _sums(utilities_b))
        return probability_below(best, thresholds.skip, thresholds.skip_at)

    def equal_probability(
        self, utilities_a: Utilities, utilities_b: Utilities, thresholds: Thresholds | None = None
    ) -> Float:
        """Probability that an answer given is 1/2: (..., K) from utilities (..., K, T)."""
        thresholds = self._resolved(thresholds)
        gap = np.abs(_sums(utilities_a) - _sums(utilities_b))
        near = probability_below(gap, thresholds.equal, thresholds.equal_at)
        nothing_to_choose = (self._difference(utilities_a, utilities_b) == 0) & np.isinf(_column(self.rationality))
        return np.where(nothing_to_choose, 1.0, near)

    def preference_probability(
        self, utilities_a: Utilities, utilities_b: Utilities, thresholds: Thresholds | None = None
    ) -> Float:
        """The expected label of an answer that is given, flips and equal answers included; p(a, b) + p(b, a) = 1.

        Args:
            utilities_a: (U, K, T) utilities along the first segments; (K, T) where the fields are numbers.
            utilities_b: likewise along the second ones.
            thresholds: from `thresholds`; needed by a teacher that skips or calls segments equal.

        Returns:
            (U, K), or (K,).
        """
        equal = self.equal_probability(utilities_a, utilities_b, thresholds)
        return 0.5 * equal + (1 - equal) * self._first_probability(utilities_a, utilities_b)

    def answer_probabilities(
        self, utilities_a: Utilities, utilities_b: Utilities, thresholds: Thresholds | None = None
    ) -> AnswerProbabilities:
        """The distribution from which `answer` draws; arguments as in `preference_probability`."""
        skip = self.skip_probability(utilities_a, utilities_b, thresholds)
        equal = self.equal_probability(utilities_a, utilities_b, thresholds)
        first = self._first_probability(utilities_a, utilities_b)
        decided = (1 - skip) * (1 - equal)
        return AnswerProbabilities(decided * first, decided * (1 - first), (1 - skip) * equal, skip)

    def answer(
        self,
        utilities_a: Utilities,
        utilities_b: Utilities,
        generator: np.random.Generator,
        thresholds: Thresholds | None = None,
    ) -> Answers:
        """Draws one answer for each pair; arguments as in `preference_probability`."""
        difference = self._difference(utilities_a, utilities_b)
        labels = _draw(_sigmoid(_column(self.rationality), difference), generator).astype(np.float32)
        flipped = _draw(np.broadcast_to(_column(self.mistake_rate), labels.shape), generator)
        np.subtract(1, labels, out=labels, where=flipped)
        equal = _draw(self.equal_probability(utilities_a, utilities_b, thresholds), generator)
        skipped = _draw(self.skip_probability(utilities_a, utilities_b, thresholds), generator)
        labels[equal | skipped] = 0.5
        return Answers(labels=labels, mask=~skipped, flipped=flipped & ~equal & ~skipped)

    def _first_probability(self, utilities_a: Utilities, utilities_b: Utilities) -> Float:
        """Probability that an answer which is a 0 or a 1 is a 1, after the flip."""
        meant = _sigmoid(_column(self.rationality), self._difference(utilities_a, utilities_b))
        flip = _column(self.mistake_rate)
        return (1 - flip) * meant + flip * (1 - meant)

    def _difference(self, utilities_a: Utilities, utilities_b: Utilities) -> Float:
        """Discounted sum of the first segments less that of the second ones."""
        if isinstance(self.discount, float) and self.discount == 1:
            return _sums(utilities_a) - _sums(utilities_b)
        weights = _column(self.discount) ** np.arange(utilities_a.shape[-1] - 1, -1, -1.0)  # (T,) or (U, T)
        # step by step first, so that segments of equal utilities differ by exactly zero
        difference = np.subtract(utilities_a, utilities_b, dtype=np.float64)
        return np.einsum("...kt,...t->...k", difference, weights)

    def _resolved(self, thresholds: Thresholds | None) -> Thresholds:
        if thresholds is None and self.needs_thresholds:
            raise TeacherError("a teacher that skips or calls segments equal needs thresholds: Teacher.thresholds")
        return thresholds or Thresholds()


_NOT_ALL = (False, 1.0, True, "within [0, 1): who never decides teaches nothing")
_RANGES: dict[str, tuple[bool, float, bool, str]] = {
    "rationality": (False, np.inf, False, "zero or more (inf: always rational)"),
    "discount": (True, 1.0, False, "within (0, 1]"),
    "skip_fraction": _NOT_ALL,
    "equal_fraction": _NOT_ALL,
    "mistake_rate": (False, 1.0, False, "within [0, 1]"),
}
"""Whether 0 is left out, the greatest value, whether that is left out, and words for it."""
NUMBERS = tuple(_RANGES)
"""The fields of a teacher that are numbers."""


def _sums(utilities: Utilities) -> Float:
    """Sum over the steps; in float64, so that float32 utilities that are equal stay so in any order of summing."""
    return utilities[..., 0].astype(np.float64) if utilities.shape[-1] == 1 else utilities.sum(-1, dtype=np.float64)


def _column(value: PerUser) -> PerUser:
    """A number as it is; one number per user as (U, 1), to stand beside (U, K)."""
    return value if isinstance(value, float) else value[:, None]


def _sigmoid(rationality: PerUser, difference: Float) -> Float:
    """sigmoid(beta * difference), with its limit where beta is infinite: 1/2 where the difference is zero."""
    from scipy.special import expit  # takes as long to import as all of this folder

    with np.errstate(invalid="ignore"):
        logits = rationality * difference
    return expit(np.where(difference == 0, 0.0, logits))


def _draw(probability: Float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """One event for each probability; events that are certain or impossible use no randomness."""
    certain = probability >= 1
    if (certain | (probability <= 0)).all():
        return certain
    return generator.random(probability.shape, dtype=np.float64) < probability


def _check(thing: object) -> None:
    if not isinstance(thing, Teacher) and not callable(thing):
        expected = "a pluralbench.preference_oracles.Teacher or a function that returns one"
        raise TypeError(f"expected {expected}, got {shown(thing)}")


def _offers(thing: object) -> bool:
    return isinstance(thing, Teacher) or (isinstance(thing, type) and issubclass(thing, Teacher)) or is_maker(thing)


RATIONAL = Teacher()

teachers: Registry[Any] = Registry("teacher", "pluralbench.teachers", _check, _offers)
teachers.register("rational", RATIONAL)
# B-Pref's settings: each irrationality by itself, then all together
teachers.register("boltzmann", Teacher(rationality=1.0))
teachers.register("myopic", Teacher(discount=0.9))
teachers.register("skip", Teacher(skip_fraction=0.1))
teachers.register("equal", Teacher(equal_fraction=0.1))
teachers.register("mistake", Teacher(mistake_rate=0.1))
teachers.register(
    "bpref", Teacher(rationality=1.0, discount=0.9, skip_fraction=0.1, equal_fraction=0.1, mistake_rate=0.1)
)
# beyond B-Pref: rationality for segments of one step, where sums differ by at most 1; thresholds as shares of the pairs
teachers.register("boltzmann-10", Teacher(rationality=10.0))
teachers.register("skip-quantile", Teacher(skip_fraction=0.1, threshold_rule="quantile"))
teachers.register("equal-quantile", Teacher(equal_fraction=0.1, threshold_rule="quantile"))


def get_teacher(specification: str) -> Teacher:
    """The teacher of this name, at `path/to/file.py:Name` (a Teacher, or a function that returns one), or as described.

    A description lists fields: `mistake_rate=0.25,rationality=5`.

    Raises:
        UnknownNameError: nothing goes by this name, or there is no such field.
        TeacherError: something else does, or a value is none.
        PluginError: it cannot be made without arguments.
    """
    if ("=" in specification or specification in NUMBERS) and file_of(specification) is None:
        return _described(specification)
    thing = teachers.get(specification)
    made = thing if isinstance(thing, Teacher) else made_by(thing, specification)
    if not isinstance(made, Teacher):
        raise TeacherError(f"{specification} is no teacher: it returned {kind_of(made)}")
    return made


def _described(specification: str) -> Teacher:
    values: dict[str, Any] = {}
    for part in specification.split(","):
        name, _, text = part.strip().partition("=")
        if name not in NUMBERS:
            raise UnknownNameError(unknown_name("field of a teacher", name, NUMBERS))
        if name in values:
            raise TeacherError(f"a teacher's {name} is given twice")
        try:
            values[name] = float(text)
        except ValueError as error:
            raise TeacherError(f"a teacher's {name} is written {name}=VALUE, a number; got {shown(part)}") from error
    return Teacher(**values)
