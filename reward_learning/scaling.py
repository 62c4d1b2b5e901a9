"""Scalings of a reward, a choice of its own that every learner passes through, baselines and oracle included.

Preferences leave a reward's zero and, for noise-free users, its unit open, and leave them open for each latent anew. A
policy that serves all latents at once needs rewards that mean the same under each. With C comparison states s' drawn
from the dataset, each scaling is a function of one observation s and one latent z:

    none       r(s, z)
    batchnorm  r(s, z) / mean over s' of r(s', z)          (VPL, A.2; the mean may be near zero or negative: it fails)
    maxnorm    r(s, z) / max over s' of |r(s', z)|         (VPL, A.2)
    spo        mean over s' of p(s preferred to s' | z)    (VPL, 4.1) in [0, 1] for every z
    spo-log    -log(1 + 1 / 2C - spo(s, z))                (ours) keeps apart the few states that are liked best
    spo-pairs  spo with p from a classifier learned on pairs of states (`pair_classifier`), as in the paper; of the
               learner it takes latents, never rewards

p(s preferred to s' | z) is the model's `preference_probability`: sigmoid(r(s, z) - r(s', z)), so that
p(s, s') + p(s', s) = 1 by construction, unless the learner has one of its own (dpl, and the oracle that never errs).

`spo` of a learner that is sure is a rank: flat where few states lie, which is where a user's goal is, so that a policy
gains next to nothing by the last step to it. `spo-log` is a rank too, of the same order, and has the exponential
distribution over the comparison states instead of the uniform one: each halving of how many are better is worth as
much. That matters most where the learner is less sure of some users' rewards, which are then flatter than others': the
policy of all latents hears least of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pluralbench.registry import unknown_name
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.pair_classifier import PairClassifier
from pluralbench.reward_learning.reward_model import RewardFunction
from pluralbench.reward_learning.scalings import SCALINGS

CHUNK = 1024
"""Observations scaled at once on a CPU: with 256 units or comparison states each, the work stays in its cache."""
DEVICE_CHUNK = 65_536
"""The same on an accelerator, which wants large pieces."""

ScaledReward = Callable[[Tensor, Tensor], Tensor]
"""Observations (B, S) and, for each, which latent it is seen under, (B,) int64, to scaled rewards (B,)."""


def fit_scaling(
    scaling: str, model: RewardFunction, latents: Tensor, states: Tensor, pair_classifier: PairClassifier | None = None
) -> ScaledReward:
    """The model's reward under `scaling`, ready to be asked.

    Args:
        scaling: one of SCALINGS.
        model: fitted.
        latents: (M, Z), the latents that will be asked about.
        states: (C, S), the comparison states.
        pair_classifier: for `spo-pairs`, from `pair_classifier.fit_pair_classifier`.

    Returns:
        A function of observations (B, S) and indices (B,) into `latents`. Memory does not grow with B.

    Raises:
        LearnerError: an unknown scaling, no comparison states, or `spo-pairs` without its classifier.
    """
    if scaling not in SCALINGS:
        raise LearnerError(unknown_name("scaling", scaling, sorted(SCALINGS)))
    if scaling != "none" and len(states) == 0:
        raise LearnerError(f"{scaling} needs at least one comparison state")
    if scaling == "none":
        return _chunked(lambda observations, index: model.reward(observations, latents[index]))
    if scaling == "batchnorm":
        return _divided(model, latents, _table(model.reward, latents, states).mean(1))
    if scaling == "maxnorm":
        return _divided(model, latents, _table(model.reward, latents, states).abs().amax(1))
    if scaling == "spo":
        return _expected_preference(model, latents, states)
    if scaling == "spo-log":
        ranked, floor = _expected_preference(model, latents, states), 1 / (2 * len(states))
        return lambda observations, index: -(1 + floor - ranked(observations, index)).log()
    if pair_classifier is None:
        raise LearnerError("spo-pairs needs a pair classifier: fit one with fit_pair_classifier")
    chances = pair_classifier.preference_probability
    return _chunked(lambda seen, index: chances(seen[:, None], states[None], latents[index][:, None]).mean(1))


def _divided(model: RewardFunction, latents: Tensor, scale: Tensor) -> ScaledReward:
    # a reward that is zero on every comparison state is left as it is
    scale = torch.where(scale == 0, 1.0, scale)
    return _chunked(lambda observations, index: model.reward(observations, latents[index]) / scale[index])


def _expected_preference(model: RewardFunction, latents: Tensor, states: Tensor) -> ScaledReward:
    table = _table(model.preference_outputs, latents, states)  # (M, C, O)

    def scaled(observations: Tensor, index: Tensor) -> Tensor:
        own = model.preference_outputs(observations, latents[index])  # (B, O)
        return model.preference_probability(own[:, None], table.index_select(0, index)).mean(1)

    return _chunked(scaled)


def _table(outputs: Callable[[Tensor, Tensor], Tensor], latents: Tensor, states: Tensor) -> Tensor:
    """Outputs (M, C, ...) of every comparison state under every latent."""
    rows = max(1, _chunk(states) // len(states))
    with torch.no_grad():
        return torch.cat([outputs(states[None], part[:, None]) for part in latents.split(rows)])


def _chunked(scaled: ScaledReward) -> ScaledReward:
    @torch.no_grad()
    def whole(observations: Tensor, index: Tensor) -> Tensor:
        size = _chunk(observations)
        parts = zip(observations.split(size), index.split(size), strict=True)
        return torch.cat([scaled(part, rows) for part, rows in parts])

    return whole


def _chunk(observations: Tensor) -> int:
    return CHUNK if observations.device.type == "cpu" else DEVICE_CHUNK
