"""`python -m benchmarks active`: success against the number of questions, chosen at random or for what they tell.

The paper's active learning (VPL, section 4.2), in the household tasks, where users agree about much and many questions
therefore tell nothing. The reward model is the preset's; only the questions to new users differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from pluralbench.benchmarks import results
from pluralbench.benchmarks.evaluation import run_episodes
from pluralbench.benchmarks.experiment import Experiment, ExperimentError, Method
from pluralbench.benchmarks.greedy import greedy_policy
from pluralbench.benchmarks.policies import Run
from pluralbench.benchmarks.preparation import (
    TARGET_PAIRS,
    Prepared,
    SeedData,
    generator_for,
    held_out_users,
    prepare,
    resolve,
    seed_data,
)
from pluralbench.benchmarks.progress import Reporter
from pluralbench.benchmarks.rewards import fit_reward
from pluralbench.benchmarks.style import STYLE, line_style, save
from pluralbench.benchmarks.suites import experiment_for
from pluralbench.envs.multigoal import ForeseeingTask
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.preference_oracles.question_bank import question_bank
from pluralbench.reward_learning.active_queries import answer_table, best_next, best_set, mixture_samples
from pluralbench.reward_learning.answering import answer_probabilities
from pluralbench.reward_learning.reward_model import Posterior, RewardModel

METHOD = Method.parse("vpl")
NUM_QUESTIONS = (1, 2, 3, 4, 6, 8)
WAYS = ("random", "best set", "one after another")
"""Ways of choosing questions: at random; the paper's set, chosen before anybody has answered; each after the last."""
BANK_SIZE = 100
"""Questions to choose from."""
NUM_SETS = 200
"""Random sets of which the best is asked."""
EPISODES = 5
"""For every new user at every point: whether the user is understood decides, hardly ever the start."""
NUM_LATENTS = 128
"""Latents that stand for what is known of a person."""


@dataclass(frozen=True)
class Point:
    """New users known by so many answers to questions chosen in one way.

    Attributes:
        way: one of `WAYS`.
        questions: how many were asked.
        seed: of users, answers and reward model.
        accuracy: share of further answers of theirs that the model foresees.
        success_rates: of the greedy policy, for each user.
    """

    way: str
    questions: int
    seed: int
    accuracy: float
    success_rates: tuple[float, ...]


def run_active(
    environment: str, preset: str, out: Path, device: str, data_dir: Path | None, resume: bool, reporter: Reporter
) -> Path:
    """Runs the experiment and draws its figure; returns the figure."""
    experiment = experiment_for(environment, preset)
    if not isinstance(resolve(experiment)[1], ForeseeingTask):
        raise ExperimentError(f"active acts by one greedy step; {environment} does not foresee what actions lead to")
    prepared = prepare(experiment, data_dir, reporter)
    folder = out / f"active-{preset}"
    points: list[Point] = []
    for seed in range(experiment.num_seeds):
        data = seed_data(experiment, prepared, seed)
        with reporter.stage(f"seed {seed}: reward model {METHOD.learner}") as progress:
            kept = folder / environment / "reward_models" / METHOD.learner / f"seed_{seed}"
            model = fit_reward(experiment, prepared, data, METHOD.learner, device, kept, resume, progress).model
        with reporter.stage(f"seed {seed}: questions and policies"):
            points += _points(experiment, prepared, data, model)
    record = {"experiment": experiment.as_dict(), "points": [asdict(point) for point in points]}
    results.write_json(folder / f"{environment}.json", {**record, **results.provenance(device)})
    return draw_active(points, folder / environment, environment)


def _points(experiment: Experiment, prepared: Prepared, data: SeedData, model: RewardModel) -> list[Point]:
    users = held_out_users(experiment, prepared, data.seed)
    bank = question_bank(
        prepared.task,
        prepared.dataset,
        users,
        BANK_SIZE,
        experiment.preferences.segment_length,
        seed=int(generator_for(data.seed, "question bank").integers(2**31)),
        episodes=prepared.held_out_episodes,
    )
    anybody = model.infer(data.train.take_queries(slice(0, experiment.evaluation.num_answers)))
    chosen = choose_questions(model, bank, anybody, NUM_QUESTIONS, data.seed)
    targets = data.held_out.take_queries(slice(data.held_out.num_comparisons - TARGET_PAIRS, None))
    decided = targets.mask & (targets.labels != 0.5)
    goals = data.held_out.goals
    points = []
    for (way, questions), columns in chosen.items():
        means = model.infer(bank.take_queries(columns)).mean
        right = (answer_probabilities(model, targets, means) > 0.5) == (targets.labels > 0.5)
        act = greedy_policy(experiment, prepared, Run(METHOD, data, model, means, goals))
        outcome = run_episodes(prepared.environment, act, goals, EPISODES, seed=data.seed)
        rates = tuple(map(float, outcome.success_rates))
        points.append(Point(way, questions, data.seed, float(right[decided].mean()), rates))
    return points


def choose_questions(
    model: RewardModel, bank: PreferenceDataset, anybody: Posterior, numbers: Sequence[int], seed: int
) -> dict[tuple[str, int], NDArray[np.int64]]:
    """The questions (U, Q) that each user of the bank is asked, for each way and each number of questions.

    Args:
        model: whose posterior decides what is informative.
        bank: what each user would answer to each question.
        anybody: posteriors of train users; the mixture of them is what is known of somebody who has not answered.
        numbers: of questions.
        seed: of all that is drawn.
    """
    num_users, most = bank.num_users, max(numbers)
    generator = torch.Generator().manual_seed(seed)
    questions = torch.from_numpy(np.array(bank.segments[0])).to(anybody.mean.device)  # (C, 2, T, S)
    table = answer_table(model, questions, mixture_samples(anybody, NUM_LATENTS, generator))
    shuffled = np.random.default_rng(seed).permuted(np.tile(np.arange(bank.num_comparisons), (num_users, 1)), axis=1)
    asked = np.full((num_users, 1), best_next(table, torch.empty(0, dtype=torch.int64)))
    while asked.shape[1] < most:
        known = model.infer(bank.take_queries(asked))
        following = np.empty((num_users, 1), dtype=np.int64)
        for user in range(num_users):
            own = Posterior(known.mean[user : user + 1], known.log_var[user : user + 1])
            own_table = answer_table(model, questions, mixture_samples(own, NUM_LATENTS, generator))
            following[user] = best_next(own_table, torch.from_numpy(asked[user]))
        asked = np.concatenate([asked, following], axis=1)
    chosen: dict[tuple[str, int], NDArray[np.int64]] = {}
    for number in numbers:
        chosen["random", number] = shuffled[:, :number]
        chosen["best set", number] = np.tile(best_set(table, number, NUM_SETS, generator).numpy(), (num_users, 1))
        chosen["one after another", number] = asked[:, :number]
    return chosen


def draw_active(points: Sequence[Point], stem: Path, environment: str) -> Path:
    """Success and accuracy against the number of questions: means as lines, the seeds' range as bands."""
    with mpl.rc_context(STYLE):
        figure, panels = plt.subplots(1, 2, figsize=(8.0, 3.0))
        numbers = sorted({point.questions for point in points})
        for position, way in enumerate(WAYS):
            own = [point for point in points if point.way == way]
            seeds = sorted({point.seed for point in own})
            by_seed = {(point.seed, point.questions): point for point in own}
            success = [[np.mean(by_seed[seed, number].success_rates) for number in numbers] for seed in seeds]
            accuracy = [[by_seed[seed, number].accuracy for number in numbers] for seed in seeds]
            for axes, values in zip(panels, (np.array(success), np.array(accuracy)), strict=True):
                style = line_style(position)
                axes.plot(numbers, values.mean(0), marker="o", markersize=3, label=way, **style)
                axes.fill_between(numbers, values.min(0), values.max(0), color=style["color"], alpha=0.15, linewidth=0)
        for axes, label in zip(panels, ("success rate", "accuracy on further answers"), strict=True):
            axes.set_xlabel("questions to the new user")
            axes.set_ylabel(label)
            axes.set_ylim(-0.02, 1.04)
        panels[0].set_title(f"{environment}, {METHOD.name}: mean over users, band: seeds", loc="left", fontsize=8.5)
        panels[1].legend(title="questions", loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, title_fontsize=8)
        figure.subplots_adjust(wspace=0.3)
        return save(figure, stem)
