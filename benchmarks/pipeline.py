"""Joins the four packages: data, users and answers, reward models, policies, results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pluralbench.benchmarks import results
from pluralbench.benchmarks.experiment import Experiment
from pluralbench.benchmarks.film import film_users
from pluralbench.benchmarks.greedy import evaluate_greedy, greedy_policy
from pluralbench.benchmarks.policies import Run, TrainedRun, policy_of_users, stack_name, stacks_of, train_stack
from pluralbench.benchmarks.preparation import Prepared, SeedData, prepare, resolve, seed_data
from pluralbench.benchmarks.progress import Reporter
from pluralbench.benchmarks.reward_maps import latent_rows, reward_maps, save_latents, save_reward_maps
from pluralbench.benchmarks.rewards import FittedReward, fit_reward, settings_of


def run_experiment(
    experiment: Experiment,
    out: Path,
    device: str = "cpu",
    data_dir: Path | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Path:
    """Runs every method and seed of an experiment and writes its results.

    Args:
        experiment: what to run.
        out: results go to `out/<suite>`.
        device: where networks live.
        data_dir: where datasets are kept; the user's cache folder by default.
        resume: go on from what an interrupted run with the same settings left.
        reporter: told of progress.

    Returns:
        The suite's folder.
    """
    reporter = reporter or Reporter()
    resolve(experiment)
    suite_folder = out / experiment.suite
    prepared = prepare(experiment, data_dir, reporter)
    unchanged = _same_experiment(experiment, suite_folder)
    resume = resume and unchanged
    runs: list[Run] = []
    fitted: dict[tuple[str, int], FittedReward] = {}
    maps: dict[str, dict[str, Any]] = {}
    latents: dict[str, dict[str, Any]] = {}
    for seed in range(experiment.num_seeds):
        data = seed_data(experiment, prepared, seed)
        for method in experiment.parsed_methods:
            key = (method.learner, seed)
            if key not in fitted:
                fitted[key] = _fit(experiment, prepared, data, method.learner, device, suite_folder, resume, reporter)
                if seed == 0:
                    latents[method.learner] = latent_rows(fitted[key].model, data, experiment.evaluation.num_answers)
            model = fitted[key].model
            users = data.held_out.take_users(data.evaluation_rows)
            posterior = model.infer(users.take_queries(np.arange(experiment.evaluation.num_answers)))
            runs.append(Run(method, data, model, posterior.mean, users.goals))
            if seed == 0:
                maps.update(reward_maps(prepared, data, method, model, posterior.mean, experiment))
    save_latents(suite_folder / f"{experiment.environment}-latents.npz", latents)
    save_reward_maps(suite_folder / f"{experiment.environment}-reward-maps.npz", maps)
    if experiment.policy == "greedy":
        with reporter.stage("greedy policies") as progress:
            trained = evaluate_greedy(experiment, prepared, runs, progress)
        for result in trained:
            write_run(experiment, prepared, result, fitted, device, suite_folder, reporter)
            if _is_shown(experiment, result.run):
                act = greedy_policy(experiment, prepared, result.run)
                _film(experiment, prepared, result.run, act, 0, suite_folder, reporter)
        return suite_folder
    for stack in stacks_of(runs):
        _train_and_write(experiment, prepared, stack, fitted, device, suite_folder, resume, reporter)
    return suite_folder


def _fit(
    experiment: Experiment,
    prepared: Prepared,
    data: SeedData,
    learner: str,
    device: str,
    suite_folder: Path,
    resume: bool,
    reporter: Reporter,
) -> FittedReward:
    folder = suite_folder / experiment.environment / "reward_models" / learner.rpartition(":")[2] / f"seed_{data.seed}"
    with reporter.stage(f"seed {data.seed}: reward model {learner}") as progress:
        fitted = fit_reward(experiment, prepared, data, learner, device, folder, resume, progress)
    accuracy = fitted.diagnostics["accuracy"]
    reporter.say(f"  held-out accuracy {accuracy:.3f} for new users")
    return fitted


def _same_experiment(experiment: Experiment, suite_folder: Path) -> bool:
    """Whether what lies there was made with the same settings; if not, nothing of it is reused."""
    path = suite_folder / experiment.environment / "experiment.json"
    same = path.exists() and results.read_json(path) == experiment.as_dict()
    results.write_json(path, experiment.as_dict())
    return same


def _train_and_write(
    experiment: Experiment,
    prepared: Prepared,
    stack: Sequence[Run],
    fitted: dict[tuple[str, int], FittedReward],
    device: str,
    suite_folder: Path,
    resume: bool,
    reporter: Reporter,
) -> None:
    names = stack_name(stack)
    checkpoints = suite_folder / experiment.environment / "checkpoints" / names.replace(" ", "_")
    with reporter.stage(f"policies of {names}, {len(stack)} runs together") as progress:
        policy, trained = train_stack(experiment, prepared, stack, device, checkpoints, resume, progress)
    for position, result in enumerate(trained):
        folder = write_run(experiment, prepared, result, fitted, device, suite_folder, reporter)
        policy.of_run(position).save(folder / "policy")
    act = policy_of_users(policy, stack, device)
    for position, run in enumerate(stack):
        if _is_shown(experiment, run):
            _film(experiment, prepared, run, act, position * len(run.goals), suite_folder, reporter)


def _is_shown(experiment: Experiment, run: Run) -> bool:
    """Pictures are made of the first seed of the method named last, in the literals the one that the suite is about."""
    return run.data.seed == 0 and run.method.name == experiment.parsed_methods[-1].name


def _film(
    experiment: Experiment,
    prepared: Prepared,
    run: Run,
    act: Callable[..., Any],
    first_job: int,
    suite_folder: Path,
    reporter: Reporter,
) -> None:
    """One episode of a user of each group, in pictures; `first_job` is the job of the run's first user."""
    users = run.data.held_out.take_users(run.data.evaluation_rows)
    _, rows = np.unique(users.group_index, return_index=True)
    goals = np.zeros((first_job + len(run.goals), run.goals.shape[1]))
    goals[first_job:] = run.goals
    names = [prepared.task.goal_name(run.goals[row]) for row in rows]
    stem = suite_folder / f"{experiment.environment}-episodes"
    with reporter.stage("pictures of episodes"):
        title = f"{experiment.environment}, {run.method.name}: one episode for each user, from the same start"
        film_users(prepared.environment, act, goals, names, [first_job + int(row) for row in rows], stem, title)


def write_run(
    experiment: Experiment,
    prepared: Prepared,
    result: TrainedRun,
    fitted: dict[tuple[str, int], FittedReward],
    device: str,
    suite_folder: Path,
    reporter: Reporter,
) -> Path:
    """Writes config.json, metrics.csv, summary.json and the rows of success_rates.csv; returns the run's folder."""
    run, outcome = result.run, result.outcome
    reward = fitted[run.method.learner, run.data.seed]
    users = run.data.held_out.take_users(run.data.evaluation_rows)
    groups = [users.group_names[index] for index in users.group_index]
    folder = results.seed_folder(suite_folder, experiment.environment, run.method.name, run.data.seed)
    results.write_json(
        folder / "config.json",
        {
            "experiment": replace(experiment, methods=(run.method.name,)).as_dict(),
            "seed": run.data.seed,
            "learner_settings": settings_of(experiment, run.method.learner),
            **results.provenance(device),
        },
    )
    rows = [("reward", float(row.get("update", i)), key, value)
            for i, row in enumerate(reward.training) for key, value in row.items() if key != "update"]  # fmt: skip
    rows += [("policy", float(step), key, value) for step, metrics in result.metrics for key, value in metrics.items()]
    for step, point in result.curve:
        rows += [("success", float(step), f"user {u}", float(v)) for u, v in zip(users.user_ids, point, strict=True)]
        rows.append(("success", float(step), "mean", float(point.mean())))
    rows += [("answers", float(num), "mean", float(rates.mean())) for num, rates in result.by_answers]
    results.write_metrics(folder / "metrics.csv", rows)
    successes = [
        results.SuccessRate(
            experiment.environment, prepared.population.name, run.method.name, run.data.seed,
            int(user), group, experiment.evaluation.episodes, int(count),
        )
        for user, group, count in zip(users.user_ids, groups, outcome.successes, strict=True)
    ]  # fmt: skip
    results.write_json(
        folder / "summary.json",
        {
            "success_rate": float(np.mean([rate.success_rate for rate in successes])),
            "users": [
                {"user": r.user, "group": r.group, "goal": prepared.task.goal_name(goal),
                 "success_rate": r.success_rate, "mean_steps": float(outcome.mean_steps[row]),
                 **{name: float(values[row]) for name, values in outcome.infos.items()}}
                for row, (r, goal) in enumerate(zip(successes, run.goals, strict=True))
            ],
            "episodes_that_raised": [message for _, message in outcome.errors],
            "policy": result.metrics[-1][1] if result.metrics else {},
            "reward_model": reward.diagnostics,
            "seconds": {"reward_model": reward.seconds, "policy_share_of_its_stack": result.seconds},
        },
    )  # fmt: skip
    results.merge_success_rates(suite_folder, successes)
    for message in dict.fromkeys(message for _, message in outcome.errors):
        reporter.say(f"  {run.method.name} seed {run.data.seed}: an episode raised and counts as a failure: {message}")
    return folder
