"""Exact Bayes: the posterior over who there may be, given how each of them answers.

For a user who answered y_1 ... y_K to questions q_1 ... q_K, and candidates c with goals g_c and prior weights w_c,

    p(c | y)  is proportional to  w_c prod_k p_c(y_k | q_k)        p(g | y) = sum of p(c | y) over the c with g_c = g

with p_c the candidate's own Teacher: first preferred, second preferred, equal, or skipped. What was skipped tells
something where a candidate skips, for the segments that were shown are known. The latent is the most probable goal, the
reward that goal's utility, and the policy is the oracle's: it is trained on the users' true goals.

Where no two goals are served alike, nobody finds the right one more often from the same answers. Where several are, as
rankings with the same first place, acting for what likely goals have in common can serve more users than this does.

Two things are not exact. No answer is held to be less probable than 1e-9, so that an answer which nobody would give
rules nobody out. The thresholds of users who skip or call segments equal, which labelling resolves on random pairs of
its own, are resolved on the train users' questions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.preference_oracles.thresholds import Thresholds, stack_thresholds
from pluralbench.preference_oracles.users import Users
from pluralbench.progress import Progress
from pluralbench.reward_learning.candidates import SEED, Candidates
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.oracle import Oracle
from pluralbench.reward_learning.reward_model import History, Posterior

LEAST_PROBABILITY = 1e-9
"""Of any answer."""
CHUNK_USERS = 256
"""Users whose posteriors are computed at once."""
CHUNK_UTILITIES = 1 << 20
"""Utilities computed at once, of these users' pairs for some of the candidates."""
REFERENCE_PAIRS = 4_096
REFERENCE_NUMBERS = 1 << 19
"""Pairs of segments that are kept to resolve thresholds on, and numbers in them, at most."""


class Bayes(Oracle):
    """Latents are goals, as the oracle's; `infer` gives the most probable one of those that may be wanted.

    `meet` says whom there may be. Equally probable goals are chosen from at random, for each user id the same way.
    """

    name: ClassVar[str] = "bayes"
    reads_answers: ClassVar[bool] = True
    _candidates: Candidates | None = None
    _reference_pairs: NDArray[np.float32] | None = None

    def meet(self, users: Users) -> None:
        """Keeps every different goal and way of answering among `users` (`Candidates.among`)."""
        super().meet(users)
        self._candidates = Candidates.among(users)

    def fit(self, preferences: PreferenceDataset, seed: int, progress: Progress | None = None) -> History:
        """Learns nothing; keeps some of the questions (R, 2, T, S), on which thresholds are resolved."""
        num = preferences.num_users * preferences.num_comparisons
        most = min(REFERENCE_PAIRS, max(1, REFERENCE_NUMBERS // int(np.prod(preferences.segments.shape[2:]))))
        chosen = np.sort(np.random.default_rng(seed).permutation(num)[:most])
        rows, columns = np.divmod(chosen, preferences.num_comparisons)
        self._reference_pairs = np.asarray(preferences.segments)[rows, columns]
        return []

    def infer(self, context: PreferenceDataset) -> Posterior:
        """The most probable goals (U, G), given as known exactly."""
        parts = self._posteriors(context)
        best = [_most_probable(probability, ids) for probability, ids in parts]
        goals = self._known().goals
        return self.exactly(goals[np.concatenate(best)] if best else goals[:0])

    def goal_posterior(self, context: PreferenceDataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The D goals that may be wanted (D, G), and how probable each user's answers make them (U, D).

        Raises:
            LearnerError: it has met nobody, or candidates skip or call segments equal and it was not fitted.
        """
        goals = self._known().goals
        parts = [probability for probability, _ in self._posteriors(context)]
        return goals, np.concatenate(parts) if parts else np.empty((0, len(goals)))

    def _known(self) -> Candidates:
        if self._candidates is None:
            raise LearnerError("bayes has met nobody: call meet(users) with whom there may be, before fit, after load")
        return self._candidates

    def _posteriors(self, context: PreferenceDataset) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """For one block of users after another, how probable each goal is (B, D), and the users' ids (B,)."""
        candidates = self._known()
        thresholds = self._thresholds(candidates)
        first_of_goal = np.searchsorted(candidates.goal_index, np.arange(len(candidates.goals)))
        for rows in _blocks(context.num_users, CHUNK_USERS):
            users = context.take_users(rows)
            log_joint = np.log(candidates.weights) + self._log_likelihood(candidates, thresholds, users)  # (B, C)
            joint = np.exp(log_joint - log_joint.max(axis=1, keepdims=True))
            of_goals = np.add.reduceat(joint, first_of_goal, axis=1)
            yield of_goals / of_goals.sum(axis=1, keepdims=True), users.user_ids

    def _log_likelihood(
        self, candidates: Candidates, thresholds: Thresholds | None, users: PreferenceDataset
    ) -> NDArray[np.float64]:
        """Logarithm of the probability of each user's answers if they were each candidate's, (B, C)."""
        pairs = np.asarray(users.segments).reshape(-1, *users.segments.shape[2:])  # (B * K, 2, T, S)
        labels, mask = users.labels.reshape(-1), users.mask.reshape(-1)
        result = np.empty((len(candidates.weights), users.num_users))
        for some in _blocks(len(result), CHUNK_UTILITIES // max(1, int(np.prod(pairs.shape[:3])))):
            teacher = candidates.teacher.take(some)
            chances = teacher.answer_probabilities(
                *self._utilities(candidates, some, pairs), None if thresholds is None else thresholds.take(some)
            )
            logs = np.log(np.maximum(chances.of(labels, mask), LEAST_PROBABILITY))  # (C', B * K)
            result[some] = logs.reshape(len(some), *users.labels.shape).sum(axis=-1)
        return result.T

    def _thresholds(self, candidates: Candidates) -> Thresholds | None:
        """The candidates' thresholds on the kept questions; None where nobody needs any."""
        if not candidates.teacher.needs_thresholds:
            return None
        if self._reference_pairs is None:
            raise LearnerError("bayes has seen no questions to resolve thresholds on: call fit or load first")
        pairs, parts = self._reference_pairs, []
        for some in _blocks(len(candidates.weights), CHUNK_UTILITIES // int(np.prod(pairs.shape[:3]))):
            own = candidates.teacher.take(some).thresholds(*self._utilities(candidates, some, pairs))
            parts.append((len(some), own))
        return stack_thresholds(parts)

    def _utilities(
        self, candidates: Candidates, some: NDArray[np.int64], pairs: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the segments of pairs (P, 2, T, S) are worth to some candidates: (C', P, T) of the first, the second."""
        index = candidates.goal_index[some]
        goals = candidates.goals[index[0] : index[-1] + 1]  # each once, whatever the ways of answering
        utilities = self.task.utility(pairs, goals[:, None, None, None])[index - index[0]]  # (C', P, 2, T)
        return utilities[:, :, 0], utilities[:, :, 1]

    def state(self) -> dict[str, Tensor]:
        """The kept questions; whom there may be is for `meet` to say."""
        return {} if self._reference_pairs is None else {"reference_pairs": torch.from_numpy(self._reference_pairs)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes the questions; refuses a file for a task with goals of another size."""
        super().restore(state)
        if "reference_pairs" in state:
            pairs, size = state["reference_pairs"], self.task.observation_size
            if pairs.ndim != 4 or pairs.shape[1] != 2 or pairs.shape[3] != size or pairs.dtype != torch.float32:
                raise LearnerError(f"reference_pairs should be (R, 2, T, {size}) float32, is {tuple(pairs.shape)}")
            self._reference_pairs = pairs.cpu().numpy()


def _blocks(num: int, size: int) -> Iterator[NDArray[np.int64]]:
    """The rows 0 to `num` - 1, `size` of them at a time, at least one."""
    for start in range(0, num, max(1, size)):
        yield np.arange(start, min(start + max(1, size), num))


def _most_probable(probability: NDArray[np.float64], user_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place (U,) of the greatest of each row of probabilities (U, D); one of the greatest where several are.

    Deterministic teachers leave many goals equally probable. Taking the first would always cost the same group.
    """
    greatest = np.isclose(probability, probability.max(axis=1, keepdims=True), rtol=1e-6, atol=0.0)
    choice = greatest.argmax(axis=1)
    for row in np.flatnonzero(greatest.sum(axis=1) > 1):
        lot = np.random.default_rng([SEED, abs(int(user_ids[row]))]).random(probability.shape[1])
        choice[row] = np.where(greatest[row], lot, -1.0).argmax()
    return choice
