"""A bank of questions that all users could be asked, with what each would answer: for choosing questions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.envs.transitions import TransitionDataset
from pluralbench.preference_oracles.labelling import answer_queries, resolve_thresholds
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.preference_oracles.queries import draw_pairs, segment_pool, segments_at
from pluralbench.preference_oracles.users import Users


def question_bank(
    task: MultiGoalTask,
    dataset: TransitionDataset,
    users: Users,
    num_questions: int,
    segment_length: int,
    seed: int,
    episodes: ArrayLike | None = None,
) -> PreferenceDataset:
    """What each user would answer to each of the same random questions.

    Arguments are those of `collect_preferences`; `num_questions` is C.

    Returns:
        (U, C) labels on segments (U, C, 2, T, S) that are the same in every row; `take_queries` with columns (U, Q)
        gives the answers to the questions that each user was really asked.

    Raises:
        QueryError: T longer than every episode.
    """
    generator = np.random.default_rng(seed)
    pool = segment_pool(dataset, segment_length, episodes)
    questions = segments_at(dataset, draw_pairs(pool, num_questions, generator), segment_length)  # (C, 2, T, S)
    segments = np.broadcast_to(questions, (len(users), *questions.shape))
    thresholds = resolve_thresholds(task, dataset, pool, users, generator)
    answers = answer_queries(task, segments, users.goals, users.teacher, generator, thresholds)
    return PreferenceDataset(
        segments=segments,
        labels=answers.labels,
        mask=answers.mask,
        user_ids=users.ids,
        group_names=users.group_names,
        group_index=users.group_index,
        goals=users.goals,
        provenance={"environment": task.name, "teacher": users.teacher.summary(), "seed": seed, "strategy": "bank"},
    )
