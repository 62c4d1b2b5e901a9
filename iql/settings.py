"""Every choice of the IQL learner, and the error of all of `iql`; torch is not needed for either."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from pluralbench.errors import InputError
from pluralbench.features import InputFeatures
from pluralbench.ranges import LARGEST, MOST, MOST_LAYERS, WIDEST_LAYER, check_number, check_whole, check_whole_number

Schedule = Literal["constant", "cosine-actor", "cosine"]
Precision = Literal["auto", "float32", "bfloat16"]
Implementation = Literal["fast", "reference"]
_FLOATS = (
    "expectile", "temperature", "advantage_clip", "discount", "polyak", "learning_rate", "actor_average",
    "action_clip", "latent_width",
)  # fmt: skip
LOG_STD_BOUND = 50.0
"""Within which bounds of an actor's log standard deviation lie, on either side of 0."""


class IQLError(InputError):
    """Data, settings or files that the learner cannot work with; one line that says what would be right."""


@dataclass(frozen=True)
class IQLSettings:
    """Settings of IQL; the defaults are those of the paper's AntMaze experiments and of its released code."""

    num_updates: int = 1_000_000
    """Gradient updates of every run."""
    batch_size: int = 256
    """Transitions per update and run."""
    hidden_sizes: tuple[int, ...] = (256, 256)
    """Widths of the hidden layers of every network."""
    expectile: float = 0.9
    """Asymmetry of the value regression; 0.5 is the mean, towards 1 the maximum over actions in the data."""
    temperature: float = 10.0
    """Inverse temperature of the advantage weights: 0 clones the behaviour."""
    advantage_clip: float = 100.0
    """Largest advantage weight."""
    discount: float = 0.99
    """Discount per step."""
    normalize_rewards: bool = False
    """Bring each run's rewards to deviation 1, and to mean 0 where nothing is terminal; temperatures then compare."""
    shaping: bool = False
    """Pay for the change of the reward instead of for the reward: potential-based shaping with r / (1 - discount) of
    the state, which changes no policy's rank and leaves the values less to span. Needs the rewards before each
    transition."""
    n_step: int = 1
    """Rewards summed before the bootstrap; 1 is the paper's."""
    polyak: float = 0.005
    """Share of the critics that moves into their targets at every update."""
    learning_rate: float = 3e-4
    """Adam's step size for all networks."""
    schedule: Schedule = "cosine-actor"
    """`cosine-actor` decays the actor's step size to 0 as the original does, `cosine` that of every network."""
    actor_average: float = 0.0
    """Share of the actor that moves into its average at every update; the average then acts. 0: the last actor acts."""
    discrete_actions: bool = False
    """Actions are one-hot rows and the actor is categorical; else a Gaussian with a tanh mean."""
    min_log_std: float = -5.0
    """Lower bound of the Gaussian actor's log standard deviation."""
    max_log_std: float = 2.0
    """Upper bound of the same."""
    action_clip: float = 1e-5
    """Continuous actions of the data are clipped to 1 minus this."""
    features: InputFeatures = field(default_factory=InputFeatures)
    """What is appended to the observations."""
    latent_centres: int = 0
    """Up to so many different latents, as of goals that are known, the networks see through radial basis functions
    around each (`iql.latent_codes`); where there are more, and by default, as they are."""
    latent_width: float = 0.1
    """Their width, a share of the latents' root mean squared distance."""
    precision: Precision = "float32"
    """`bfloat16` multiplies the hidden layers in bfloat16 and sums in float32; everything else stays float32. `auto`
    takes it where the processor has instructions for it."""
    implementation: Implementation = "fast"
    """`fast` trains all runs in one set of stacked parameters; `reference` one run after the other, with autograd."""

    def __post_init__(self) -> None:
        check_whole(IQLError, self, 1, MOST, "num_updates", "batch_size", "n_step")
        if not isinstance(self.hidden_sizes, tuple) or not 1 <= len(self.hidden_sizes) <= MOST_LAYERS:
            raise IQLError(f"hidden_sizes must be one or more positive widths, at most {MOST_LAYERS}")
        for width in self.hidden_sizes:
            check_whole_number(IQLError, "each of hidden_sizes", width, 1, WIDEST_LAYER)
        check_number(IQLError, self, float("-inf"), LARGEST, *_FLOATS)
        check_number(IQLError, self, -LOG_STD_BOUND, LOG_STD_BOUND, "min_log_std", "max_log_std")
        if not 0 < self.expectile < 1:
            raise IQLError(f"expectile must lie between 0 and 1, is {self.expectile}")
        for name in ("discount", "polyak"):
            if not 0 < getattr(self, name) <= 1:
                raise IQLError(f"{name} must lie in (0, 1], is {getattr(self, name)}")
        if not 0 <= self.actor_average <= 1:
            raise IQLError(f"actor_average must lie in [0, 1], is {self.actor_average}")
        for name in ("learning_rate", "advantage_clip"):
            if getattr(self, name) <= 0:
                raise IQLError(f"{name} must be positive, is {getattr(self, name)}")
        if self.shaping and self.discount == 1:
            raise IQLError("shaping needs a discount below 1")
        if self.temperature < 0:
            raise IQLError(f"temperature must not be negative, is {self.temperature}")
        if self.min_log_std >= self.max_log_std:
            raise IQLError(f"min_log_std must be below max_log_std, got {self.min_log_std} and {self.max_log_std}")
        check_whole(IQLError, self, 0, WIDEST_LAYER, "latent_centres")
        if self.latent_width <= 0:
            raise IQLError(f"latent_width must be positive, is {self.latent_width}")
        if not 0 <= self.action_clip < 1:
            raise IQLError(f"action_clip must lie in [0, 1), is {self.action_clip}")
        choices = {"schedule": Schedule, "precision": Precision, "implementation": Implementation}
        for name, known in choices.items():
            if getattr(self, name) not in get_args(known):
                raise IQLError(f"{name} must be one of {', '.join(get_args(known))}, is {getattr(self, name)!r}")
        if self.implementation == "reference" and self.precision == "bfloat16":
            raise IQLError("iql.implementation=reference is float32: set iql.precision to float32 or auto")

    def step_sizes(self, start: int, stop: int) -> list[tuple[float, float]]:
        """Adam's step sizes (values and critics, actor) of the updates start to stop - 1."""
        pairs = []
        for step in range(start, stop):
            decayed = self.learning_rate * 0.5 * (1 + math.cos(math.pi * step / self.num_updates))
            rate = decayed if self.schedule == "cosine" else self.learning_rate
            pairs.append((rate, self.learning_rate if self.schedule == "constant" else decayed))
        return pairs


@dataclass(frozen=True)
class GroupWeightSettings:
    """How the weights lambda over the groups of `iql.maxmin_iql` move."""

    rate: float = 0.003
    """Change of log lambda per update for a group that is worse by the values' mean size."""
    min_weight: float = 0.001
    """Smallest weight of a group, from which it can come back."""

    def __post_init__(self) -> None:
        check_number(IQLError, self, float("-inf"), LARGEST, "rate", "min_weight")
        if self.rate < 0:
            raise IQLError(f"the group weights' rate must not be negative, is {self.rate}")
        if not 0 <= self.min_weight < 0.5:
            raise IQLError(f"the group weights' min_weight must lie in [0, 0.5), is {self.min_weight}")


@dataclass(frozen=True)
class MaxMinSettings(IQLSettings):
    """Settings of IQL, and of the weights over the groups."""

    group_weights: GroupWeightSettings = field(default_factory=GroupWeightSettings)
    """How they move."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.implementation == "reference":
            raise IQLError("max-min IQL has no reference implementation: use iql.implementation=fast")
