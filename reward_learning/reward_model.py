"""What every reward learner is: the base class `RewardModel`, with a default for everything optional.

A learner of your own is a subclass, in this folder or in a file anywhere, used as `path/to/file.py:Name`. It must give

    name             its name on the command line
    fit              learn from the train users' answers
    infer            what a few answers tell about each user: a posterior over latents
    reward           of observations under latents; leading axes broadcast

and may give, where the default does not suit it,

    settings_type    a frozen dataclass of its settings                        default: no settings
    version          a new number when the same seed gives other numbers       1
    latent_size      Z, known after `fit`                                      0: one reward for all users
    prior, has_prior the posterior of users about whom nothing is known        none: `prior` raises LearnerError
    posterior_for_policy     the latents that a policy learns from             `infer`
    preference_outputs, preference_probability     of single observations      sigmoid of the difference in reward
    answer_probability       of answers about segments                         the same, outputs summed over the steps
    groups, grouped  one reward per group of users, for the policy `maxmin`    none
    assign           the group that each user belongs to                       None: it has no groups
    knows_truth      whether it reads goals and `task`, as the oracle does     False
    asks_nobody      whether it reads no answers and has no reward             False
    reads_answers    whether a user's answers decide that user's latent        True
    trains_policy_of learners with the same one train one policy together      "": each its own
    per_user         whether its latents are numbers of networks, each fitted  False
                     for one user: no policy can be trained over them
    meet             learns whom there may be; called before `fit`, and after  does nothing
                     `load`, for learners that know the truth
    state, restore   the learned tensors, for `save` and `load`                every attribute that is a tensor

Shapes: U users, K comparisons of each, T steps in a segment, S observation size, Z latent size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.lines import plain
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.preference_oracles.users import Users
from pluralbench.progress import Progress
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.model_files import ModelDescription, ModelFileError, read_model_file, save_model_file
from pluralbench.settings import as_json, settings_from

M = TypeVar("M", bound="RewardModel")

History = list[dict[str, float]]
"""One row of metrics per logged epoch."""


@dataclass(frozen=True)
class Posterior:
    """Diagonal Gaussian over the latents of U users; Z = 0 for a learner that has no latents."""

    mean: Tensor
    """(U, Z)."""
    log_var: Tensor
    """(U, Z), the logarithm of the variance; -inf where the latent is known exactly."""

    def __post_init__(self) -> None:
        if self.mean.ndim != 2 or self.mean.shape != self.log_var.shape:
            raise ValueError(f"mean and log_var must both be (U, Z), are {self.mean.shape} and {self.log_var.shape}")

    @classmethod
    def exactly(cls, latents: Tensor) -> Posterior:
        """Latents (U, Z) that are known exactly."""
        return cls(latents, torch.full_like(latents, -torch.inf))

    @classmethod
    def empty(cls, num_users: int, device: torch.device | str = "cpu") -> Posterior:
        """Of a learner without latents: (U, 0)."""
        nothing = torch.zeros(num_users, 0, device=device)
        return cls(nothing, nothing)

    def sample(self, generator: torch.Generator) -> Tensor:
        """One latent per user, (U, Z)."""
        noise = torch.randn(self.mean.shape, generator=generator).to(self.mean)
        return self.mean + (0.5 * self.log_var).exp() * noise


class RewardFunction(ABC):
    """What a scaling and relabelling ask: a reward, and how probably one observation is preferred to another."""

    @abstractmethod
    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """Reward (...) of observations (..., S) for latents (..., Z).

        Leading axes broadcast as in NumPy: (1, C, S) and (M, 1, Z) give (M, C), each of C observations under each of
        M latents. With Z = 0 the latents (..., 0) only lend their leading shape (`broadcast_over_latents`).
        """

    def preference_outputs(self, observations: Tensor, latents: Tensor) -> Tensor:
        """What `preference_probability` compares, (..., O), of observations (..., S) for latents (..., Z)."""
        return self.reward(observations, latents)[..., None]

    def preference_probability(self, first: Tensor, second: Tensor) -> Tensor:
        """Probability (...) that the first is preferred, from two `preference_outputs` (..., O) that broadcast.

        One's own must be antisymmetric: p(a, b) + p(b, a) = 1.
        """
        return (first - second).squeeze(-1).sigmoid_()


@dataclass(frozen=True)
class NoSettings:
    """Of a learner that has none."""


class RewardModel(RewardFunction):
    """A learner of rewards from preferences; the module's page says what a subclass must give and what it may.

    Args:
        settings: a mapping of JSON values, or the learner's settings; None for the defaults.
        device: where tensors live.
        task: what can be wanted; needed by learners that know the truth.

    Raises:
        SettingsError: a setting that the learner does not have (the nearest is offered), or an impossible value.
        LearnerError: a learner that knows the truth was given no task.

    Attributes:
        settings: an instance of `settings_type`.
        sizes: whole numbers that a file must keep beside settings and tensors.
    """

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    settings_type: ClassVar[type] = NoSettings
    grouped: ClassVar[bool] = False
    knows_truth: ClassVar[bool] = False
    asks_nobody: ClassVar[bool] = False
    reads_answers: ClassVar[bool] = True
    trains_policy_of: ClassVar[str] = ""
    per_user: ClassVar[bool] = False
    has_prior: ClassVar[bool] = False
    latent_size: int = 0

    def __init__(self, settings: Any = None, device: str = "cpu", task: MultiGoalTask | None = None) -> None:
        if self.knows_truth and task is None:
            raise LearnerError(f"{self.name} needs the environment's task: pass task=environment.make_task()")
        given = isinstance(settings, self.settings_type)
        self.settings: Any = settings if given else settings_from(self.settings_type, settings or {}, self.name)
        self.device = torch.device(device)
        self.task = task
        self.sizes: dict[str, int] = {}

    def meet(self, users: Users) -> None:
        """Is told which users there may be; a benchmark calls it before `fit`, and after `load`.

        They are the train users and test users of the groups that taught nothing. Only a learner that knows the truth
        may look at them.
        """

    @abstractmethod
    def fit(self, preferences: PreferenceDataset, seed: int, progress: Progress | None = None) -> History:
        """Learns from the train users' answers; `seed` decides all that is drawn."""

    @abstractmethod
    def infer(self, context: PreferenceDataset) -> Posterior:
        """What the answers in `context`, any number of them in any order, tell about each of its U users."""

    def prior(self, num_users: int) -> Posterior:
        """p(z), once for each of `num_users` users about whom nothing is known; only where `has_prior`."""
        raise LearnerError(f"{self.name} has no prior over latents: infer them from answers")

    def posterior_for_policy(self, context: PreferenceDataset, generator: torch.Generator) -> Posterior:
        """The posterior from which the latents are drawn under which a policy is trained.

        A learner whose posterior is no diagonal Gaussian draws one latent of each user from what it really holds, and
        gives it as known exactly (`Posterior.exactly`).
        """
        return self.infer(context)

    def answer_probability(self, segments: Tensor, latents: Tensor) -> Tensor:
        """Probability (U, K) that the first of two segments (U, K, 2, T, S) is preferred for latents (U, Z).

        Segments (1, K, 2, T, S) are the same questions for all U latents.
        """
        outputs = self.preference_outputs(segments, latents[:, None, None, None]).sum(-2)  # (U, K, 2, O)
        return self.preference_probability(*outputs.unbind(2))

    def groups(self) -> Sequence[RewardFunction]:
        """The rewards of the K groups of users that it found, on one scale, known after `fit`; only where `grouped`."""
        return ()

    def assign(self, preferences: PreferenceDataset) -> Tensor | None:
        """The group (U,) int64 to which each user's answers most probably belong; None where it has no groups."""
        return None

    def state(self) -> dict[str, Tensor]:
        """What `fit` learned."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes over what `state` gave; `latent_size` and `sizes` are set already."""
        own = {name for name, value in vars(self).items() if not (value is None or isinstance(value, Tensor))}
        for name, value in state.items():
            if name in {*dir(type(self)), *own, "task"}:
                raise LearnerError(f"a tensor {plain(name)!r} would replace the learner's own {name}")
            setattr(self, name, value.to(self.device))

    def save(self, folder: Path) -> None:
        """Writes `model.safetensors` and `model.json`."""
        settings = as_json(self.settings)
        description = ModelDescription(self.name, self.version, int(self.latent_size), settings, self.sizes)
        save_model_file(folder, description, self.state())

    @classmethod
    def load(cls: type[M], folder: Path, device: str = "cpu", task: MultiGoalTask | None = None) -> M:
        """Reads what `save` wrote, without running code from it.

        Raises:
            ModelFileError: missing, damaged or foreign files, another learner or another version of it.
        """
        found, tensors = read_model_file(folder)
        if found.learner != cls.name:
            raise ModelFileError(f"{folder} holds a {plain(found.learner)!r} model, expected {cls.name!r}")
        if found.version != cls.version:
            raise ModelFileError(
                f"{folder} holds version {found.version} of {cls.name!r}, this program has version {cls.version}: "
                "fit it again"
            )
        try:
            model = cls(found.settings, device, task)
            model.latent_size, model.sizes = found.latent_size, found.sizes
            model.restore(tensors)
            if model.latent_size != found.latent_size:
                raise LearnerError(f"latent_size should be {model.latent_size}, is {found.latent_size}")
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            reason = f"{error} missing" if isinstance(error, KeyError) else plain(error, 200) or type(error).__name__
            raise ModelFileError(f"{folder} does not fit the learner {cls.name!r}: {reason}") from error
        return model


def broadcast_over_latents(rewards: Tensor, latents: Tensor) -> Tensor:
    """Rewards (...) that are the same for all latents (..., Z), in the shape that both have together."""
    return rewards.expand(torch.broadcast_shapes(rewards.shape, latents.shape[:-1]))
