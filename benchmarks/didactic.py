"""The didactic experiment: on a line, where everything can be seen, what does each learner make of disagreement?

    pluralbench didactic

Above, four groups of users who want four different places (after VPL's didactic experiment); below, DPL's own example,
where outcomes above 0.8 are worth double or nothing. Rewards have no unit, so those of `btl` and `vpl` are shown as the
chance of being preferred to a point drawn uniformly, next to the true chance.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from pluralbench.benchmarks.experiments.settings import MOST_COMPARISONS, ExperimentError
from pluralbench.benchmarks.figures.didactic import draw_didactic
from pluralbench.benchmarks.provenance import provenance
from pluralbench.files import write_json
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.progress import Progress
from pluralbench.ranges import LARGEST, MOST, MOST_LAYERS, WIDEST_LAYER, check_number, check_whole
from pluralbench.reward_learning import didactic
from pluralbench.reward_learning.learners import make_learner
from pluralbench.reward_learning.reward_model import RewardModel

Float = NDArray[np.float64]
Found = tuple[dict[str, Any], dict[str, Float]]
"""What didactic.json holds of one example, and the curves of its figure."""
POINTS = np.linspace(0.0, 1.0, 201)
INPUTS = torch.from_numpy(POINTS)[:, None].float()  # (N, 1)


@dataclass(frozen=True)
class DidacticSettings:
    """Settings of the experiment."""

    num_users: int = 2000  # train users of either example
    num_comparisons: int = 16  # answers of each
    num_new_users: int = 200  # users who are only met afterwards
    num_further: int = 48  # further answers of each new user, on which accuracy is measured
    hidden_size: int = 64  # units of every layer
    num_layers: int = 3  # hidden layers
    learning_rate: float = 3e-3  # of Adam
    num_updates: int = 600  # gradient steps of each learner
    vpl_updates: int = 2000  # of `vpl`, which has an encoder to learn as well

    def __post_init__(self) -> None:
        counts = ("num_users", "num_new_users", "num_further", "num_updates", "vpl_updates")
        check_whole(ExperimentError, self, 1, MOST, *counts)
        check_whole(ExperimentError, self, 1, MOST_COMPARISONS, "num_comparisons")
        check_whole(ExperimentError, self, 1, WIDEST_LAYER, "hidden_size")
        check_whole(ExperimentError, self, 1, MOST_LAYERS, "num_layers")
        check_number(ExperimentError, self, 0, LARGEST, "learning_rate", above=True)

    def learner(self, name: str) -> dict[str, Any]:
        """Settings of one learner."""
        shared = {key: getattr(self, key) for key in ("hidden_size", "num_layers", "learning_rate")}
        return {**shared, "num_updates": self.vpl_updates if name == "vpl" else self.num_updates}


def run_didactic(
    out: Path, seed: int, device: str, progress: Progress | None = None, settings: DidacticSettings | None = None
) -> dict[str, Any]:
    """Runs both examples; writes `didactic.json`, `didactic.png` and `didactic.pdf` into `out`.

    Args:
        out: folder, made where it is missing.
        seed: of the users, their answers and the networks.
        device: where the networks live.
        progress: called with (gradient steps done, in all).
        settings: the defaults take under a minute on two cores.

    Returns:
        What `didactic.json` holds.
    """
    settings = settings or DidacticSettings()
    start = time.perf_counter()
    budget = _Budget(5 * settings.num_updates + settings.vpl_updates, progress)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks this small only lose time to several, all of it where other work runs beside
    try:
        gaussians, gaussian_curves = _gaussians(settings, seed, device, budget)
        context, context_curves = _hidden_context(settings, seed, device, budget)
    finally:
        torch.set_num_threads(num_threads)
    summary = {
        **provenance(device),
        "command": f"pluralbench didactic --seed {seed}",
        "seed": seed,
        "settings": asdict(settings),
        "seconds": round(time.perf_counter() - start, 1),
        "four_gaussians": gaussians,
        "hidden_context": context,
    }
    write_json(out / "didactic.json", summary)
    draw_didactic(gaussian_curves, context_curves, out / "didactic")
    return summary


class _Budget:
    """Adds the learners' progress up."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def fit(self, name: str, preferences: PreferenceDataset, settings: DidacticSettings, seed: int, device: str) -> Any:
        own = settings.learner(name)

        def report(done: int, _: int) -> None:
            if self._progress is not None:
                self._progress(self._done + done, self._total)

        model = make_learner(name, own, device)
        model.fit(preferences, seed, report)
        self._done += own["num_updates"]
        return model


def _gaussians(settings: DidacticSettings, seed: int, device: str, budget: _Budget) -> Found:
    generators = [np.random.default_rng(child) for child in np.random.SeedSequence([seed, 1]).spawn(2)]
    train = didactic.gaussian_preferences(settings.num_users, settings.num_comparisons, generators[0])
    count = settings.num_comparisons + settings.num_further
    new = didactic.gaussian_preferences(settings.num_new_users, count, generators[1])
    context = new.take_queries(slice(0, settings.num_comparisons))
    further = new.take_queries(slice(settings.num_comparisons, None))

    utilities = didactic.gaussian_utilities(POINTS)
    truth = np.stack([_chance(didactic.RATIONALITY * row) for row in utilities])  # (4, N)
    curves: dict[str, Float] = {"points": POINTS, "utilities": utilities, "true_chance": truth}
    summary: dict[str, Any] = {"best_possible_accuracy": _best_accuracy(further)}
    for name in ("btl", "dpl-meanvar", "vpl"):
        model = budget.fit(name, train, settings, seed, device)
        latents = model.infer(context).mean
        rewards = _rewards(model, latents)  # (U, N)
        chances = np.stack([_chance(row) for row in rewards])
        groups = np.stack([chances[new.group_index == group].mean(0) for group in range(len(truth))])
        summary[name] = {
            "accuracy_on_further_answers": _accuracy(model, further, latents),
            "correlation_with_each_group": [float(np.corrcoef(a, b)[0, 1]) for a, b in zip(groups, truth, strict=True)],
            "best_place_for_each_group": [float(POINTS[row.argmax()]) for row in groups],
        }
        curves[name] = groups
        if name == "dpl-meanvar":
            mean, var = model.distribution(INPUTS)
            curves["dpl_mean"], curves["dpl_std"] = mean.double().cpu().numpy(), var.double().sqrt().cpu().numpy()
            summary[name]["r2"] = model.hidden_context(INPUTS)
    summary["vpl"]["share_of_users_whose_own_place_is_best"] = _own_place(chances, new.group_index)
    curves["vpl_users"], curves["vpl_groups"] = chances[:40], new.group_index[:40].astype(np.float64)
    return summary, curves


def _hidden_context(settings: DidacticSettings, seed: int, device: str, budget: _Budget) -> Found:
    generator = np.random.default_rng([seed, 2])
    train = didactic.hidden_context_preferences(settings.num_users, settings.num_comparisons, generator)
    mean, std = didactic.hidden_context_moments(POINTS)
    borda = didactic.hidden_context_borda(POINTS)
    curves: dict[str, Float] = {"points": POINTS, "mean": mean, "std": std, "borda": borda}

    btl = budget.fit("btl", train, settings, seed, device)
    curves["btl"] = _chance(_rewards(btl, torch.zeros(1, 0))[0])
    summary: dict[str, Any] = {
        "btl": {
            "correlation_with_borda_count": float(np.corrcoef(curves["btl"], borda)[0, 1]),
            "correlation_with_expected_utility": float(np.corrcoef(curves["btl"], mean)[0, 1]),
            "largest_error_of_borda_count": float(np.abs(curves["btl"] - borda).max()),
        }
    }
    uncertain = POINTS >= didactic.THRESHOLD
    for name in ("dpl-meanvar", "dpl-categorical"):
        model = budget.fit(name, train, settings, seed, device)
        learned_mean, learned_var = (part.double().cpu().numpy() for part in model.distribution(INPUTS))
        learned_std = np.sqrt(learned_var)
        curves[f"{name}_mean"], curves[f"{name}_std"] = learned_mean, learned_std
        summary[name] = {
            "r2": model.hidden_context(INPUTS),
            "mean_std_below_threshold": float(learned_std[~uncertain].mean()),
            "mean_std_above_threshold": float(learned_std[uncertain].mean()),
        }
    curves["atoms"] = model.atom_probabilities(INPUTS).detach().double().cpu().numpy()
    return summary, curves


def _chance(rewards: Float) -> Float:
    """Chance (N,) that each of N points is preferred to one of them drawn uniformly, by rewards (N,)."""
    return expit(rewards[:, None] - rewards[None, :]).mean(1)


@torch.no_grad()
def _rewards(model: RewardModel, latents: Tensor) -> Float:
    """Rewards (U, N) of `INPUTS` for latents (U, Z); a distribution's mean for `dpl-*`."""
    rewards = model.reward(INPUTS.expand(len(latents), -1, -1), latents[:, None].expand(-1, len(INPUTS), -1))
    return rewards.double().cpu().numpy()


@torch.no_grad()
def _accuracy(model: RewardModel, further: PreferenceDataset, latents: Tensor) -> float:
    """Share of the users' further answers that their rewards call right."""
    segments = torch.from_numpy(further.segments[:, :, :, 0])  # (U, K, 2, 1)
    spread = latents[:, None, None].expand(*segments.shape[:-1], latents.shape[-1])
    rewards = model.reward(segments, spread).cpu().numpy()
    return float(((rewards[..., 0] > rewards[..., 1]) == (further.labels == 1)).mean())


def _best_accuracy(further: PreferenceDataset) -> float:
    """What knowing every user's true utility gives: the answers are drawn, not certain."""
    points = further.segments[:, :, :, 0, 0].astype(np.float64)
    utilities = didactic.gaussian_utilities(points)[further.group_index, np.arange(len(points))]
    return float(((utilities[..., 0] > utilities[..., 1]) == (further.labels == 1)).mean())


def _own_place(chances: Float, groups: NDArray[np.int64]) -> float:
    """Share of users for whom, of the four groups' places, their own has the highest reward."""
    at_centres = chances[:, [np.abs(POINTS - centre).argmin() for centre in didactic.CENTRES]]
    return float((at_centres.argmax(1) == groups).mean())
