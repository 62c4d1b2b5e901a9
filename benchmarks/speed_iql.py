"""How fast IQL's updates are, beside `iql.reference` with the same networks in the same process.

The reference is written as most public implementations are: one network per role, autograd, `torch.optim.Adam`, one
loss after another, launched one operation at a time. Both get their batches in the same way, from tensors on the
device.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from pluralbench.iql.data import ReplayData
from pluralbench.iql.learner import Learner
from pluralbench.iql.offline_learner import OfflineLearner
from pluralbench.iql.reference import ReferenceLearner
from pluralbench.iql.runner import Runner
from pluralbench.iql.settings import IQLSettings, Precision


def random_data(runs: int, device: str, num: int = 100_000, state: int = 12, action: int = 2) -> ReplayData:
    """Transitions of the maze's size after its input features, with random contents."""
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(num, state))
    return ReplayData.from_arrays(
        observations,
        rng.uniform(-1, 1, (num, action)),
        observations + 0.1 * rng.normal(size=(num, state)),
        rng.random(num) < 0.01,
        np.zeros(num, bool),
        rng.random((runs, num)),
        device=device,
    )


def measure_updates(
    runs: int = 1, precision: Precision = "float32", device: str = "cpu", rounds: int = 5, seconds: float = 1.0
) -> tuple[float, float]:
    """Median updates per second of ours, summed over the runs, and of the reference.

    They take turns of about `seconds`, `rounds` times. Batch 256, two layers of 256. The reference trains one run
    in float32; `runs` of ours are trained at once.
    """
    settings = IQLSettings()
    plain = _updates(ReferenceLearner(random_data(1, device), settings, [0]))
    ours = _updates(Learner(random_data(runs, device), replace(settings, precision=precision), list(range(runs))))
    rates = []
    for _ in range(rounds + 1):  # the first round warms up
        baseline = _rate(plain, seconds, device)
        rates.append((runs * _rate(ours, seconds, device), baseline))
    return statistics.median(rate for rate, _ in rates[1:]), statistics.median(baseline for _, baseline in rates[1:])


def _updates(learner: OfflineLearner) -> Callable[[int], None]:
    """Runs as many further updates of the learner as it is asked for."""
    runner, done = Runner(learner, list(range(learner.num_runs))), [0]

    def run(count: int) -> None:
        runner.run(done[0], done[0] + count)
        done[0] += count

    return run


def _rate(work: Callable[[int], None], seconds: float, device: str) -> float:
    """Calls per second of `work`, in portions until `seconds` have passed."""
    _synchronise(device)
    began, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        work(25)
        count += 25
        _synchronise(device)
    return count / passed


def _synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
