"""From a reward model to a dataset's rewards: the single seam between preferences and control.

Each trajectory is seen through the eyes of one user: a latent is drawn for it, and all its transitions get their
reward under that latent. By chance alone hardly any trajectory ends where its user wants to be, so that a policy sees
little of what it is to be there; a share of them is therefore drawn with hindsight. A transition's reward is that of
the state it arrives at, `next_observations`, the state that the action brought about; a policy that is rewarded for
where it already was learns one step late.
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

BEST_OF = 16
HINDSIGHT_CANDIDATES = 64
HINDSIGHT_ENDS = 2048
"""Ends that stand for all where it is asked which are the best."""
HINDSIGHT_ROWS = 1024
"""Trajectories whose ends are looked at together."""


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


@torch.no_grad()
def with_hindsight(
    model: RewardFunction,
    dataset: TransitionDataset,
    latents: Tensor,
    latent_index: NDArray[np.int64],
    comparison_states: Tensor,
    share: float,
    generator: torch.Generator,
    best: float = 1.0,
) -> NDArray[np.int64]:
    """Sees a share of the trajectories under a latent that fits where they end, as in generalised hindsight.

    Such a trajectory is given the latent with the highest standing (r(s, z) - mean over s' of r(s', z)) / deviation
    over s' of r(s', z) of its last state s, among `HINDSIGHT_CANDIDATES` drawn evenly (Li, Pinto and Abbeel, NeurIPS
    2020, arXiv 2002.11708, "reward relabelling"; there the standing is a percentile of the trajectory's return). Where
    latents are few, that one may fit badly: whatever ends beside somebody's goal is then shown to the policy as what is
    done there for this user. With `best` below 1 only a latent can be given under which r(s, z) is among the best
    share `best` of all trajectories' ends; a trajectory without one keeps its own.

    Args:
        model: fitted.
        dataset: N transitions.
        latents: (M, Z), from `draw_latents`.
        latent_index: (N,), from the same.
        comparison_states: s', (C, S), from `draw_comparison_states`.
        share: of the trajectories, 0 to 1.
        generator: draws which trajectories, the candidates, and `HINDSIGHT_ENDS` ends that stand for all.
        best: above 0; 1 for any latent, however badly it fits.

    Returns:
        For each transition which of the latents it is seen under, (N,).
    """
    if len(latents) < 2 or share == 0:
        return latent_index
    states = comparison_states.to(latents.device)
    of_states = torch.stack([model.reward(states, latent.expand(len(states), -1)) for latent in latents])  # (M, C)
    mean, deviation = of_states.mean(1), of_states.std(1, correction=0).clamp_min(1e-6)
    episodes = dataset.episode_index
    last = np.array([end - 1 for _, end in dataset.episode_bounds])
    is_looked_back = torch.rand(len(last), generator=generator) < share
    candidates = torch.randint(len(latents), (len(last), HINDSIGHT_CANDIDATES), generator=generator)
    owner = torch.from_numpy(latent_index[last])
    least = torch.full((len(latents),), -torch.inf, device=latents.device)
    if best < 1:
        some = last[torch.randint(len(last), (HINDSIGHT_ENDS,), generator=generator).numpy()]
        ends = torch.from_numpy(dataset.next_observations[some]).to(latents.device)
        least = torch.stack([model.reward(ends, z.expand(len(ends), -1)).quantile(1 - best) for z in latents])
    for rows in is_looked_back.nonzero().squeeze(1).split(HINDSIGHT_ROWS):
        own = candidates[rows].to(latents.device)  # (B, H)
        ends = torch.from_numpy(dataset.next_observations[last[rows.numpy()]]).to(latents.device)
        reward = model.reward(ends[:, None], latents[own])
        standing = torch.where(reward >= least[own], (reward - mean[own]) / deviation[own], -torch.inf)
        chosen = own.gather(1, standing.argmax(1, keepdim=True)).squeeze(1).cpu()
        owner[rows] = torch.where(standing.isneginf().all(1).cpu(), owner[rows], chosen)
    return owner.numpy()[episodes].astype(np.int64)


def draw_comparison_states(dataset: TransitionDataset, num_states: int, generator: torch.Generator) -> Tensor:
    """The states (C, S) that a scaling compares with, drawn evenly from those that the dataset arrives at."""
    chosen = torch.randint(len(dataset), (num_states,), generator=generator).numpy()
    return torch.from_numpy(dataset.next_observations[chosen])


@torch.no_grad()
def draw_wanted_states(
    model: RewardFunction, dataset: TransitionDataset, latents: Tensor, num_states: int, generator: torch.Generator
) -> Tensor:
    """States (C, S) of which half are drawn as by `draw_comparison_states` and half by what is wanted.

    Of the latter each is the best of `BEST_OF` drawn evenly, to the user of one of the latents. A rank among states of
    the dataset alone is flat where few of them lie, which is where users' goals are.
    """
    num_wanted = num_states // 2
    num_candidates = num_wanted * BEST_OF
    drawn = draw_comparison_states(dataset, num_states - num_wanted + num_candidates, generator).to(latents.device)
    some = drawn[num_candidates:]
    candidates = drawn[:num_candidates].unflatten(0, (num_wanted, BEST_OF))
    whose = torch.randint(len(latents), (num_wanted,), generator=generator).to(latents.device)
    best = model.reward(candidates, latents[whose][:, None]).argmax(1)
    return torch.cat([some, candidates[torch.arange(num_wanted, device=best.device), best]])


@torch.no_grad()
def relabel(
    dataset: TransitionDataset,
    model: RewardFunction,
    latents: Tensor,
    latent_index: NDArray[np.int64],
    scaling: str,
    comparison_states: Tensor,
    pair_classifier: PairClassifier | None = None,
    batch_size: int = 65_536,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Reward of every transition under its trajectory's latent.

    Args:
        dataset: N transitions.
        model: fitted.
        latents: (M, Z), from `draw_latents`.
        latent_index: (N,), which latent each transition is seen under.
        scaling: one of `scaling.SCALINGS`.
        comparison_states: (C, S), from `draw_comparison_states`; one draw serves all groups and all methods alike.
        pair_classifier: for `spo-pairs`.
        batch_size: transitions between two calls of `progress`; memory stays bounded whatever N is.
        progress: called with (transitions done, transitions in all).

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


@torch.no_grad()
def relabel_starts(
    dataset: TransitionDataset,
    rewards: NDArray[np.float32],
    model: RewardFunction,
    latents: Tensor,
    latent_index: NDArray[np.int64],
    scaling: str,
    comparison_states: Tensor,
    pair_classifier: PairClassifier | None = None,
) -> NDArray[np.float32]:
    """Reward (N,) of the state in which every transition starts, from what `relabel` gave with the same arguments.

    Within an episode a transition starts where the one before arrived, so that only first states are asked about.
    """
    first = dataset.episode_bounds[:, 0]
    scaled = fit_scaling(scaling, model, latents, comparison_states.to(latents.device), pair_classifier)
    observations = torch.from_numpy(dataset.observations[first]).to(latents.device)
    before = np.concatenate([rewards[:1], rewards[:-1]])
    before[first] = scaled(observations, torch.from_numpy(latent_index[first]).to(latents.device)).cpu().numpy()
    return before
