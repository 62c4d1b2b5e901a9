"""The learner's own architecture fitted on one user's answers alone, for each user separately: nobody else teaches it.

What a user's few answers are worth without anybody else's is the floor for learners that share what users have in
common. The network is BTL's, r(s), and so is the loss, the mean over a user's answers of

    softplus(r(A) - r(B)) - y (r(A) - r(B))        r summed over the steps of a segment, y = 1/2 for a tie,

minimised by Adam with decoupled weight decay. All networks start from the same weights. No answer is left over to stop
by, so that the number of steps is fixed; the learning rate falls to 0 along half a cosine.

Shapes: N networks, P parameters of each, R rows of observations of each, F features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pluralbench.features import InputFeatures
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.progress import Progress
from pluralbench.ranges import LARGEST, MOST, MOST_LAYERS, WIDEST_LAYER, check_number, check_whole
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.network_learner import MOST_MISTAKES, NetworkLearner
from pluralbench.reward_learning.networks import NEGATIVE_SLOPE, RewardNetwork
from pluralbench.reward_learning.preference_losses import answer_logits, preference_logits, user_nll
from pluralbench.reward_learning.reward_model import History, Posterior
from pluralbench.reward_learning.training import Batch, PreferenceBatches

CHUNK_NETWORKS = 64
"""Networks fitted at once: with their gradients and Adam's moments they stay within the processor's cache."""
Layers = list[tuple[Tensor, Tensor]]
"""Weights (N, out, in) and biases (N, out) of every linear layer of N networks."""


@dataclass(frozen=True)
class IndividualSettings:
    """Settings of `individual`; those that other learners have mean the same."""

    hidden_size: int = 64
    """Units of every hidden layer."""
    num_layers: int = 3
    """Hidden layers."""
    features: InputFeatures = field(default_factory=InputFeatures)
    """What the networks see of an observation besides its normalised columns."""
    num_steps: int = 100
    """Gradient steps on all answers of a user. In the maze they bring the mean probability of 8 answers to 0.99, and
    three times as many foresee further answers no better."""
    learning_rate: float = 1e-3
    """Of Adam at the start."""
    weight_decay: float = 0.01
    """Decoupled (AdamW)."""
    mistake_rate: float = 0.0
    """Share of the answers that users give wrong, as the learner believes."""

    def __post_init__(self) -> None:
        check_whole(LearnerError, self, 1, WIDEST_LAYER, "hidden_size")
        check_whole(LearnerError, self, 1, MOST_LAYERS, "num_layers")
        check_whole(LearnerError, self, 1, MOST, "num_steps")
        check_number(LearnerError, self, 0, LARGEST, "weight_decay")
        check_number(LearnerError, self, 0, LARGEST, "learning_rate", above=True)
        check_number(LearnerError, self, 0, MOST_MISTAKES, "mistake_rate")


class Individual(NetworkLearner):
    """One network r(s) per user; a latent (1,) is the number of a network, in the order in which they were fitted.

    A network belongs to a set of answers, whoever gave them: the same answers, in any order, are fitted once.
    """

    name: ClassVar[str] = "individual"
    settings_type: ClassVar[type] = IndividualSettings
    per_user: ClassVar[bool] = True

    def build(self) -> RewardNetwork:
        """r(s), from which every user's network starts."""
        self.latent_size = 1
        self._numbers: dict[bytes, int] = {}
        self._fitted = torch.empty(0, 0, device=self.device)  # (N, P)
        return self.reward_network()

    def fit(self, preferences: PreferenceDataset, seed: int, progress: Progress | None = None) -> History:
        """Learns nothing from the train users' answers; their observations set the normalisation, `seed` the start."""
        self.start(preferences, seed)
        return []

    def infer(self, context: PreferenceDataset) -> Posterior:
        """The numbers (U, 1) of the users' networks, which are fitted now where these answers are new."""
        self.network  # noqa: B018 (raises before fit)
        keys, order = _keys_and_order(context)
        new = {key: row for row, key in reversed(list(enumerate(keys))) if key not in self._numbers}
        rows = np.array(sorted(new.values()), dtype=np.int64)
        answers = context.take_users(rows).take_queries(order[rows])
        parts = [self._fit_networks(batch) for batch in PreferenceBatches(answers, self.device).chunks(CHUNK_NETWORKS)]
        if parts:
            known = [self._fitted] if self._numbers else []
            self._fitted = torch.cat([*known, *parts])
            self._numbers.update({keys[row]: len(self._numbers) + place for place, row in enumerate(rows)})
        numbers = torch.tensor([[self._numbers[key]] for key in keys], dtype=torch.float32, device=self.device)
        return Posterior.exactly(numbers.reshape(-1, 1))

    def _fit_networks(self, batch: Batch) -> Tensor:
        """Parameters (N, P) of the networks of N users, each fitted on its own user's answers."""
        start, settings = list(self.network.parameters()), self.settings
        parameters = [part.detach().expand(len(batch.rows), *part.shape).clone().requires_grad_() for part in start]
        layers = list(zip(parameters[::2], parameters[1::2], strict=True))
        given = torch.where(batch.mask[..., None, None, None], batch.segments, 0.0)
        features = self.network.features(given.flatten(1, 3))  # (N, K * 2 * T, F)
        num_answers = batch.mask.sum(1).clamp(min=1)
        optimizer = torch.optim.AdamW(
            parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.num_steps)
        with torch.enable_grad():
            for _ in range(settings.num_steps):
                meant = preference_logits(stacked_rewards(layers, features).view(given.shape[:-1]))  # (N, K)
                logits = answer_logits(meant, settings.mistake_rate)
                optimizer.zero_grad(set_to_none=True)
                (user_nll(logits, batch.labels, batch.mask) / num_answers).sum().backward()
                optimizer.step()
                schedule.step()
        return torch.cat([part.detach().flatten(1) for part in parameters], dim=1)

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """r(s), (...), of observations (..., S) by the networks of these numbers (..., 1); leading axes broadcast.

        Raises:
            LearnerError: before `fit`, or a number that no network has.
        """
        features = self.network.features(self.check_observations(observations))
        shape = torch.broadcast_shapes(features.shape[:-1], latents.shape[:-1])
        rows = features.expand(*shape, features.shape[-1]).reshape(-1, features.shape[-1])
        numbers = latents.squeeze(-1).expand(shape).reshape(-1).long()
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < len(self._numbers):
            raise LearnerError(f"individual has fitted {len(self._numbers)} networks: latents are numbers from `infer`")
        order = numbers.argsort(stable=True)
        own, counts = numbers[order].unique_consecutive(return_counts=True)
        rewards = torch.zeros(len(rows), device=rows.device)
        for number, places in zip(own.tolist(), order.split(counts.tolist()), strict=True):
            rewards[places] = stacked_rewards(self._layers(number), rows[places][None])[0]
        return rewards.view(shape)

    def _layers(self, number: int) -> Layers:
        """Weights and biases of one network, N = 1."""
        start = list(self.network.parameters())
        parts = self._fitted[number].split([part.numel() for part in start])
        parameters = [part.view(1, *like.shape) for part, like in zip(parts, start, strict=True)]
        return list(zip(parameters[::2], parameters[1::2], strict=True))

    def state(self) -> dict[str, Tensor]:
        """The weights that all start from, and what has been fitted since, with the answers' fingerprints (N, 32)."""
        keys = np.frombuffer(b"".join(self._numbers), dtype=np.uint8).reshape(-1, 32).copy()
        return {**super().state(), "fitted": self._fitted, "fingerprints": torch.from_numpy(keys)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Builds the networks and fills them."""
        rest = dict(state)
        fitted, fingerprints = rest.pop("fitted"), rest.pop("fingerprints")
        super().restore(rest)
        num, size = len(fingerprints), sum(part.numel() for part in self.network.parameters())
        if fingerprints.shape != (num, 32) or fingerprints.dtype != torch.uint8:
            raise LearnerError("fingerprints should be (N, 32) bytes")
        if fitted.dtype != torch.float32 or (num and fitted.shape != (num, size)):
            raise LearnerError(f"fitted should be ({num}, {size}) float32, is {tuple(fitted.shape)} {fitted.dtype}")
        self._fitted = fitted.to(self.device)
        self._numbers = {key.tobytes(): number for number, key in enumerate(fingerprints.cpu().numpy())}


def stacked_rewards(layers: Layers, features: Tensor) -> Tensor:
    """Rewards (N, R) by N networks of features of their own (N, R, F): `RewardNetwork.forward`, all of them at once."""
    hidden = features
    for depth, (weight, bias) in enumerate(layers):
        hidden = torch.baddbmm(bias[:, None], hidden, weight.transpose(1, 2))
        if depth < len(layers) - 1:
            hidden = F.leaky_relu(hidden, NEGATIVE_SLOPE)
    return hidden.squeeze(-1)


def _keys_and_order(context: PreferenceDataset) -> tuple[list[bytes], NDArray[np.int64]]:
    """A fingerprint of each user's answers, whatever their order, and the order (U, K) in which they are fitted."""
    keys, orders = [], []
    for segments, labels, mask in zip(context.segments, context.labels, context.mask, strict=True):
        answers = {
            k: hashlib.sha256(segments[k].tobytes() + labels[k].tobytes()).digest() for k in np.flatnonzero(mask)
        }
        kept = sorted(answers, key=answers.__getitem__)
        keys.append(hashlib.sha256(b"".join(answers[k] for k in kept)).digest())
        orders.append([*kept, *np.flatnonzero(~mask)])
    return keys, np.array(orders, dtype=np.int64).reshape(context.mask.shape)
