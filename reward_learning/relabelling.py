"""From a reward model to a dataset's rewards: the single seam between preferences and control.

Each trajectory is seen through the eyes of one user: a latent is drawn for it, and all its transitions get their
reward under that latent. A transition's reward is that of the state it arrives at, `next_observations`, the state that
the action brought about; a policy that is rewarded for where it already was learns one step late.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pluralbench.envs.transitions import TransitionDataset
from pluralbench.progress import Progress
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.pair_classifier import PairClassifier
from pluralbench.reward_learning.reward_model import Posterior, RewardFunction
from pluralbench.reward_learning.scaling import fit_scaling


def draw_latents(
    posterior: Posterior, dataset: TransitionDataset, generator: torch.Generator, num_latents: int = 512
) -> tuple[Tensor, NDArray[np.int64]]:
    """One latent for each trajectory.

    Args:
        posterior: of U users, from one of `latent_draws.LATENT_DRAWS`.
        dataset: its episodes are the trajectories.
        generator: draws users, latents and who gets which.
        num_latents: how many users lend a latent, each one once before any a second time. A few hundred stand for
            all: the policy sees them all, and the rewards of the comparison states are computed once for each.

    Returns:
        The distinct latents (M, Z), M <= num_latents, and for each transition which of them it is seen under, (N,).
    """
    num_users, latent_size = posterior.mean.shape
    if num_users == 0 or num_latents < 1:
        raise LearnerError(f"drawing {num_latents} latents from {num_users} users: both must be at least 1")
    if latent_size == 0:
        return posterior.mean[:1], np.zeros(len(dataset), dtype=np.int64)
    rounds = [torch.randperm(num_users, generator=generator) for _ in range(-(-num_latents // num_users))]
    rows = torch.cat(rounds)[:num_latents].to(posterior.mean.device)
    drawn = Posterior(posterior.mean[rows], posterior.log_var[rows]).sample(generator)
    latents, position = torch.unique(drawn, dim=0, return_inverse=True)
    episodes = dataset.episode_index
    owner = torch.randint(num_latents, (int(episodes[-1]) + 1,), generator=generator)
    return latents, position.cpu()[owner].numpy()[episodes].astype(np.int64)


def draw_comparison_states(dataset: TransitionDataset, num_states: int, generator: torch.Generator) -> Tensor:
    """The states (C, S) that a scaling compares with, drawn evenly from those that the dataset arrives at."""
    chosen = torch.randint(len(dataset), (num_states,), generator=generator).numpy()
    return torch.from_numpy(dataset.next_observations[chosen])


@torch.no_grad()
def relabel(
    dataset: TransitionDataset,
    model: RewardFunction,
    latents: Tensor,
    latent_index: NDArray[np.int64],
    scaling: str,
    comparison_states: Tensor,
    batch_size: int = 65_536,
    progress: Progress | None = None,
    pair_classifier: PairClassifier | None = None,
) -> NDArray[np.float32]:
    """Reward of every transition under its trajectory's latent.

    Args:
        dataset: N transitions.
        model: fitted.
        latents: (M, Z), from `draw_latents`.
        latent_index: (N,), which latent each transition is seen under.
        scaling: one of `scaling.SCALINGS`.
        comparison_states: (C, S), from `draw_comparison_states`; one draw serves all groups and all methods alike.
        batch_size: transitions between two calls of `progress`; memory stays bounded whatever N is.
        progress: called with (transitions done, transitions in all).
        pair_classifier: for `spo-pairs`.

    Returns:
        (N,) float32.

    Raises:
        LearnerError: an unknown scaling, no comparison states, or an index that does not fit.
    """
    if latent_index.shape != (len(dataset),):
        raise LearnerError(f"latent_index must be ({len(dataset)},), is {latent_index.shape}")
    if latent_index.min() < 0 or latent_index.max() >= len(latents):
        raise LearnerError(f"latent_index must point into the {len(latents)} latents")
    arrived = dataset.next_observations
    scaled = fit_scaling(scaling, model, latents, comparison_states.to(latents.device), pair_classifier)
    rewards = np.empty(len(dataset), dtype=np.float32)
    for start in range(0, len(dataset), batch_size):
        part = slice(start, start + batch_size)
        observations = torch.from_numpy(arrived[part]).to(latents.device)
        index = torch.from_numpy(latent_index[part]).to(latents.device)
        rewards[part] = scaled(observations, index).cpu().numpy()
        if progress is not None:
            progress(min(start + batch_size, len(dataset)), len(dataset))
    return rewards
