"""Hard EM: users into a few groups, each with a model of its own (Chakraborty et al., ICML 2024, arXiv 2402.08925).

Beyond the paper: mixing weights, starts in the manner of k-means++, restarts, empty groups that are refilled, and
M-steps that are refused where they make the answers less likely, so that the objective never decreases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

Group = TypeVar("Group")


def classification_likelihood(log_likelihoods: Tensor, weights: Tensor, assignment: Tensor) -> float:
    """What hard EM climbs: the sum over users of log weight_k + log-likelihood_k at each user's group k.

    Likelihoods (U, K) are of each user's answers under each group's reward, weights (K,), the assignment (U,).
    """
    return _joint(log_likelihoods, weights).gather(1, assignment[:, None]).sum().item()


def assign_users(log_likelihoods: Tensor, weights: Tensor) -> Tensor:
    """E-step: the group (U,) under which weight and likelihood make each user's answers most probable."""
    return _joint(log_likelihoods, weights).argmax(1)


def mixing_weights(assignment: Tensor, num_groups: int) -> Tensor:
    """Share (K,) of the users in each group; 0 where a group is empty, which then gets no user back."""
    return torch.bincount(assignment, minlength=num_groups).double() / len(assignment)


def predictive_log_likelihood(context: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Log-probability (U,) of users' further answers when their group is only known from the first ones.

    log sum_k p(k | context) p(target | k), with (U, K) log-likelihoods of both parts.
    """
    return torch.logsumexp(torch.log_softmax(_joint(context, weights), 1) + target, 1)


def clearly_better(scores: Tensor, baseline: Tensor, min_share: float = 0.02) -> bool:
    """Whether validation log-likelihoods (U,) exceed those of the same users enough to be worth a further group.

    By two standard errors of the difference, and by the share `min_share` of the baseline's own mean: with many users
    the first alone would pay for gains too small to matter.
    """
    gain = scores - baseline
    enough = max(2 * gain.std().item() / len(gain) ** 0.5, min_share * baseline.mean().abs().item())
    return gain.mean().item() > enough


@dataclass(frozen=True)
class Clustering(Generic[Group]):
    """Where hard EM stands."""

    groups: tuple[Group, ...]
    """The K groups' models."""
    weights: Tensor
    """(K,) float64 mixing weights."""
    assignment: Tensor
    """(U,) group of each train user."""
    likelihoods: tuple[float, ...]
    """The objective after each iteration; never decreases."""


class HardEM(Generic[Group]):
    """Hard EM over any kind of group model.

    Args:
        fit: (model to start from or None, user rows) -> a model fitted to those users, the start left as it was.
        log_likelihood: model -> (U,) log-likelihood of each train user's answers.
        num_users: U.
        generator: draws the starts.
    """

    def __init__(
        self,
        fit: Callable[[Group | None, Tensor], Group],
        log_likelihood: Callable[[Group], Tensor],
        num_users: int,
        generator: torch.Generator,
    ) -> None:
        self._fit = fit
        self._log_likelihood = log_likelihood
        self._num_users = num_users
        self._generator = generator
        self._pooled: Group | None = None

    def run(self, num_groups: int, num_iterations: int, num_restarts: int) -> Clustering[Group]:
        """The best of several starts; a start gets one iteration before the best goes on to the end."""
        trial_iterations = 1 if num_restarts > 1 else num_iterations
        trials = [self.iterate(self.start(num_groups), trial_iterations) for _ in range(num_restarts)]
        best = max(trials, key=lambda clustering: clustering.likelihoods[-1])
        return self.iterate(best, num_iterations - trial_iterations)

    def start(self, num_groups: int) -> Clustering[Group]:
        """Starts in the manner of k-means++: one user is drawn, the users most like that one make a group.

        The first user is drawn evenly, each further one in proportion to how badly the groups so far explain it.
        """
        if self._pooled is None:
            self._pooled = self._fit(None, torch.arange(self._num_users))
        pooled, pooled_scores = self._pooled, self._log_likelihood(self._pooled)
        share = max(1, self._num_users // (2 * num_groups))
        groups: list[Group] = []
        columns: list[Tensor] = []
        for _ in range(num_groups):
            chances = -torch.stack(columns, 1).max(1).values if columns else torch.ones(self._num_users)
            seed_user = torch.multinomial(chances.float().clamp_min(1e-6), 1, generator=self._generator)
            gain = self._log_likelihood(self._fit(pooled, seed_user)) - pooled_scores
            groups.append(self._fit(pooled, gain.topk(share).indices))
            columns.append(self._log_likelihood(groups[-1]))
        return self._settled(tuple(groups), torch.stack(columns, 1), torch.full((num_groups,), 1.0 / num_groups), ())

    def iterate(self, clustering: Clustering[Group], num_iterations: int) -> Clustering[Group]:
        """M-step, E-step and refilling of empty groups; ends early once no user changes group."""
        for _ in range(num_iterations):
            before = clustering
            groups = list(clustering.groups)
            columns = [self._log_likelihood(group) for group in groups]
            for index in range(len(groups)):
                rows = (clustering.assignment == index).nonzero().squeeze(1)
                if len(rows):
                    groups[index], columns[index] = self._improved(groups[index], columns[index], rows)
            log_likelihoods = torch.stack(columns, 1)
            clustering = self._settled(tuple(groups), log_likelihoods, clustering.weights, before.likelihoods)
            for index in (clustering.weights == 0).nonzero().squeeze(1).tolist():
                clustering = self._refilled(clustering, index)
            if torch.equal(clustering.assignment, before.assignment):
                break
        return clustering

    def _improved(self, group: Group, column: Tensor, rows: Tensor) -> tuple[Group, Tensor]:
        """The group fitted on, or as it was where the fit made its own users' answers less likely."""
        candidate = self._fit(group, rows)
        scores = self._log_likelihood(candidate)
        return (candidate, scores) if scores[rows].sum() >= column[rows].sum() else (group, column)

    def _settled(
        self, groups: tuple[Group, ...], log_likelihoods: Tensor, weights: Tensor, past: Sequence[float]
    ) -> Clustering[Group]:
        assignment = assign_users(log_likelihoods, weights)
        weights = mixing_weights(assignment, len(groups))
        likelihood = classification_likelihood(log_likelihoods, weights, assignment)
        return Clustering(groups, weights, assignment, (*past, likelihood))

    def _refilled(self, clustering: Clustering[Group], empty: int) -> Clustering[Group]:
        """Gives an empty group the worst explained users; kept only where the likelihood gains by it."""
        columns = [self._log_likelihood(group) for group in clustering.groups]
        own = torch.stack(columns, 1).gather(1, clustering.assignment[:, None]).squeeze(1)
        rows = (-own).topk(max(1, self._num_users // (2 * len(columns)))).indices
        group = self._fit(None, rows)
        columns[empty] = self._log_likelihood(group)
        groups = (*clustering.groups[:empty], group, *clustering.groups[empty + 1 :])
        even = torch.full_like(clustering.weights, 1.0 / len(groups))
        proposal = self._settled(groups, torch.stack(columns, 1), even, clustering.likelihoods[:-1])
        return proposal if proposal.likelihoods[-1] > clustering.likelihoods[-1] else clustering


def _joint(log_likelihoods: Tensor, weights: Tensor) -> Tensor:
    return log_likelihoods + weights.to(log_likelihoods).log()
