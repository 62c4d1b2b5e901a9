"""Active queries: success against the number of questions, chosen at random or for what they tell.

VPL's active learning (section 4.2), for the tasks where users agree about much, so that many questions tell nothing.
The reward model is the preset's; only the questions to test users differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pluralbench.benchmarks.experiments.methods import Method
from pluralbench.benchmarks.experiments.plan import Plan
from pluralbench.benchmarks.provenance import provenance
from pluralbench.benchmarks.results.folder_lock import folder_lock
from pluralbench.benchmarks.stages.evaluate import FINAL, run_episodes
from pluralbench.benchmarks.stages.fit import FittedLearner, fit_learner
from pluralbench.benchmarks.stages.immediate_policies import greedy_policy
from pluralbench.benchmarks.stages.prepare import Prepared, generator_for
from pluralbench.benchmarks.stages.record import begin, check_before_work
from pluralbench.benchmarks.stages.runs import Run
from pluralbench.benchmarks.stages.session import Session
from pluralbench.files import write_json
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.preference_oracles.question_bank import question_bank
from pluralbench.reward_learning.active_queries import answer_table, best_next, best_set, mixture_samples
from pluralbench.reward_learning.answering import answer_probabilities
from pluralbench.reward_learning.diagnostic_measures import correctness
from pluralbench.reward_learning.reward_model import Posterior, RewardModel

NUM_QUESTIONS = (1, 2, 3, 4, 6, 8)
WAYS = ("random", "batch", "sequential")
"""Ways of choosing questions: at random; the paper's set, chosen before any answer; each after the last answer."""
BANK_SIZE = 100
"""Questions to choose from."""
NUM_SETS = 200
"""Random sets of which the best is asked."""
EPISODES = 5
"""For every test user at every point: whether the user is understood decides, hardly ever the start."""
NUM_LATENTS = 128
"""Latents that stand for what is known of a user."""


@dataclass(frozen=True)
class Point:
    """Test users known by so many answers to questions chosen in one way."""

    way: str  # one of `WAYS`
    questions: int  # how many were asked
    seed: int  # of users, answers and reward model
    accuracy: float  # share of further answers of theirs that the model predicts; NaN where all of them are ties
    success_rates: tuple[float, ...]  # of the greedy policy, for each user


def run_active(plan: Plan, session: Session) -> list[Point]:
    """Runs the experiment with the plan's first method, which is greedy, and writes `<environment>-active.json`.

    Raises:
        ExperimentError: the folder holds another experiment.
        FolderInUseError: another process works there.
    """
    with folder_lock(session.folder, session.reporter.line):
        return _run(plan, session)


def _run(plan: Plan, session: Session) -> list[Point]:
    environment, method = plan.environment, plan.methods[0]
    check_before_work(session.folder, plan, session.resume)
    drawn, identity = begin(plan, session)
    points: list[Point] = []
    for prepared, draws in drawn:
        for own in draws:
            fitted = fit_learner(prepared, own, method.learner, identity, session)
            with session.reporter.stage(f"seed {own.seed}: questions and policies"):
                points += _points(prepared, fitted, method)
    record = {"identity": identity, "method": method.name, "points": [asdict(point) for point in points]}
    write_json(session.folder / f"{environment.name}-active.json", {**record, **provenance(plan.device)})
    return points


def _points(prepared: Prepared, fitted: FittedLearner, method: Method) -> list[Point]:
    plan, draws, model = prepared.plan, fitted.draws, fitted.model
    settings = plan.experiment.preferences
    bank = question_bank(
        plan.task,
        prepared.dataset,
        draws.test_users,
        BANK_SIZE,
        settings.segment_length,
        seed=int(generator_for(draws.seed, "question bank").integers(2**31)),
        episodes=prepared.held_out_episodes,
    )
    known = model.infer(draws.train.take_queries(slice(0, plan.experiment.relabel.num_answers)))
    targets = draws.targets()
    points = []
    for (way, questions), columns in choose_questions(model, bank, known, NUM_QUESTIONS, draws.seed).items():
        means = model.infer(bank.take_queries(columns)).mean
        act = greedy_policy(plan.environment, Run(method, fitted, questions), means)
        outcome = run_episodes(plan.environment, act, draws.test_users.goals, EPISODES, FINAL, draws.start_seeds)
        rates = tuple(map(float, outcome.success_rates))
        points.append(Point(way, questions, draws.seed, accuracy(model, targets, means), rates))
    return points


def accuracy(model: RewardModel, targets: PreferenceDataset, latents: Tensor) -> float:
    """Share of the decided answers that the model calls right for latents (U, Z); NaN where all of them are ties."""
    decided = targets.mask & (targets.labels != 0.5)
    right = correctness(answer_probabilities(model, targets, latents), targets.labels)
    return float(right[decided].mean()) if decided.any() else float("nan")


def choose_questions(
    model: RewardModel, bank: PreferenceDataset, train_posterior: Posterior, numbers: Sequence[int], seed: int
) -> dict[tuple[str, int], NDArray[np.int64]]:
    """The questions (U, Q) that each user of the bank is asked, for each way and each number of questions.

    Args:
        model: whose posterior decides what is informative.
        bank: what each user would answer to each question.
        train_posterior: posteriors of train users; their mixture is what is known of a user who has not answered.
        numbers: of questions.
        seed: of all that is drawn.
    """
    num_users, max_number = bank.num_users, max(numbers)
    generator = torch.Generator().manual_seed(seed)
    questions = torch.from_numpy(np.array(bank.segments[0])).to(train_posterior.mean.device)  # (C, 2, T, S)
    table = answer_table(model, questions, mixture_samples(train_posterior, NUM_LATENTS, generator))
    shuffled = np.random.default_rng(seed).permuted(np.tile(np.arange(bank.num_comparisons), (num_users, 1)), axis=1)
    asked = np.full((num_users, 1), best_next(table, torch.empty(0, dtype=torch.int64)))
    while asked.shape[1] < max_number:
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
        chosen["batch", number] = np.tile(best_set(table, number, NUM_SETS, generator).numpy(), (num_users, 1))
        chosen["sequential", number] = asked[:, :number]
    return chosen
