"""Where the latents come from under which a policy is trained, by name; `relabelling.draw_latents` draws them.

A way of drawing is a function of (fitted model, answers of U train users, states (C, S), generator) that gives a
posterior of U rows. One more is a function here and its name in `LATENT_DRAWS`. Importing this file imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pluralbench.reward_learning.errors import LearnerError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pluralbench.preference_oracles.preferences import PreferenceDataset
    from pluralbench.reward_learning.reward_model import Posterior, RewardModel

MAX_COMPARED = 2_048
"""Different latents whose rewards `even` compares with one another."""


def from_posterior(
    model: RewardModel, context: PreferenceDataset, states: Tensor, generator: torch.Generator
) -> Posterior:
    """What the answers tell about each train user, which follows the users even where no Gaussian prior fits them."""
    return model.posterior_for_policy(context, generator)


def from_prior(model: RewardModel, context: PreferenceDataset, states: Tensor, generator: torch.Generator) -> Posterior:
    """The model's prior p(z), as in VPL's paper; one reward for all users has no latent to draw.

    Raises:
        LearnerError: a model with latents and no prior over them.
    """
    if model.latent_size == 0:
        return from_posterior(model, context, states, generator)
    if not model.has_prior:
        raise LearnerError(f"{model.name} has no prior to draw latents from; set relabel.latents to posterior")
    return model.prior(context.num_users)


def evenly(model: RewardModel, context: PreferenceDataset, states: Tensor, generator: torch.Generator) -> Posterior:
    """By what is wanted instead of by who wants it: equally different rewards come equally often.

    A policy sees each trajectory under one latent, so that under `posterior` what one user in eleven wants is a rare
    thing to it. Here user u counts 1 / rho_u, rho_u = sum over v of exp(-d_uv / 2 h), where d_uv is the mean square of
    the difference of both users' rewards of the states, each brought to mean 0 and deviation 1, and h is an eighth of
    the mean d: users who want the same share one weight, however many they are. Rows are drawn by these weights with
    equal steps between them (systematic resampling).
    """
    import torch

    from pluralbench.reward_learning.reward_model import Posterior

    posterior = model.posterior_for_policy(context, generator)
    num_users, latent_size = posterior.mean.shape
    if latent_size == 0:
        return posterior
    different, of_user = torch.unique(posterior.mean.cpu(), dim=0, return_inverse=True)
    first = torch.full((len(different),), num_users).scatter_reduce(0, of_user, torch.arange(num_users), "amin")
    rows = first[torch.randperm(len(first), generator=generator)[:MAX_COMPARED]].to(posterior.mean.device)
    with torch.no_grad():
        rewards = torch.stack([model.reward(states, mean.expand(len(states), -1)) for mean in posterior.mean[rows]])
    rewards = rewards - rewards.mean(1, keepdim=True)
    rewards = rewards / rewards.square().mean(1, keepdim=True).sqrt().clamp_min(1e-6)
    distances = torch.cdist(rewards, rewards).square() / rewards.shape[1]  # (V, V)
    width = (distances.mean() / 8).clamp_min(1e-9)
    weights = 1 / (-distances / (2 * width)).exp().sum(1)
    edges = (weights / weights.sum()).cumsum(0)
    steps = (torch.arange(num_users) + torch.rand(1, generator=generator)) / num_users
    chosen = rows[torch.searchsorted(edges, steps.to(edges.device)).clamp_max(len(rows) - 1)]
    return Posterior(posterior.mean[chosen], posterior.log_var[chosen])


LATENT_DRAWS: dict[str, Callable[[RewardModel, PreferenceDataset, Tensor, torch.Generator], Posterior]] = {
    "posterior": from_posterior,
    "prior": from_prior,
    "even": evenly,
}
