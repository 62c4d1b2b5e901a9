"""Seeds with datasets of their own: which, kept apart, joined, and never beside seeds that share one."""

import pytest

from pluralbench.benchmarks.commands.arguments import Parser, add_experiment, changes_of, suite_name
from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.benchmarks.experiments.settings import ExperimentError
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.benchmarks.results import read_success_rates, seed_folder
from pluralbench.benchmarks.stages.pipeline import run_experiment
from pluralbench.benchmarks.stages.prepare import data_seeds
from pluralbench.benchmarks.stages.record import begin
from pluralbench.benchmarks.stages.session import Session
from pluralbench.files import read_json

pytestmark = pytest.mark.usefixtures("no_rollouts", "few_answers")
NAME, METHODS = "habitat-rearrange", ("btl", "bc")


def plan_of(seeds, **changes):
    settings = {"methods": METHODS, "seeds": seeds, "data_seed": 3, "data_per_seed": True, **changes}
    return make_plan(experiment_for(NAME, "smoke", settings))


def run(plan, folder, data_dir, resume=False):
    return run_experiment(plan, Session(folder, resume, data_dir, Reporter(quiet=True)))


def numbers(folder, seed):
    """Everything that one seed's runs wrote of success and training."""
    rates = [rate for rate in read_success_rates(folder) if rate.seed == seed]
    files = [seed_folder(folder, NAME, method, seed) / "metrics.csv" for method in METHODS]
    return rates, [file.read_bytes() for file in files]


def written(folder, seed):
    files = [seed_folder(folder, NAME, method, seed) / "summary.json" for method in METHODS]
    files.append(folder / NAME / "reward_models/btl" / f"seed_{seed}" / "training.json")
    return [file.stat().st_mtime_ns for file in files]


@pytest.fixture(scope="module")
def joined(tmp_path_factory, data_dir):
    """A folder of one seed that a resumed run joins with another, and when the first seed's files were written."""
    folder = tmp_path_factory.mktemp("joined")
    run(plan_of((0,)), folder, data_dir)
    before = written(folder, 0)
    return run(plan_of((0, 1)), folder, data_dir, resume=True), before


def test_each_seed_has_the_dataset_of_data_seed_plus_seed():
    assert data_seeds(plan_of((0, 7))) == {3: [0], 10: [7]}
    assert data_seeds(plan_of((0, 7), data_per_seed=False)) == {3: [0, 7]}


def test_seeds_learn_from_different_transitions_and_ask_about_different_episodes(tmp_path, data_dir):
    drawn, identity = begin(plan_of((0, 1)), Session(tmp_path, False, data_dir, Reporter(quiet=True)))
    (first, [a]), (second, [b]) = drawn
    assert (a.seed, b.seed) == (0, 1)
    assert (first.data_seed, second.data_seed) == (3, 4)
    assert (first.dataset.observations != second.dataset.observations).any()
    assert first.held_out_episodes.tolist() != second.held_out_episodes.tolist()
    assert len(set(identity["data"].values())) == 2


def test_a_resumed_run_joins_seeds_and_repeats_none(joined):
    folder, before = joined
    assert written(folder, 0) == before
    record = read_json(folder / NAME / "experiment.json")
    assert record["seeds"] == [0, 1]
    assert set(record["identity"]["data"]) == {"3", "4"}
    assert {(rate.method, rate.seed) for rate in read_success_rates(folder)} == {
        (m, s) for m in METHODS for s in (0, 1)
    }


def test_a_seeds_files_name_its_own_data_alone(joined):
    found = [read_json(seed_folder(joined[0], NAME, "bc", seed) / "config.json")["identity"] for seed in (0, 1)]
    assert [list(identity["data"]) for identity in found] == [["3"], ["4"]]
    assert [list(identity["users"]) for identity in found] == [["0"], ["1"]]
    assert all(identity["settings"]["data_per_seed"] for identity in found)


def test_a_seed_alone_on_its_dataset_gives_the_same_numbers(joined, tmp_path, data_dir):
    alone = run(plan_of((1,), data_per_seed=False, data_seed=4), tmp_path, data_dir)
    assert numbers(alone, 1) == numbers(joined[0], 1)


def test_seeds_that_share_a_dataset_are_another_experiment(joined, data_dir):
    with pytest.raises(ExperimentError, match=r"data_per_seed \(there True, here False\)"):
        run(plan_of((0,), data_per_seed=False), joined[0], data_dir, resume=True)


def test_they_go_into_a_folder_of_their_own():
    parser = Parser()
    add_experiment(parser)
    options = parser.parse_args(["--preset", "smoke", "--data-per-seed", "--seed-list", "7", "8"])
    assert changes_of(options) == {"seeds": (7, 8), "data_per_seed": True}
    assert suite_name(options, None) == "smoke-data-per-seed"
