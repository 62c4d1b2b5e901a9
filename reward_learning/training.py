"""The minibatch loop over users that every learner shares: which checkpoint is kept, and what is logged.

A learner hands in two functions: a loss on a batch of users, and a prediction of answers on a batch of users whose
target answers its encoder did not see. The second alone decides which checkpoint is kept: no annealed weight of a loss
does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.progress import Progress
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.preference_losses import preference_accuracy, probability_nll

Metrics = dict[str, Tensor]

MEMORY_BYTES = 2**29
"""Preferences up to this size are moved to the device once; larger ones are read batch by batch."""
MAX_VALIDATION_USERS = 1000


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast a network is trained.

    Attributes:
        num_updates: gradient steps.
        batch_users: users per step, with all their answers.
        learning_rate: of Adam at the start.
        schedule: `cosine` lowers the learning rate to 0 over the training, `constant` leaves it.
        weight_decay: decoupled (AdamW); 0 is plain Adam.
        max_grad_norm: gradients are clipped to this norm.
        validation_fraction: share of the users who are kept apart to choose the checkpoint; 0 keeps the last one.
        num_validations: how often the checkpoint is weighed, evenly over the training.
    """

    num_updates: int = 1500
    batch_users: int = 64
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "constant"] = "constant"
    weight_decay: float = 0.0
    max_grad_norm: float = 10.0
    validation_fraction: float = 0.1
    num_validations: int = 20

    def __post_init__(self) -> None:
        for name in ("num_updates", "batch_users", "num_validations"):
            if getattr(self, name) < 1:
                raise LearnerError(f"{name} must be at least 1, is {getattr(self, name)}")
        if not 0 <= self.validation_fraction < 1:
            raise LearnerError(f"validation_fraction must lie in [0, 1), is {self.validation_fraction}")
        for name in ("learning_rate", "max_grad_norm"):
            if getattr(self, name) <= 0:
                raise LearnerError(f"{name} must be positive, is {getattr(self, name)}")
        if self.weight_decay < 0:
            raise LearnerError(f"weight_decay must not be negative, is {self.weight_decay}")


@dataclass(frozen=True)
class Batch:
    """The answers of some users, on the device.

    Attributes:
        segments: (U, K, 2, T, S) float32.
        labels: (U, K) float32.
        mask: (U, K) bool, False where skipped.
        rows: (U,) int64, the users' rows in the dataset, for parameters or assignments that belong to one user.
    """

    segments: Tensor
    labels: Tensor
    mask: Tensor
    rows: Tensor

    def with_mask(self, mask: Tensor) -> Batch:
        """The same answers, with another mask (U, K) on top of their own."""
        return Batch(self.segments, self.labels, self.mask & mask, self.rows)


@dataclass(frozen=True)
class Prediction:
    """What a model predicts of answers that it has not seen.

    Attributes:
        probability: (U, K) of the first segment being preferred.
        targets: (U, K) bool, which answers count: given, and hidden from the encoder.
    """

    probability: Tensor
    targets: Tensor


class LossFunction(Protocol):
    """A learner's loss on a batch of users."""

    def __call__(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        """The loss () and what to log; `progress` in [0, 1] is the share of the training done."""
        ...


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

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """The users of these rows; read in ascending order, which files need and the loss does not notice."""
        rows = np.sort(rows)
        if self._whole is None:
            return self._read(rows)
        index = torch.from_numpy(rows).to(self._device)
        whole = self._whole
        return Batch(whole.segments[index], whole.labels[index], whole.mask[index], index)

    def take_range(self, start: int, stop: int) -> Batch:
        """The users of rows start..stop, in their order."""
        return self.take(np.arange(start, min(stop, self.num_users)))

    def _read(self, rows: NDArray[np.int64]) -> Batch:
        data = self._preferences
        return Batch(
            segments=torch.from_numpy(np.array(data.segments[rows], dtype=np.float32)).to(self._device),
            labels=torch.from_numpy(np.array(data.labels[rows], dtype=np.float32)).to(self._device),
            mask=torch.from_numpy(np.array(data.mask[rows], dtype=bool)).to(self._device),
            rows=torch.from_numpy(rows).to(self._device),
        )


def split_users(num_users: int, fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the users to learn from and of those kept apart: the share `fraction`, at least one if there are two."""
    if num_users < 2 or fraction == 0:
        return np.arange(num_users), np.arange(0)
    num_validation = min(max(1, round(fraction * num_users)), num_users - 1, MAX_VALIDATION_USERS)
    order = np.random.default_rng([seed, 90]).permutation(num_users)
    return np.sort(order[num_validation:]), np.sort(order[:num_validation])


def context_and_targets(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Splits each user's answers: the first half (U, K) for the encoder, the other half (U, K) to be predicted."""
    half = max(1, mask.shape[1] // 2)
    first = torch.arange(mask.shape[1], device=mask.device) < half
    return mask & first, mask & ~first


def train(
    network: nn.Module,
    preferences: PreferenceDataset,
    loss: LossFunction,
    predict: Callable[[Batch], Prediction],
    settings: TrainingSettings,
    seed: int,
    device: torch.device | str,
    progress: Progress | None = None,
    rows: NDArray[np.int64] | None = None,
) -> list[dict[str, float]]:
    """Trains `network` in place and leaves it at the checkpoint with the lowest validation NLL.

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
        One row per validation: `update`, the loss's metrics averaged since the last row, and, with users kept apart,
        `validation_nll` and `validation_accuracy`. The row that was kept has `kept` = 1.
    """
    batches = PreferenceBatches(preferences, device)
    users = np.arange(batches.num_users) if rows is None else np.asarray(rows, dtype=np.int64)
    if len(users) == 0:
        raise LearnerError("no users to learn from; the preferences need at least one")
    train_rows, validation_rows = (users[part] for part in split_users(len(users), settings.validation_fraction, seed))
    shuffle = np.random.default_rng([seed, 91])
    generator = torch.Generator().manual_seed(seed)
    optimizer, schedule = _optimizer(network, settings)
    stops = set(np.linspace(0, settings.num_updates, settings.num_validations + 1).astype(int)[1:].tolist())
    history: list[dict[str, float]] = []
    window: list[Metrics] = []
    best_nll, best_row, best_state = float("inf"), -1, None
    stream = _user_stream(train_rows, settings.batch_users, shuffle)

    for update in range(1, settings.num_updates + 1):
        value, metrics = loss(batches.take(next(stream)), generator, (update - 1) / settings.num_updates)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.max_grad_norm)
        optimizer.step()
        schedule.step()
        window.append({"loss": value.detach(), **metrics})
        if update in stops:
            row = {"update": float(update), **_average(window)}
            window.clear()
            if len(validation_rows):
                row.update(validate(batches, validation_rows, predict))
                if row["validation_nll"] < best_nll:
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


def _optimizer(
    network: nn.Module, settings: TrainingSettings
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    minimum = 0.0 if settings.schedule == "cosine" else settings.learning_rate
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.num_updates, eta_min=minimum)


@torch.no_grad()
def validate(
    batches: PreferenceBatches, rows: NDArray[np.int64], predict: Callable[[Batch], Prediction], chunk: int = 256
) -> dict[str, float]:
    """Validation NLL per answer and accuracy on the targets of these users."""
    parts = []
    for start in range(0, len(rows), chunk):
        batch = batches.take(rows[start : start + chunk])
        prediction = predict(batch)
        parts.append((prediction.probability.float(), batch.labels, prediction.targets))
    probability, labels, targets = (torch.cat(column) for column in zip(*parts, strict=True))
    nll = probability_nll(probability, labels)[targets].mean()
    accuracy = preference_accuracy(probability, labels, targets)
    return {"validation_nll": float(nll), "validation_accuracy": float(accuracy)}


def _user_stream(
    rows: NDArray[np.int64], batch_users: int, generator: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Batches of rows for ever: every user once before any user again."""
    while True:
        order = generator.permutation(rows)
        for start in range(0, len(order), batch_users):
            yield order[start : start + batch_users]


def _average(window: list[Metrics]) -> dict[str, float]:
    names = window[0]
    return {name: float(torch.stack([metrics[name].detach() for metrics in window]).nanmean()) for name in names}
