"""The base of the ways to make policies of rewards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from pluralbench.benchmarks.experiments.methods import Method, policies
from pluralbench.benchmarks.experiments.settings import Experiment
from pluralbench.benchmarks.stages.evaluate import ActionsError
from pluralbench.benchmarks.stages.ledger import Ledger
from pluralbench.benchmarks.stages.prepare import Prepared
from pluralbench.benchmarks.stages.runs import Run
from pluralbench.benchmarks.stages.session import Session
from pluralbench.envs import Environment
from pluralbench.plugins import PluginError, name_of


class PolicyStage(ABC):
    """One way to make policies of rewards: `policies.register(name, YourStage)`, or `learner@file.py:YourStage`."""

    name: str  # what stands after `@` in a method's name
    version: int = 1  # a new number when the same rewards and seed give another policy
    serves_groups: bool = False  # it maximises the rewards of a model's K groups, `run.rewards`, instead of one
    spans_latents: bool = False  # one policy is trained for all latents
    asks_nobody: bool = False  # it looks at no reward; its name alone is a method

    @classmethod  # noqa: B027 (suits all)
    def check(cls, experiment: Experiment, environment: Environment, method: Method) -> None:
        """Raises ExperimentError where environment or settings do not suit it."""

    def parts(self, prepared: Prepared, runs: Sequence[Run]) -> list[list[Run]]:
        """Runs of this policy that must be trained together; different parts may be trained on different machines."""
        return [list(runs)] if runs else []

    @abstractmethod
    def train(self, prepared: Prepared, runs: Sequence[Run], session: Session, ledger: Ledger) -> None:
        """Makes and evaluates a policy for every run, and hands each to `ledger.finish`.

        Args:
            prepared: plan and dataset.
            runs: all runs of this policy; those that `ledger.is_finished` may be left out.
            session: where checkpoints may go, whether to go on from them, and who is told of progress.
            ledger: writes a finished run.
        """


def train_policies(policy: str, prepared: Prepared, runs: Sequence[Run], session: Session, ledger: Ledger) -> None:
    """Trains one policy's runs: `PolicyStage.train`, and a look at what it did.

    Raises:
        PluginError: its policies give what are no actions, or it leaves a run unfinished.
    """
    stage = policies.get(policy)
    try:
        stage().train(prepared, runs, session, ledger)
    except ActionsError as error:
        raise PluginError(f"{name_of(stage)}: its policy {error}") from error
    if left := ledger.unfinished(runs):
        which = ", ".join(f"{run.method.name} seed {run.seed}" for run in left)
        raise PluginError(f"{name_of(stage)}.train did not finish {which}; it hands every run to ledger.finish")
