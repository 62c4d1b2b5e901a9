"""One learner's reward model of one seed, and what every method with this learner shares."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pluralbench.benchmarks.experiments.identity import Identity, digest
from pluralbench.benchmarks.experiments.plan import Plan
from pluralbench.benchmarks.results.records import TRAINING, read_training
from pluralbench.benchmarks.stages.prepare import Prepared, SeedDraws, generator_for
from pluralbench.benchmarks.stages.session import Session
from pluralbench.errors import InputError
from pluralbench.files import write_json
from pluralbench.progress import Progress
from pluralbench.reward_learning.checks import checked_fit
from pluralbench.reward_learning.diagnostics import CONTEXT_SIZES, diagnose
from pluralbench.reward_learning.latent_draws import LATENT_DRAWS
from pluralbench.reward_learning.learners import learners, load_model, make_learner
from pluralbench.reward_learning.pair_classifier import PairClassifier, PairClassifierSettings, fit_pair_classifier
from pluralbench.reward_learning.relabelling import (
    draw_comparison_states,
    draw_latents,
    draw_wanted_states,
    with_hindsight,
)
from pluralbench.reward_learning.reward_model import RewardModel
from pluralbench.reward_learning.scalings import SPO_PAIRS


@dataclass(frozen=True)
class FittedLearner:
    """A fitted reward model with all that is drawn once for it.

    Policies, pictures and diagnostics use the same latents, comparison states and classifier of pairs.
    """

    draws: SeedDraws  # the seed's users and answers
    model: RewardModel  # fitted on the train users' answers
    training: list[dict[str, float]]  # its rows of metrics
    seconds: float  # that the fit took
    diagnostics: Mapping[str, Any]  # what it knows of test users
    latents: Tensor  # (M, Z) under which trajectories are relabelled
    latent_index: NDArray[np.int64]  # (N,) which of them each transition is seen under
    comparison_states: Tensor  # (C, S) with which scalings compare
    classifier_settings: PairClassifierSettings  # of the scaling `spo-pairs`

    @cached_property
    def pair_classifier(self) -> PairClassifier:
        """For the scaling `spo-pairs`; fitted when it is first asked for."""
        own = self.model, self.draws.train, self.draws.seed, self.classifier_settings
        return fit_pair_classifier(*own, device=str(self.latents.device))[0]

    def classifier_for(self, scaling: str) -> PairClassifier | None:
        """The classifier of pairs, where the scaling needs it."""
        return self.pair_classifier if scaling == SPO_PAIRS else None


def fit_learner(
    prepared: Prepared, draws: SeedDraws, learner: str, identity: Identity, session: Session
) -> FittedLearner:
    """Fits one learner on one seed's train answers, or reads the same model again where `session` resumes."""
    plan, reporter = prepared.plan, session.reporter
    name = learners.get(learner).name
    folder = model_folder(plan, learner, draws.seed, session)
    depends_on = _depends_on(prepared, draws, learner, identity)
    title, kept = f"seed {draws.seed}: reward model {name}", None
    if session.resume:
        try:
            kept = _read(prepared, folder, learner, depends_on)
        except InputError as error:
            reporter.line(f"{title} is damaged ({error}): fitted again")
    with reporter.stage(f"{title} is kept" if kept else title) as progress:
        if kept:
            kept[0].meet(draws.everybody)
        model, record = kept or _fit(prepared, draws, learner, depends_on, folder, progress)
        tracked_as = f"{plan.environment.name}/reward_models/{name}/seed_{draws.seed}"
        for number, row in enumerate(() if kept else record["rows"]):
            values = {f"reward/{key}": value for key, value in row.items() if key != "update"}
            session.tracker.scalars(tracked_as, int(row.get("update", number)), values)
        num_answers = plan.experiment.evaluation.num_answers
        sizes = (num_answers,) if model.per_user else CONTEXT_SIZES  # each size fits every user's network anew
        known = (draws.all_context(), draws.targets(), plan.task, num_answers, sizes)
        diagnostics = {} if model.asks_nobody else diagnose(model, *known)
    if _is_unchosen(model, record["rows"]):
        reporter.line("  the last checkpoint is kept: train users kept apart left no answer to choose one by")
    if diagnostics.get("accuracy") is not None:
        updates = int(record["rows"][-1].get("update", 0)) if record["rows"] else 0
        session.tracker.scalars(tracked_as, updates, {"reward/accuracy on test users": diagnostics["accuracy"]})
        reporter.line(f"  accuracy {diagnostics['accuracy']:.3f} on further answers of test users")
    elif diagnostics:
        reporter.line("  accuracy unknown: all further answers of test users are ties or skipped")
    seen = _latents(prepared, draws, model)
    return FittedLearner(draws, model, record["rows"], record["seconds"], diagnostics, *seen, plan.classifier_settings)


def _is_unchosen(model: RewardModel, rows: list[dict[str, float]]) -> bool:
    """Whether a checkpoint should have been chosen by users kept apart (`training.train`) and could not."""
    fraction = getattr(model.settings, "validation_fraction", 0.0)
    return fraction > 0 and any("kept" in row for row in rows) and not any("validation_nll" in row for row in rows)


def model_folder(plan: Plan, learner: str, seed: int, session: Session) -> Path:
    """Where a learner's reward model of one seed is kept."""
    return session.folder / plan.environment.name / "reward_models" / learners.get(learner).name / f"seed_{seed}"


def has_model(prepared: Prepared, draws: SeedDraws, learner: str, identity: Identity, session: Session) -> bool:
    """Whether the reward model that `fit_learner` would fit is there whole."""
    folder = model_folder(prepared.plan, learner, draws.seed, session)
    try:
        return _read(prepared, folder, learner, _depends_on(prepared, draws, learner, identity)) is not None
    except InputError:
        return False


def _depends_on(prepared: Prepared, draws: SeedDraws, learner: str, identity: Identity) -> str:
    name, data = learners.get(learner).name, identity["data"][str(prepared.data_seed)]
    return digest([identity["environment"], identity["learners"][name], data, draws.seed, draws.train.fingerprint])


def _latents(prepared: Prepared, draws: SeedDraws, model: RewardModel) -> tuple[Tensor, NDArray[np.int64], Tensor]:
    """Under which latents the policy sees which transition, and the comparison states."""
    plan, relabel = prepared.plan, prepared.plan.experiment.relabel
    generator = torch.Generator().manual_seed(int(generator_for(draws.seed, "relabelling").integers(2**31)))
    states = draw_comparison_states(prepared.dataset, relabel.num_comparison_states, generator).to(plan.device)
    if model.per_user:  # no policy is trained over its latents
        return torch.zeros(0, model.latent_size), np.zeros(0, dtype=np.int64), states
    context = draws.train.take_queries(np.arange(min(relabel.num_answers, draws.train.num_comparisons)))
    draw = LATENT_DRAWS["even" if model.knows_truth else relabel.latents]  # the truth has no prior, and serves all
    posterior = draw(model, context, states, generator)
    latents, index = draw_latents(posterior, prepared.dataset, generator, num_latents=relabel.num_latents)
    share, best = relabel.hindsight, relabel.hindsight_best
    index = with_hindsight(model, prepared.dataset, latents, index, states, share, generator, best)
    if relabel.comparison_states == "wanted":
        states = draw_wanted_states(model, prepared.dataset, latents, len(states), generator)
    return latents, index, states


def _fit(
    prepared: Prepared, draws: SeedDraws, learner: str, depends_on: str, folder: Path, progress: Progress
) -> tuple[RewardModel, dict[str, Any]]:
    plan = prepared.plan
    record = folder / TRAINING  # written last: where it is, the model is whole
    record.unlink(missing_ok=True)
    start = time.perf_counter()
    model = make_learner(learner, plan.settings_of(learner), device=plan.device, task=plan.task)
    model.meet(draws.everybody)
    rows = checked_fit(model, draws.train, draws.seed, progress)
    model.save(folder)
    write_json(record, {"digest": depends_on, "rows": rows, "seconds": time.perf_counter() - start})
    return model, read_training(record)


def _read(prepared: Prepared, folder: Path, learner: str, depends_on: str) -> tuple[RewardModel, dict[str, Any]] | None:
    """A kept model with its record; None where there is none, or one fitted on something else.

    Raises:
        InputError: it is damaged.
    """
    if not (folder / TRAINING).exists():
        return None
    record = read_training(folder / TRAINING)
    if record["digest"] != depends_on:
        return None
    return load_model(folder, device=prepared.plan.device, task=prepared.plan.task, learner=learner), record
