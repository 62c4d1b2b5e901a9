"""Offline-RL robotics benchmarks for robots that serve many different people.

Importing it registers the Gymnasium ids as soon as Gymnasium is imported too, before or after it. An experiment
from Python:

    plan = pluralbench.make_plan(pluralbench.experiment_for("maze", "smoke", {"methods": ("vpl+spo",)}))
    folder = pluralbench.run_experiment(plan, pluralbench.Session(Path("results/mine")))
"""

from pluralbench.lazy import lazily, when_imported

__version__ = "0.2.0"

__getattr__ = lazily(
    __name__,
    {
        "experiment_for": "pluralbench.benchmarks.experiments.presets",
        "make_plan": "pluralbench.benchmarks.experiments.plan",
        "run_experiment": "pluralbench.benchmarks.stages.pipeline",
        "Session": "pluralbench.benchmarks.stages.session",
        "environments": "pluralbench.envs",
        "get_population": "pluralbench.preference_oracles",
        "collect_preferences": "pluralbench.preference_oracles",
        "make_learner": "pluralbench.reward_learning.learners",
    },
)
"""Public names, imported when they are first asked for, with where they are."""


def _register_ids() -> None:
    from pluralbench.envs.gymnasium_ids import register

    register()


when_imported("gymnasium", _register_ids)
