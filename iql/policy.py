"""What training leaves behind: E actors that act for many users at once, and one actor for one user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pluralbench.errors import InputError
from pluralbench.feature_map import FeatureMap
from pluralbench.features import InputFeatures
from pluralbench.iql.latent_codes import LatentCodes
from pluralbench.iql.networks import Stack, num_parameters
from pluralbench.iql.settings import LOG_STD_BOUND, IQLError
from pluralbench.lines import plain
from pluralbench.settings import SettingsError, as_json, settings_from
from pluralbench.tensor_files import load_tensors, save_tensors

FORMAT = "pluralbench-iql-policy-4"
_TWO_NUMBERS = ([float, float], [int, int], [int, float], [float, int])


@dataclass(eq=False, repr=False)
class Policy:
    """The actors of E runs."""

    actors: Tensor
    """(E, P), flat parameters of each run's actor, the log standard deviations in the last A columns."""
    widths: tuple[int, ...]
    """Layer widths of an actor with its padded input, [features, latent or its code, zeros]."""
    features: FeatureMap
    """Observations to network inputs."""
    latent_size: int
    """Z."""
    discrete: bool
    """Whether actions are choices (indices) instead of vectors."""
    log_std_bounds: tuple[float, float] = (-5.0, 2.0)
    """Within which the log standard deviation of a sampled action stays."""
    codes: LatentCodes | None = None
    """How the actors see latents; as they are if None."""

    def __post_init__(self) -> None:
        self.num_runs, self.device = self.actors.shape[0], self.actors.device
        self.action_size = self.widths[-1]
        self.observation_size = self.features.observation_size
        stack = Stack(self.actors, self.widths)
        used = self.features.size + self._code_size
        first, *others = stack.weights
        self._weights = [first[:, :used].contiguous(), *(weight.contiguous() for weight in others)]
        self._biases = [bias.contiguous() for bias in stack.biases]

    @torch.no_grad()
    def act(
        self,
        observations: ArrayLike | Tensor,
        latents: ArrayLike | Tensor | None = None,
        deterministic: bool = True,
        generator: torch.Generator | None = None,
    ) -> NDArray[Any]:
        """Every run's actions.

        Args:
            observations: (E, B, S).
            latents: (E, B, Z), or shapes that broadcast to it; may be left out where Z = 0.
            deterministic: the mean action or the likeliest choice; otherwise a sample.
            generator: for the sample, on the policy's device.

        Returns:
            (E, B, A) float32 in [-1, 1]; (E, B) int64 choices where actions are discrete.
        """
        if not deterministic and generator is None:
            raise IQLError("a sampled action needs a generator")
        seen = _tensor(observations, self.device)
        if seen.ndim != 3 or seen.shape[0] != self.num_runs or seen.shape[2] != self.observation_size:
            expected = f"({self.num_runs}, B, {self.observation_size})"
            raise IQLError(f"observations must be {expected}, are {tuple(seen.shape)}")
        outputs = self._outputs(seen, latents)
        if self.discrete:
            if deterministic:
                return outputs.argmax(-1).cpu().numpy()
            flat = torch.multinomial(outputs.softmax(-1).flatten(0, 1), 1, generator=generator)
            return flat.view(outputs.shape[:2]).cpu().numpy()
        actions = outputs.tanh()
        if not deterministic:
            stds = self.actors[:, None, -self.action_size :].clamp(*self.log_std_bounds).exp()
            actions = actions + stds * torch.randn(actions.shape, generator=generator, device=self.device)
        return actions.clamp(-1, 1).cpu().numpy()

    @torch.no_grad()
    def probabilities(self, observations: ArrayLike | Tensor, latents: ArrayLike | Tensor | None = None) -> Tensor:
        """(E, B, A) probabilities of the choices, for discrete actions."""
        if not self.discrete:
            raise IQLError("only a policy of discrete actions gives probabilities")
        return self._outputs(_tensor(observations, self.device), latents).softmax(-1)

    def _outputs(self, observations: Tensor, latents: ArrayLike | Tensor | None) -> Tensor:
        hidden = self.features(observations)
        if self.latent_size:
            if latents is None:
                raise IQLError(f"this policy needs latents of size {self.latent_size}")
            known = _tensor(latents, self.device)
            if known.shape[-1] != self.latent_size:
                raise IQLError(f"latents must have size {self.latent_size}, have {known.shape[-1]}")
            known = known.expand(*hidden.shape[:2], self.latent_size)
            hidden = torch.cat([hidden, known if self.codes is None else self.codes(known)], dim=-1)
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            hidden = torch.baddbmm(bias, hidden, weight).relu_()
        return torch.baddbmm(self._biases[-1], self._weights[-1], hidden.mT).mT

    def for_user(self, run: int, latent: ArrayLike | Tensor | None = None) -> UserPolicy:
        """The actor of one run for one user's latent (Z,), with `predict` as in stable-baselines3."""
        return UserPolicy(self.of_run(run), np.zeros(0) if latent is None else latent)

    def of_run(self, run: int) -> Policy:
        """The actor of one run alone."""
        if not 0 <= run < self.num_runs:
            raise IQLError(f"run must lie in 0 to {self.num_runs - 1}, is {run}")
        codes = None if self.codes is None else self.codes.of_run(run)
        return replace(self, actors=self.actors[run : run + 1], codes=codes)

    @property
    def _code_size(self) -> int:
        return self.latent_size if self.codes is None else self.codes.num_centres

    def save(self, folder: Path | str) -> None:
        """Writes `policy.safetensors` and `policy.json` into `folder`."""
        save_tensors(Path(folder), "policy", *self._parts())

    @classmethod
    def load(cls, folder: Path | str, device: str | torch.device = "cpu") -> Policy:
        """Reads what `save` wrote, without running code from it.

        Raises:
            TensorFileError: a file is missing, damaged or something else.
            IQLError: the two files do not fit each other.
        """
        try:
            return cls._from_parts(*load_tensors(Path(folder), "policy", FORMAT), device)
        except (IQLError, SettingsError) as error:
            raise IQLError(f"{folder}: {error}") from error

    def _parts(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        description = {
            "format": FORMAT,
            "widths": list(self.widths),
            "features": as_json(self.features.features),
            "latent_size": self.latent_size,
            "discrete": self.discrete,
            "log_std_bounds": list(self.log_std_bounds),
        }
        tensors = {"actors": self.actors, "mean": self.features.mean, "scale": self.features.scale}
        if self.codes is not None:
            tensors |= {"centres": self.codes.centres, "precisions": self.codes.precisions}
        return tensors, description

    @classmethod
    def _from_parts(
        cls, tensors: Mapping[str, Tensor], description: dict[str, Any], device: str | torch.device
    ) -> Policy:
        words = _checked_words(description)
        widths, latent_size = tuple(words["widths"]), words["latent_size"]
        actors, mean, scale = (
            _floats(tensors, name, ndim) for name, ndim in (("actors", 2), ("mean", 1), ("scale", 1))
        )
        if not len(actors) or actors.shape[1] != num_parameters(widths) + widths[-1]:
            raise IQLError("policy.safetensors does not fit the layer widths in policy.json")
        columns = settings_from(InputFeatures, words["features"], "features")
        try:
            features = FeatureMap(columns, len(mean) - sum(len(first) for first, _ in columns.differences))
            features.load_state_dict({"mean": mean, "scale": scale})
        except (RuntimeError, InputError) as error:  # of load_state_dict, or of a column that there is not
            raise IQLError("policy.safetensors does not fit the features in policy.json") from error
        codes = _codes(tensors, len(actors), latent_size, device) if "centres" in tensors else None
        size = latent_size if codes is None else codes.num_centres
        if features.size + size + widths[-1] != widths[0]:
            raise IQLError("the features in policy.json do not fit its layer widths")
        low, high = words["log_std_bounds"]
        return cls(actors.to(device), widths, features.to(device), latent_size, words["discrete"], (low, high), codes)


def _codes(tensors: Mapping[str, Tensor], num_runs: int, latent_size: int, device: str | torch.device) -> LatentCodes:
    centres, precisions = _floats(tensors, "centres", 3), _floats(tensors, "precisions", 3)
    if centres.shape[::2] != (num_runs, latent_size) or precisions.shape != (num_runs, 1, 1):
        raise IQLError("policy.safetensors holds centres of latents that do not fit policy.json")
    return LatentCodes(centres.to(device), precisions.to(device))


def _floats(tensors: Mapping[str, Tensor], name: str, ndim: int) -> Tensor:
    found = tensors.get(name)
    if found is None or found.dtype != torch.float32 or found.ndim != ndim:
        raise IQLError(f"policy.safetensors lacks {name}, {ndim}-dimensional and float32")
    return found


def _is_whole(value: object, low: int) -> bool:
    return type(value) is int and value >= low


_WORDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "widths": (
        "two or more positive whole numbers",
        lambda value: isinstance(value, list) and len(value) > 1 and all(_is_whole(width, 1) for width in value),
    ),
    "features": ("an object", lambda value: isinstance(value, dict)),
    "latent_size": ("a whole number", lambda value: _is_whole(value, 0)),
    "discrete": ("true or false", lambda value: isinstance(value, bool)),
    "log_std_bounds": (
        f"two numbers from {-LOG_STD_BOUND:g} to {LOG_STD_BOUND:g}, the lower one first",
        lambda value: (
            isinstance(value, list)
            and list(map(type, value)) in _TWO_NUMBERS
            and -LOG_STD_BOUND <= value[0] <= value[1] <= LOG_STD_BOUND
        ),
    ),
}
"""What each word of policy.json must be, and how to tell."""


def _checked_words(description: dict[str, Any]) -> dict[str, Any]:
    for name, (expected, is_right) in _WORDS.items():
        if name not in description:
            raise IQLError(f"policy.json lacks {name!r}")
        if not is_right(description[name]):
            raise IQLError(f"{name} in policy.json should be {expected}, is {plain(repr(description[name]))}")
    return description


class UserPolicy:
    """One actor serving one user; what stable-baselines3 calls a model, as far as `evaluate_policy` needs it.

    Args:
        policy: of one run.
        latent: (Z,), what the reward model inferred of the user.
        seed: of the samples where `predict` is asked for a stochastic action.
    """

    def __init__(self, policy: Policy, latent: ArrayLike | Tensor, seed: int = 0) -> None:
        self.policy = policy
        self.latent = torch.as_tensor(latent, dtype=torch.float32, device=policy.device)
        if self.latent.shape != (policy.latent_size,):
            raise IQLError(f"the latent must be ({policy.latent_size},), is {tuple(self.latent.shape)}")
        self._generator = torch.Generator(policy.device).manual_seed(seed)

    def predict(
        self,
        observation: ArrayLike,
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """Action for one observation (S,), or actions for a batch (B, S); `state` passes through.

        As in stable-baselines3, but the mean action is the default, because that is what the benchmarks score.
        """
        observations = np.asarray(observation, dtype=np.float32)
        if observations.ndim not in (1, 2) or observations.shape[-1] != self.policy.observation_size:
            size = self.policy.observation_size
            raise IQLError(f"an observation is ({size},) or (B, {size}), got {observations.shape}")
        batch = np.atleast_2d(observations)[None]
        actions = self.policy.act(batch, self.latent, deterministic=deterministic, generator=self._generator)[0]
        return (actions[0] if observations.ndim == 1 else actions), state

    def save(self, folder: Path | str) -> None:
        """Writes `user_policy.safetensors` and `user_policy.json` into `folder`."""
        tensors, description = self.policy._parts()
        save_tensors(Path(folder), "user_policy", {**tensors, "latent": self.latent}, description)

    @classmethod
    def load(cls, folder: Path | str, device: str | torch.device = "cpu") -> UserPolicy:
        """Reads what `save` wrote, without running code from it; errors are those of `Policy.load`."""
        tensors, description = load_tensors(Path(folder), "user_policy", FORMAT)
        if "latent" not in tensors:
            raise IQLError(f"{folder}: user_policy.safetensors holds no latent")
        try:
            policy = Policy._from_parts(tensors, description, device)
            if policy.num_runs != 1:
                raise IQLError(f"user_policy.safetensors holds {policy.num_runs} actors, expected one")
            return cls(policy, tensors["latent"])
        except (IQLError, SettingsError) as error:
            raise IQLError(f"{folder}: {error}") from error


def _tensor(values: ArrayLike | Tensor, device: torch.device) -> Tensor:
    if not isinstance(values, Tensor):
        values = torch.tensor(np.asarray(values, dtype=np.float32))  # a copy: the array may be read-only
    return values.to(device, torch.float32)
