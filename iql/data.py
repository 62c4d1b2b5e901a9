"""Offline data for many runs at once: shared transitions, and rewards and latents of each run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from pluralbench.iql.settings import IQLError


@dataclass(frozen=True)
class ReplayData:
    """N transitions shared by E runs, which differ in their rewards and latents."""

    observations: Tensor
    """(N, S) float32."""
    actions: Tensor
    """(N, A) float32; one-hot where actions are discrete."""
    next_observations: Tensor
    """(N, S) float32."""
    terminals: Tensor
    """(N,) bool, the task truly ended there: nothing is worth anything afterwards."""
    timeouts: Tensor
    """(N,) bool, the episode was cut short there: the bootstrap goes on."""
    rewards: Tensor
    """(E, N) float32."""
    latents: Tensor
    """(E, M, Z) float32, what the networks of each run see of the users; Z may be 0."""
    latent_index: Tensor
    """(E, N) int, which of its run's M latents each transition goes with."""
    rewards_before: Tensor | None = None
    """As `rewards`, of the state in which each transition starts; only shaping needs them."""
    latent_counts: Tensor | None = None
    """(E,) int, how many of the M latents each run has; what lies behind them is padding. None: all M."""

    @classmethod
    def from_arrays(
        cls,
        observations: ArrayLike | Tensor,
        actions: ArrayLike | Tensor,
        next_observations: ArrayLike | Tensor,
        terminals: ArrayLike | Tensor,
        timeouts: ArrayLike | Tensor,
        rewards: ArrayLike | Tensor,
        latents: ArrayLike | Tensor | None = None,
        latent_index: ArrayLike | Tensor | None = None,
        rewards_before: ArrayLike | Tensor | None = None,
        latent_counts: ArrayLike | Tensor | None = None,
        device: str | torch.device = "cpu",
    ) -> ReplayData:
        """Data of E runs on `device`, from NumPy arrays or tensors; no latents means Z = 0."""

        def tensor(values: Any, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.as_tensor(values).to(device=device, dtype=dtype)

        def runs(values: ArrayLike | Tensor) -> Tensor:
            found = tensor(values)
            return found[None] if found.ndim == 1 else found

        of_runs = runs(rewards)
        before = None if rewards_before is None else runs(rewards_before)
        if (latents is None) != (latent_index is None):
            raise IQLError("latents and latent_index belong together: give both or neither")
        if latents is None or latent_index is None:
            latents = torch.zeros(len(of_runs), 1, 0)
            latent_index = torch.zeros(len(of_runs), 1).expand(-1, of_runs.shape[-1])
        shared = tensor(observations), tensor(actions), tensor(next_observations)
        flags = tensor(terminals, torch.bool), tensor(timeouts, torch.bool)
        counts = None if latent_counts is None else tensor(latent_counts, torch.int64)
        return cls(*shared, *flags, of_runs, tensor(latents), tensor(latent_index, torch.int32), before, counts)

    def __post_init__(self) -> None:
        if self.observations.ndim != 2 or self.actions.ndim != 2 or len(self.observations) == 0:
            raise IQLError("observations and actions must be (N, S) and (N, A) with N of at least 1")
        num = len(self.observations)
        if self.next_observations.shape != self.observations.shape or len(self.actions) != num:
            raise IQLError("observations, actions and next_observations differ in length or size")
        for name in ("terminals", "timeouts"):
            if getattr(self, name).shape != (num,) or getattr(self, name).dtype != torch.bool:
                raise IQLError(f"{name} must be ({num},) bool, is {tuple(getattr(self, name).shape)}")
        if self.rewards.ndim < 2 or self.rewards.shape[-1] != num or self.rewards.shape[0] == 0:
            raise IQLError(f"rewards must be (E, {num}), are {tuple(self.rewards.shape)}")
        num_runs = self.rewards.shape[0]
        if self.latents.ndim != 3 or self.latents.shape[0] != num_runs or self.latents.shape[1] == 0:
            raise IQLError(f"latents must be ({num_runs}, M, Z), are {tuple(self.latents.shape)}")
        if self.latent_index.shape != (num_runs, num):
            raise IQLError(f"latent_index must be ({num_runs}, {num}), is {tuple(self.latent_index.shape)}")
        if self.latent_index.min() < 0 or self.latent_index.max() >= self.latents.shape[1]:
            raise IQLError(f"latent_index must lie in 0 to {self.latents.shape[1] - 1}")
        counts = self.latent_counts
        if counts is not None and (counts.shape != (num_runs,) or (self.latent_index >= counts[:, None]).any()):
            raise IQLError(f"latent_counts must be ({num_runs},), each above the run's latent_index")
        if self.rewards_before is not None and self.rewards_before.shape != self.rewards.shape:
            raise IQLError(f"rewards_before must be {tuple(self.rewards.shape)}, as the rewards are")
        for name, values in self._tensors().items():
            if name not in ("terminals", "timeouts", "latent_index", "latent_counts") and (
                values.dtype != torch.float32 or not torch.isfinite(values).all()
            ):
                raise IQLError(f"{name} must be finite float32")

    def _tensors(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in vars(self).items() if tensor is not None}

    def __len__(self) -> int:
        return len(self.observations)

    @property
    def num_runs(self) -> int:
        """E."""
        return self.rewards.shape[0]

    @property
    def latent_size(self) -> int:
        """Z."""
        return self.latents.shape[2]

    @property
    def latents_of_runs(self) -> list[Tensor]:
        """E of (M_e, Z): each run's latents without padding."""
        counts = [self.latents.shape[1]] * self.num_runs if self.latent_counts is None else self.latent_counts.tolist()
        return [own[:count] for own, count in zip(self.latents, counts, strict=True)]

    def to(self, device: str | torch.device) -> ReplayData:
        """The same data on another device."""
        return ReplayData(**{name: tensor.to(device) for name, tensor in self._tensors().items()})

    def with_normalized_latents(self) -> tuple[ReplayData, Tensor, Tensor]:
        """The same data with each run's latents at mean 0 and greatest deviation 1; that mean and deviation, (E, 1, Z).

        A goal such as (7, 10) put in as it is outweighs the observation at first, and learning takes twice as long. All
        dimensions are divided by the same number: those that a reward model leaves unused hold noise of the prior's
        small deviation, and a deviation of 1 each would drown the one or two dimensions that tell users apart.
        """
        mean = torch.stack([own.mean(0, keepdim=True) for own in self.latents_of_runs])
        if self.latent_size == 0:
            return self, mean, mean
        deviations = torch.stack([own.std(0, keepdim=True, correction=0) for own in self.latents_of_runs])
        std = deviations.amax(-1, keepdim=True)  # (E, 1, 1)
        std = torch.where(std < 1e-6 * (1 + mean.abs().amax(-1, keepdim=True)), torch.ones_like(std), std)
        std = std.expand_as(mean)
        return replace(self, latents=(self.latents - mean) / std), mean, std

    def with_normalized_rewards(self) -> ReplayData:
        """The same data with each run's rewards at deviation 1, and at mean 0 where no transition is terminal.

        All groups of a run, where there are any, are moved and divided by the same numbers: the worst-off stays it.
        Without terminals a constant in every reward changes no policy, but with discount 0.99 a mean of 0.4 is an
        offset of 40 beneath advantages of a few tenths. Where episodes end truly it says how good it is to end.
        """
        of_run = tuple(range(1, self.rewards.ndim))
        std = self.rewards.std(of_run, keepdim=True).clamp_min(1e-6)
        mean = 0.0 if self.terminals.any() else self.rewards.mean(of_run, keepdim=True)
        before = None if self.rewards_before is None else (self.rewards_before - mean) / std
        return replace(self, rewards=(self.rewards - mean) / std, rewards_before=before)

    def with_shaped_rewards(self, discount: float) -> ReplayData:
        """The same data with r + discount (1 - terminal) phi(s') - phi(s) as rewards, phi = r / (1 - discount).

        Potential-based shaping ranks policies as the reward does (Ng, Harada and Russell, ICML 1999), and every Q(s, a)
        and V(s) is less by phi(s). Where nothing is terminal the reward becomes (r(s') - r(s)) / (1 - discount): to
        stay where one is pays nothing anywhere, and the networks need not span what a whole maze is worth in order to
        tell two neighbouring cells apart. Raises IQLError without `rewards_before`.
        """
        if self.rewards_before is None:
            raise IQLError("shaping needs rewards_before, the rewards of the states in which transitions start")
        after = (discount / (1 - discount)) * self.rewards * ~self.terminals
        return replace(self, rewards=self.rewards + after - self.rewards_before / (1 - discount))

    def fingerprint(self) -> str:
        """A checksum of everything in it, by which a checkpoint knows its data again."""
        digest = hashlib.sha256()
        for name, tensor in self._tensors().items():
            values = tensor.cpu().contiguous()
            digest.update(f"{name}{tuple(values.shape)}".encode())
            digest.update(values.numpy().data)
        return digest.hexdigest()


def fold_rewards(
    rewards: Tensor, terminals: Tensor, timeouts: Tensor, n_step: int, discount: float
) -> tuple[Tensor, Tensor, Tensor]:
    """n-step returns, of rewards (..., N) and flags (N,), that stop where an episode ends or is cut.

    Returns:
        Sums (..., N) of the next k <= n discounted rewards of the same episode; (N,) int64 index of the transition
        whose `next_observation` the bootstrap uses, i + k - 1; (N,) float32 discount of that bootstrap, discount^k,
        and 0 where the transition is terminal.
    """
    num = rewards.shape[-1]
    position = torch.arange(num, device=rewards.device)
    ends = terminals | timeouts
    ends = torch.cat([ends[:-1], ends.new_ones(1)])  # the data's last transition ends an episode whatever its flags
    # the nearest end at or after each transition: a running minimum from the back
    last = torch.where(ends, position, num).flip(0).cummin(0).values.flip(0)
    bootstrap = torch.minimum(position + n_step - 1, last)
    returns = rewards.clone()
    for ahead in range(1, min(n_step, num)):
        inside = (position[:-ahead] + ahead <= bootstrap[:-ahead]).to(rewards.dtype)
        returns[..., :-ahead].addcmul_(rewards[..., ahead:], inside, value=discount**ahead)
    steps = (bootstrap - position + 1).to(torch.float64)
    discounts = torch.pow(torch.tensor(discount, dtype=torch.float64, device=rewards.device), steps).float()
    return returns, bootstrap, discounts * ~terminals[bootstrap]


def draw_indices(seeds: list[int], chunk: int, size: int, batch: int, num: int, device: torch.device) -> Tensor:
    """The transitions of `size` consecutive updates, (size, E, B) int64.

    Every run draws from a generator of its own seed and chunk, so that a run's batches depend neither on the runs
    beside it nor on what was drawn before: a resumed run continues from its step number alone.
    """
    drawn = torch.empty(size, len(seeds), batch, dtype=torch.int64, device=device)
    for run, seed in enumerate(seeds):
        state = np.random.SeedSequence([seed, chunk]).generate_state(1, np.uint64)[0]
        generator = torch.Generator(device).manual_seed(int(state >> np.uint64(1)))
        drawn[:, run] = torch.randint(num, (size, batch), generator=generator, device=device)
    return drawn
