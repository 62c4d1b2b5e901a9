"""Where the latents come from under which a policy is trained, by name; `relabelling.draw_latents` draws them.

A way of drawing is a function of (fitted model, answers of U train users, generator) that gives a posterior of U rows.
One more is a function here and its name in `LATENT_DRAWS`. Importing this file imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pluralbench.reward_learning.errors import LearnerError

if TYPE_CHECKING:
    import torch

    from pluralbench.preference_oracles.preferences import PreferenceDataset
    from pluralbench.reward_learning.reward_model import Posterior, RewardModel


def from_posterior(model: RewardModel, context: PreferenceDataset, generator: torch.Generator) -> Posterior:
    """What the answers tell about each train user, which follows the users even where no Gaussian prior fits them."""
    return model.posterior_for_policy(context, generator)


def from_prior(model: RewardModel, context: PreferenceDataset, generator: torch.Generator) -> Posterior:
    """The model's prior p(z), as in VPL's paper; one reward for all users has no latent to draw.

    Raises:
        LearnerError: a model with latents and no prior over them.
    """
    if model.latent_size == 0:
        return from_posterior(model, context, generator)
    if not model.has_prior:
        raise LearnerError(f"{model.name} has no prior to draw latents from; set relabel.latents to posterior")
    return model.prior(context.num_users)


LATENT_DRAWS: dict[str, Callable[[RewardModel, PreferenceDataset, torch.Generator], Posterior]] = {
    "posterior": from_posterior,
    "prior": from_prior,
}
