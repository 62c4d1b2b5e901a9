"""Which questions to ask a new user: those whose answers tell most about the latent.

The user is described by S latents z drawn from what is known so far. The answers y = (y_1, ..., y_Q) to Q questions
are independent given z, and tell about it

    I(z; y) = H[ E_z p(y | z) ] - sum over q of E_z H[ p(y_q | z) ]     in nats                                     (1)

(VPL, section 4.2; for one question this is BALD, Houlsby et al., arXiv 1112.5745). The first term goes over all 2^Q
answers, each with the probability that the model itself gives it.

Two ways of asking:

- **batch**: a set chosen before any answer, the same for all users (the paper's): the best of some random sets;
- **sequential**: one question after another, each the best in the light of that user's answers so far.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pluralbench.reward_learning.answering import CHUNK_REWARDS
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.reward_model import Posterior, RewardModel

MAX_SET = 12
"""Questions in a set, at most: (1) sums over 2^Q answers."""


def binary_entropy(probabilities: Tensor) -> Tensor:
    """H[p], nats, of answers that are `first` with these probabilities."""
    return torch.special.entr(probabilities) + torch.special.entr(1 - probabilities)


def information_gain(probabilities: Tensor) -> Tensor:
    """Equation (1) for sets of questions.

    Args:
        probabilities: (S, ..., Q) of the answer `first` to each question, under each latent.

    Returns:
        (...) nats, from 0 to the smaller of log S and Q log 2.

    Raises:
        LearnerError: more than `MAX_SET` questions.
    """
    num_questions = probabilities.shape[-1]
    if num_questions > MAX_SET:
        raise LearnerError(
            f"the information of at most {MAX_SET} questions at once can be computed, not {num_questions}"
        )
    joint = torch.ones(*probabilities.shape[:-1], 1, dtype=torch.float64, device=probabilities.device)
    for answer in probabilities.double().unbind(-1):
        first = joint * answer[..., None]
        joint = torch.cat([first, joint - first], dim=-1)  # (S, ..., 2^q)
    mixed = joint.mean(0)
    of_answers = torch.special.entr(mixed).sum(-1)
    return (of_answers - binary_entropy(probabilities.double()).mean(0).sum(-1)).clamp_min(0.0)


def mixture_samples(posterior: Posterior, num: int, generator: torch.Generator) -> Tensor:
    """Latents (num, Z) of a user who might be any of the U users of a posterior."""
    rows = torch.randint(len(posterior.mean), (num,), generator=generator).to(posterior.mean.device)
    return Posterior(posterior.mean[rows], posterior.log_var[rows]).sample(generator)


@torch.no_grad()
def answer_table(model: RewardModel, questions: Tensor, latents: Tensor) -> Tensor:
    """Probability (S, C), under each latent (S, Z), of preferring the first segment of each question (C, 2, T, O)."""
    rows = max(1, CHUNK_REWARDS // max(1, questions[..., 0].numel()))
    return torch.cat([model.answer_probability(questions[None], part) for part in latents.split(rows)])


def best_set(table: Tensor, num_questions: int, num_sets: int, generator: torch.Generator) -> Tensor:
    """The most informative of `num_sets` random sets of questions: (Q,) different columns of a table (S, C)."""
    sets = torch.rand(num_sets, table.shape[1], generator=generator).argsort(-1)[:, :num_questions]  # (M, Q)
    step = max(1, CHUNK_REWARDS // (len(table) * 2**num_questions))
    gains = [information_gain(table[:, part.to(table.device)]) for part in sets.split(step)]
    return sets[int(torch.cat(gains).argmax())]


def best_next(table: Tensor, asked: Tensor) -> int:
    """The column of `table` (S, C) whose answer is most informative, those in `asked` (q,) left out."""
    gains = information_gain(table[..., None])
    gains[asked.to(gains.device)] = -1.0
    return int(gains.argmax())
