"""Reward models of one seed: fitted, diagnosed, and written into the dataset."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pluralbench.benchmarks.experiment import Experiment, Method
from pluralbench.benchmarks.preparation import TARGET_PAIRS, Prepared, SeedData, generator_for
from pluralbench.benchmarks.results import read_json, write_json
from pluralbench.envs.environments import Progress
from pluralbench.reward_learning.diagnostics import diagnose
from pluralbench.reward_learning.learners import learner_settings, load_model, make_learner
from pluralbench.reward_learning.pair_classifier import PairClassifier, fit_pair_classifier
from pluralbench.reward_learning.relabelling import draw_latents, relabel
from pluralbench.reward_learning.reward_model import GroupedRewardModel, RewardFunction, RewardModel, latents_of


@dataclass(frozen=True)
class FittedReward:
    """A reward model of one learner and seed, with what is known of it."""

    model: RewardModel
    training: list[dict[str, float]]
    diagnostics: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class RelabelledRun:
    """What an IQL run is given.

    Attributes:
        rewards: (N,), or (K, N) where the method's policy serves K groups.
        latents: (M, Z).
        latent_index: (N,), which of them each transition has.
    """

    rewards: NDArray[np.float32]
    latents: NDArray[np.float32]
    latent_index: NDArray[np.int64]


def settings_of(experiment: Experiment, learner: str) -> dict[str, Any]:
    """A learner's settings: those given to every learner that has them, then its own."""
    known = learner_settings(learner)
    shared: Mapping[str, Any] = experiment.learner_settings.get("*", {})
    own: Mapping[str, Any] = experiment.learner_settings.get(learner, {})
    return {**{key: value for key, value in shared.items() if key in known}, **own}


def fit_reward(
    experiment: Experiment,
    prepared: Prepared,
    data: SeedData,
    learner: str,
    device: str,
    folder: Path,
    resume: bool,
    progress: Progress | None = None,
) -> FittedReward:
    """Fits one learner on one seed's train users and diagnoses it on held-out users.

    The model is kept under `folder`; with `resume` a kept one is loaded instead of being fitted again.
    """
    record = folder / "training.json"  # written last: where it is, the model is whole
    if resume and record.exists():
        model = load_model(folder, device=device, task=prepared.task, learner=learner)
    else:
        record.unlink(missing_ok=True)
        start = time.perf_counter()
        model = make_learner(learner, settings_of(experiment, learner), device=device, task=prepared.task)
        rows = model.fit(data.train, seed=data.seed, progress=progress)
        model.save(folder)
        write_json(record, {"rows": rows, "seconds": time.perf_counter() - start})
    training = read_json(record)
    context_columns = data.held_out.num_comparisons - TARGET_PAIRS
    diagnostics = diagnose(
        model,
        data.held_out.take_queries(np.arange(context_columns)),
        data.held_out.take_queries(np.arange(context_columns, data.held_out.num_comparisons)),
        prepared.task,
        num_answers=experiment.evaluation.num_answers,
    )
    return FittedReward(model, training["rows"], diagnostics, training["seconds"])


def pair_classifier_of(method: Method, model: RewardModel, data: SeedData, device: str) -> PairClassifier | None:
    """The classifier of pairs that the scaling `spo-pairs` needs; None for every other scaling."""
    if method.scaling != "spo-pairs":
        return None
    return fit_pair_classifier(model, data.train, data.seed, device=device)[0]


def rewards_served(method: Method, model: RewardModel) -> dict[str, RewardFunction]:
    """What the method's policy is to maximise, by name: the model's reward, or that of each of its K groups."""
    if method.policy != "maxmin":
        return {method.name: model}
    assert isinstance(model, GroupedRewardModel)  # `Method.parse` has seen to that
    return {f"{method.name} group {group}": reward for group, reward in enumerate(model.group_models())}


def relabel_run(
    experiment: Experiment, prepared: Prepared, data: SeedData, method: Method, model: RewardModel, device: str
) -> RelabelledRun:
    """Rewards of one method for every transition, each trajectory under one latent of a train user."""
    generator = torch.Generator().manual_seed(int(generator_for(data.seed, "relabelling").integers(2**31)))
    context = data.train.take_queries(np.arange(min(experiment.evaluation.num_answers, data.train.num_comparisons)))
    latents, latent_index = draw_latents(
        latents_of(model, context, generator), prepared.dataset, generator, num_latents=experiment.relabel.num_latents
    )
    drawn, classifier = generator.get_state(), pair_classifier_of(method, model, data, device)
    rewards = [
        relabel(
            prepared.dataset,
            reward,
            latents,
            latent_index,
            method.scaling,
            generator=generator.set_state(drawn),  # all groups compare with the same states
            num_comparison_states=experiment.relabel.num_comparison_states,
            pair_classifier=classifier,
        )
        for reward in rewards_served(method, model).values()
    ]
    return RelabelledRun(
        np.stack(rewards) if method.policy == "maxmin" else rewards[0],
        latents.cpu().numpy().astype(np.float32),
        np.asarray(latent_index),
    )
