"""The minibatch loop over users that every learner shares: which checkpoint is kept, and what is logged.

A learner hands in two functions: a loss on a batch of users, and a prediction of answers that its encoder did not see.
The second alone decides which checkpoint is kept: no annealed weight of a loss does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.progress import Progress
from pluralbench.ranges import LARGEST, MOST, check_number, check_whole
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.preference_losses import preference_accuracy, probability_nll
from pluralbench.reward_learning.reward_model import History

Metrics = dict[str, Tensor]
Rows = NDArray[np.int64]

MEMORY_BYTES = 2**29
"""Preferences up to this size are moved to the device once; larger ones are read batch by batch."""
MAX_VALIDATION_USERS = 1000


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast a network is trained."""

    num_updates: int = 1500
    """Gradient steps."""
    batch_users: int = 64
    """Users per step, with all their answers."""
    learning_rate: float = 1e-3
    """Of Adam at the start."""
    schedule: Literal["cosine", "constant"] = "constant"
    """`cosine` lowers the learning rate to 0 over the training, `constant` leaves it."""
    weight_decay: float = 0.0
    """Decoupled (AdamW); 0 is plain Adam."""
    max_grad_norm: float = 10.0
    """Gradients are clipped to this norm."""
    validation_fraction: float = 0.1
    """Share of the users who are kept apart to choose the checkpoint; 0 keeps the last one. So do users of one answer
    each where latents are inferred: nothing is left to be predicted."""
    num_validations: int = 20
    """How often the checkpoint is weighed, evenly over the training."""

    def __post_init__(self) -> None:
        check_whole(LearnerError, self, 1, MOST, "num_updates", "batch_users", "num_validations")
        check_number(LearnerError, self, 0, 1, "validation_fraction")
        if self.validation_fraction == 1:
            raise LearnerError(f"validation_fraction must lie in [0, 1), is {self.validation_fraction}")
        check_number(LearnerError, self, 0, LARGEST, "learning_rate", "max_grad_norm", above=True)
        check_number(LearnerError, self, 0, LARGEST, "weight_decay")


@dataclass(frozen=True)
class Batch:
    """The answers of some users, on the device."""

    segments: Tensor
    """(U, K, 2, T, S) float32."""
    labels: Tensor
    """(U, K) float32."""
    mask: Tensor
    """(U, K) bool, False where skipped."""
    rows: Tensor
    """(U,) int64, the users' rows in the dataset, for parameters or assignments that belong to one user."""

    def with_mask(self, mask: Tensor) -> Batch:
        """The same answers, with another mask (U, K) on top of their own."""
        return replace(self, mask=self.mask & mask)


LossFunction = Callable[[Batch, torch.Generator, float], tuple[Tensor, Metrics]]
"""A batch, a generator and the share of the training done, in [0, 1], to the loss () and what to log."""
Predictor = Callable[[Batch], tuple[Tensor, Tensor]]
"""A batch to P(first preferred) (U, K) and the answers that count (U, K) bool: given, and hidden from the encoder."""


class PreferenceBatches:
    """Batches of users from a dataset in memory or on disk.

    Args:
        preferences: its arrays may be anything that NumPy-style row indexing reads, for example an HDF5 dataset.
        device: where batches go.
    """

    def __init__(self, preferences: PreferenceDataset, device: torch.device | str) -> None:
        self._preferences = preferences
        self._device = torch.device(device)
        self.num_users = len(preferences.user_ids)
        size = 4 * int(np.prod(preferences.segments.shape))
        self._whole = self._read(np.arange(self.num_users)) if size <= MEMORY_BYTES else None

    def take(self, rows: Rows) -> Batch:
        """The users of these rows; read in ascending order, which files need and the loss does not notice."""
        rows = np.sort(rows)
        if self._whole is None:
            return self._read(rows)
        index = torch.from_numpy(rows).to(self._device)
        whole = self._whole
        return Batch(whole.segments[index], whole.labels[index], whole.mask[index], index)

    def chunks(self, size: int) -> Iterator[Batch]:
        """All users in their order, `size` at a time."""
        for start in range(0, self.num_users, size):
            yield self.take(np.arange(start, min(start + size, self.num_users)))

    def _read(self, rows: Rows) -> Batch:
        data = self._preferences
        return Batch(
            segments=torch.from_numpy(np.array(data.segments[rows], dtype=np.float32)).to(self._device),
            labels=torch.from_numpy(np.array(data.labels[rows], dtype=np.float32)).to(self._device),
            mask=torch.from_numpy(np.array(data.mask[rows], dtype=bool)).to(self._device),
            rows=torch.from_numpy(rows).to(self._device),
        )


def split_users(num_users: int, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Rows of the users to learn from and of those kept apart: the share `fraction`, at least one if there are two."""
    if num_users < 2 or fraction == 0:
        return np.arange(num_users), np.arange(0)
    num_validation = min(max(1, round(fraction * num_users)), num_users - 1, MAX_VALIDATION_USERS)
    order = np.random.default_rng([seed, 90]).permutation(num_users)
    return np.sort(order[num_validation:]), np.sort(order[:num_validation])


def context_and_targets(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Splits each user's answers: the first half (U, K) for the encoder, the other half (U, K) to be predicted.

    A single answer, K = 1, is the encoder's, and none is left to be predicted. To predict it from no answers would
    favour the checkpoint that tells users apart least.
    """
    half = max(1, mask.shape[1] // 2)
    first = torch.arange(mask.shape[1], device=mask.device) < half
    return mask & first, mask & ~first


def random_context(mask: Tensor, generator: torch.Generator, fewest: int = 1) -> Tensor:
    """Picks a random number, uniform in `fewest` and the K - 1 after it, of each user's comparisons: (U, K) bool."""
    num_users, num_comparisons = mask.shape
    size = torch.randint(fewest, num_comparisons + fewest, (num_users, 1), generator=generator)
    rank = torch.rand(num_users, num_comparisons, generator=generator).argsort(-1).argsort(-1)
    return (rank < size).to(mask.device)


def train(
    network: nn.Module,
    preferences: PreferenceDataset,
    loss: LossFunction,
    predict: Predictor,
    settings: TrainingSettings,
    seed: int,
    device: torch.device | str,
    progress: Progress | None = None,
    rows: Rows | None = None,
) -> History:
    """Trains `network` in place and leaves it at the checkpoint with the lowest validation NLL, else at the last one.

    Args:
        network: on `device`, initialised.
        preferences: the train users' answers.
        loss: on a batch of users.
        predict: answers that the encoder did not see; decides the checkpoint.
        settings: how long and how fast.
        seed: of the split, the order of the users and whatever the loss draws.
        device: where to train.
        progress: called with (updates done, updates in all).
        rows: learn from these users only.

    Returns:
        One row per validation: `update`, the loss's metrics averaged since the last row, and, where users kept apart
        gave answers that the encoder does not see, `validation_nll` and `validation_accuracy`. The row that was kept
        has `kept` = 1.
    """
    batches = PreferenceBatches(preferences, device)
    users = np.arange(batches.num_users) if rows is None else np.asarray(rows, dtype=np.int64)
    if len(users) == 0:
        raise LearnerError("no users to learn from; the preferences need at least one")
    train_rows, validation_rows = (users[part] for part in split_users(len(users), settings.validation_fraction, seed))
    stops = set(np.linspace(0, settings.num_updates, settings.num_validations + 1).astype(int)[1:].tolist())
    history: History = []
    window: list[Metrics] = []
    best_nll, best_row, best_state = float("inf"), -1, None
    for update, metrics in enumerate(_gradient_steps(network, batches, train_rows, loss, settings, seed), start=1):
        window.append(metrics)
        if update in stops:
            row = {"update": float(update), **_average(window)}
            window.clear()
            if len(validation_rows):
                row.update(validate(batches, validation_rows, predict))
                if row.get("validation_nll", best_nll) < best_nll:
                    best_nll, best_row = row["validation_nll"], len(history)
                    best_state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
            history.append(row)
            if progress is not None:
                progress(update, settings.num_updates)
    if best_state is not None:
        network.load_state_dict(best_state)
    for row in history:
        row["kept"] = float(row is history[best_row])
    return history


def _gradient_steps(
    network: nn.Module, data: PreferenceBatches, rows: Rows, loss: LossFunction, settings: TrainingSettings, seed: int
) -> Iterator[Metrics]:
    """Takes each gradient step when its metrics are asked for."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    minimum = 0.0 if settings.schedule == "cosine" else settings.learning_rate
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.num_updates, eta_min=minimum)
    stream = _user_stream(rows, settings.batch_users, np.random.default_rng([seed, 91]))
    generator = torch.Generator().manual_seed(seed)
    for update in range(settings.num_updates):
        value, metrics = loss(data.take(next(stream)), generator, update / settings.num_updates)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.max_grad_norm)
        optimizer.step()
        schedule.step()
        yield {"loss": value.detach(), **metrics}


@torch.no_grad()
def validate(batches: PreferenceBatches, rows: Rows, predict: Predictor, chunk: int = 256) -> dict[str, float]:
    """Validation NLL per answer and accuracy on the targets of these users; empty where they have no targets."""
    parts = []
    for start in range(0, len(rows), chunk):
        batch = batches.take(rows[start : start + chunk])
        probability, targets = predict(batch)
        parts.append((probability.float(), batch.labels, targets))
    probability, labels, targets = (torch.cat(column) for column in zip(*parts, strict=True))
    if not targets.any():
        return {}
    nll = probability_nll(probability, labels)[targets].mean()
    accuracy = preference_accuracy(probability, labels, targets)
    return {"validation_nll": float(nll), "validation_accuracy": float(accuracy)}


def _user_stream(rows: Rows, batch_users: int, generator: np.random.Generator) -> Iterator[Rows]:
    """Batches of rows for ever: every user once before any user again."""
    while True:
        order = generator.permutation(rows)
        for start in range(0, len(order), batch_users):
            yield order[start : start + batch_users]


def _average(window: list[Metrics]) -> dict[str, float]:
    names = window[0]
    return {name: float(torch.stack([metrics[name].detach() for metrics in window]).nanmean()) for name in names}
