"""The training loop: batches by index, logs and evaluations at intervals, checkpoints, exact resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pluralbench.iql.checkpoints import Checkpoint, check_identity, load_checkpoint, save_checkpoint
from pluralbench.iql.data import ReplayData
from pluralbench.iql.latent_codes import LatentCodes, fit_latent_codes
from pluralbench.iql.learner import Learner
from pluralbench.iql.networks import Stack
from pluralbench.iql.offline_learner import OfflineLearner
from pluralbench.iql.policy import Policy
from pluralbench.iql.reference import ReferenceLearner
from pluralbench.iql.runner import CHUNK, Runner
from pluralbench.iql.settings import Implementation, IQLError, IQLSettings, Precision
from pluralbench.progress import Progress
from pluralbench.settings import as_json


@dataclass(frozen=True)
class TrainingResult:
    """What training leaves."""

    policy: Policy
    """The actors of all runs."""
    metrics: list[dict[str, Any]] = field(default_factory=list)
    """One row per log interval: `step`, and one number per run under each other name."""
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    """One row per evaluation: `step` and what `on_evaluate` returned as `value`."""
    updates_per_second: float = float("nan")
    """Of this call, evaluations and checkpoints excluded; nan where nothing was left to do."""


def train(
    data: ReplayData,
    settings: IQLSettings,
    seeds: Sequence[int],
    device: str | torch.device = "cpu",
    *,
    progress: Progress | None = None,
    log_every: int = 1000,
    evaluate_every: int | None = None,
    on_evaluate: Callable[[int, Policy], Any] | None = None,
    on_metrics: Callable[[int, Mapping[str, Any]], None] | None = None,
    checkpoint_folder: Path | None = None,
    checkpoint_every: int = 10_000,
    resume: bool = False,
    learner_class: type[OfflineLearner] | None = None,
) -> TrainingResult:
    """Trains E runs of IQL at once.

    Args:
        data: rewards and latents of E runs over shared transitions.
        settings: shared by all runs; `implementation` chooses what learns.
        seeds: E of them; a run's numbers depend on its own seed only, not on the runs beside it.
        device: where to train; the data are moved there.
        progress: called with (updates done, updates in all) now and then.
        log_every: updates between rows of metrics.
        evaluate_every: updates between calls of `on_evaluate`; the last update is always evaluated.
        on_evaluate: called with (step, policy); what it returns, if JSON can hold it, is kept and survives a resume.
        on_metrics: called with (step, metrics (E,) by name) whenever a row of them is noted.
        checkpoint_folder: where to write checkpoints; none are written without it.
        checkpoint_every: updates between checkpoints.
        resume: go on from the newest whole checkpoint in that folder, where there is one. On the CPU the numbers are
            then bit for bit those of an undisturbed run with as many threads.
        learner_class: what learns, in place of the setting `implementation`; `iql.maxmin_iql` has another.

    Raises:
        IQLError: seeds and data disagree, or the folder holds a run of other settings, seeds or data.
    """
    seeds = [int(seed) for seed in seeds]
    intervals = {"log_every": log_every, "evaluate_every": evaluate_every, "checkpoint_every": checkpoint_every}
    _check(seeds, intervals)
    if checkpoint_folder is None:
        del intervals["checkpoint_every"]
    if settings.precision == "auto":
        settings = replace(settings, precision=fastest_precision(device, settings.implementation))
    seen, codes = data.to(device), None
    if settings.latent_centres and data.latent_size:
        codes = fit_latent_codes(seen.latents_of_runs, settings.latent_centres, settings.latent_width)
        seen = seen if codes is None else replace(seen, latents=codes(seen.latents))
    normalized, latent_mean, latent_std = seen.with_normalized_latents()
    if settings.normalize_rewards:
        normalized = normalized.with_normalized_rewards()
    if settings.shaping:
        normalized = normalized.with_shaped_rewards(settings.discount)
    if learner_class is None:
        learner_class = ReferenceLearner if settings.implementation == "reference" else Learner
    learner = learner_class(normalized, settings, seeds)
    identity: dict[str, Any] = {"settings": as_json(settings), "seeds": seeds}
    history: dict[str, Any] = {"metrics": [], "evaluations": []}
    step = 0
    if checkpoint_folder is not None:
        identity["data"] = data.fingerprint()
        stored = load_checkpoint(checkpoint_folder) if resume else None
        if stored is not None:
            check_identity(stored, identity, checkpoint_folder)
            if stored.history.keys() != history.keys():
                raise IQLError(f"{checkpoint_folder}: the history of its checkpoint lacks metrics or evaluations")
            learner.load_state(stored.tensors)
            step, history = stored.step, stored.history

    total = settings.num_updates
    runner = Runner(learner, seeds)
    seconds, first = 0.0, step
    while step < total:
        ends = [(step // every + 1) * every for every in (CHUNK, *intervals.values()) if every is not None]
        stop = min(total, *ends)
        began = time.perf_counter()
        runner.run(step, stop)
        step = stop
        if step % log_every == 0 or step == total:
            history["metrics"].append({"step": step, **learner.metrics()})
            if on_metrics is not None:
                on_metrics(step, {name: value for name, value in history["metrics"][-1].items() if name != "step"})
        seconds += time.perf_counter() - began
        if on_evaluate is not None and (step == total or (evaluate_every and step % evaluate_every == 0)):
            value = on_evaluate(step, make_policy(learner, latent_mean, latent_std, codes))
            history["evaluations"].append({"step": step, "value": value})
        if checkpoint_folder is not None and (step % checkpoint_every == 0 or step == total):
            save_checkpoint(checkpoint_folder, Checkpoint(step, learner.state(), identity, history))
        if progress is not None:
            progress(step, total)
    speed = (step - first) / seconds if seconds else float("nan")
    policy = make_policy(learner, latent_mean, latent_std, codes)
    return TrainingResult(policy, **history, updates_per_second=speed)


def fastest_precision(device: str | torch.device, implementation: Implementation = "fast") -> Precision:
    """`bfloat16` for `fast` on a processor with AVX-512 BF16 or AMX, else `float32`, which is faster than emulation."""
    if implementation == "reference" or torch.device(device).type != "cpu":
        return "float32"
    supported = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # PyTorch has no public name for either
    return "bfloat16" if any(getattr(torch.cpu, name, bool)() for name in supported) else "float32"


def make_policy(
    learner: OfflineLearner, latent_mean: Tensor, latent_std: Tensor, codes: LatentCodes | None = None
) -> Policy:
    """A copy of the learner's actors, which takes latents as they came, not normalised by mean and std (E, 1, Z).

    Their first layer takes over the normalisation: W (z - mean) / std = (W / std) z - (W / std) mean.
    """
    settings = learner.settings
    actors = learner.actor().clone()
    stack = Stack(actors, learner.widths)
    first = learner.features.size
    weights = stack.weights[0][:, first : first + learner.latent_size]  # (E, Z, H), a view into the actors
    weights /= latent_std.mT
    stack.biases[0] -= latent_mean @ weights
    bounds = (settings.min_log_std, settings.max_log_std)
    size = learner.latent_size if codes is None else codes.latent_size
    return Policy(actors, learner.widths, learner.features, size, settings.discrete_actions, bounds, codes)


def _check(seeds: list[int], intervals: Mapping[str, int | None]) -> None:
    """IQLError for a negative seed or an interval below 1."""
    if any(seed < 0 for seed in seeds):
        raise IQLError(f"seeds must not be negative, are {seeds}")
    for name, every in intervals.items():
        if every is not None and every < 1:
            raise IQLError(f"{name} must be at least 1, is {every}")
