"""Ravens-Manipulation for many episodes at once: tables in worker processes behind `gym.make_vec`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.ravens.arms import find_arm
from pluralbench.envs.ravens.environment import (
    RavensError,
    RavensManipulation,
    check_block_start,
    draw_block,
    observation_space,
    usable_processors,
)
from pluralbench.envs.ravens.task import RavensTask
from pluralbench.envs.ravens.workers import Outcome, Work, Worker, WorkerDiedError, restart_worker, start_workers

StepResult = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]
TERMS = ("placed", "held_in_zone", "carrying", "reaching")


class RavensManipulationVector(gym.vector.VectorEnv[NDArray[np.float32], NDArray[np.float32], NDArray[np.floating]]):
    """`RavensManipulation` times `num_envs`: same spaces, rewards and ends, and the same bytes from the same seeds.

    The tables are shared out among worker processes. These start afresh (`spawn`), so that a script which makes more
    than one needs the usual ``if __name__ == "__main__":``.

    `reset(options=...)` understands

    | option | meaning |
    |---|---|
    | goal | one for all, (2,) or a zone's name, or one each, (num_envs, 2); holds until another is set |
    | block | (num_envs, 2 or 3), where the blocks start: x, y in metres and the turn in radians |
    | reset_mask | (num_envs,) bool with at least one True: resets (and gives goals and blocks to) those alone |

    `infos["success"]`, and each of `infos["reward_terms"]`, are arrays (num_envs,), with Gymnasium's `_success` beside.

    An episode in which something raises (a NaN action, PyBullet, a worker process that dies) ends there: truncated, no
    success, no reward, its last observation, and `infos["error"]` (num_envs,) holds the message at its place and None
    elsewhere. It counts as a failure like any other; `infos` has no "error" on steps without one. The other episodes
    go on, except those in a process that died, and the next reset starts from a new table.

    Autoreset: with NEXT_STEP an ended episode starts anew on the following step, which ignores its action and pays
    nothing. With DISABLED an ended episode stands still: it returns its last observation and flags, with no reward,
    until it is reset.

    Args:
        num_envs: number of episodes at once; each is a physics client of about 30 MB.
        zones, block_start, arm, render_mode, goal, terminate_on_success: as in `RavensManipulation`.
        max_episode_steps: steps until an episode is truncated, at most 25.
        autoreset_mode: NEXT_STEP or DISABLED.
        num_workers: processes; None for one per processor. 1 steps within this process. No influence on the results.

    Raises:
        RavensError: another autoreset mode, fewer than one environment, or an unknown block start.
        GoalError, ArmError: unknown zones or goal; unknown arm, or its package is missing.
    """

    def __init__(
        self,
        num_envs: int = 1,
        zones: str = "two-zones",
        block_start: str = "centre",
        arm: str = "panda",
        render_mode: str | None = None,
        goal: ArrayLike | None = None,
        terminate_on_success: bool = True,
        max_episode_steps: int = RavensTask.max_episode_steps,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        num_workers: int | None = None,
    ) -> None:
        self._workers: list[Worker] = []
        if num_envs < 1:
            raise RavensError(f"ravens: num_envs must be at least 1, is {num_envs}")
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            raise RavensError("ravens: autoreset_mode must be NEXT_STEP or DISABLED, is SAME_STEP")
        self.metadata = {**RavensManipulation.metadata, "autoreset_mode": self.autoreset_mode}
        self.task = RavensTask(zones)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.max_episode_steps = min(max_episode_steps, self.task.max_episode_steps)
        self.single_observation_space = observation_space()
        self.single_action_space = gym.spaces.Box(-1.0, 1.0, shape=(4,), dtype=np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._fixed_goals: list[NDArray[np.floating] | None] = [
            None if goal is None else self.task.goal(goal)
        ] * num_envs
        self.goals = np.tile(self.task.zones[0], (num_envs, 1))
        self._block_start = check_block_start(block_start)
        self._generators = [np.random.default_rng(stream) for stream in np.random.SeedSequence().spawn(num_envs)]
        self._observations = np.zeros((num_envs, self.task.observation_size), dtype=np.float32)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._success = np.zeros(num_envs, dtype=np.bool_)
        self._terminated = np.zeros(num_envs, dtype=np.bool_)
        self._truncated = np.ones(num_envs, dtype=np.bool_)
        find_arm(arm).find_description()  # an error here is one line, in a worker it would be a traceback
        self._settings = {
            "zones": zones,
            "block_start": block_start,
            "arm": arm,
            "render_mode": render_mode,
            "terminate_on_success": terminate_on_success,
        }
        shares = np.array_split(np.arange(num_envs), min(num_workers or usable_processors(), num_envs))
        self._shares = [share.tolist() for share in shares]
        self._workers = start_workers([len(share) for share in self._shares], self._settings)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts all episodes, or those of `options["reset_mask"]`, anew.

        Args:
            seed: of the first environment, the others following by one each, or one for each.
            options: see the class.

        Raises:
            GoalError: no such zone.
            RavensError: an option or a list of seeds of the wrong shape or type.
            RuntimeError: a table cannot be reset.
        """
        options = options or {}
        mask = self._reset_mask(options.get("reset_mask"))
        self._seed(seed)
        rows = np.flatnonzero(mask).tolist()
        if "goal" in options:
            self._set_goals(options["goal"], rows)
        blocks = self._draw_starts(rows)
        if "block" in options:
            blocks = dict(zip(range(self.num_envs), _given_blocks(options["block"], self.num_envs), strict=True))
        outcomes = self._do({row: (self.goals[row], blocks[row]) for row in rows}, {})
        for row, outcome in outcomes.items():
            if outcome.error is not None:
                raise RuntimeError(f"ravens: environment {row} cannot be reset: {outcome.error}")
        self._take(outcomes, rows)
        return self._observations.copy(), self._infos(outcomes, with_terms=False)

    def step(self, actions: NDArray[np.floating]) -> StepResult:  # type: ignore[override]
        """One step of every running episode; see the class for the ended ones and those that raise.

        Raises:
            RavensError: `actions` is not (num_envs, 4).
        """
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs, self.task.action_size):
            raise RavensError(f"ravens: actions must be ({self.num_envs}, 4), are {actions.shape}")
        ended = self._terminated | self._truncated
        resets: dict[int, tuple[NDArray[np.floating], NDArray[np.floating]]] = {}
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            starts = self._draw_starts(np.flatnonzero(ended).tolist())
            resets = {row: (self.goals[row], start) for row, start in starts.items()}
        outcomes = self._do(resets, {row: actions[row] for row in np.flatnonzero(~ended).tolist()})
        self._take(outcomes, list(resets))
        rewards = np.zeros(self.num_envs)
        for row, outcome in outcomes.items():
            rewards[row] = outcome.reward
        infos = self._infos(outcomes, with_terms=True)
        return self._observations.copy(), rewards, self._terminated.copy(), self._truncated.copy(), infos

    def _reset_mask(self, mask: Any) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        if not isinstance(mask, np.ndarray) or mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise RavensError(f"ravens: options['reset_mask'] must be a bool array ({self.num_envs},), is {mask!r}")
        if not mask.any():
            raise RavensError("ravens: options['reset_mask'] must hold at least one True")
        return mask

    def _seed(self, seed: int | Sequence[int | None] | None) -> None:
        if seed is None:
            return
        seeds = [seed + row for row in range(self.num_envs)] if isinstance(seed, int) else list(seed)
        if len(seeds) != self.num_envs:
            raise RavensError(f"ravens: {self.num_envs} environments need as many seeds, got {len(seeds)}")
        for row, value in enumerate(seeds):
            if value is not None:
                self._generators[row] = seeding.np_random(int(value))[0]

    def _set_goals(self, value: ArrayLike, rows: list[int]) -> None:
        goals = self.task.goal(value)[None] if isinstance(value, str) else self.task.goals(value)
        if goals.shape not in ((2,), (1, 2), (self.num_envs, 2)):
            raise RavensError(f"ravens: options['goal'] must be one goal or {self.num_envs}, has shape {goals.shape}")
        goals = np.broadcast_to(goals, (self.num_envs, 2))
        for row in rows:
            self._fixed_goals[row] = goals[row].copy()

    def _draw_starts(self, rows: list[int]) -> dict[int, NDArray[np.float64]]:
        """Blocks (3,) for these rows and, where none is set, goals: the same draws as in `RavensManipulation`."""
        blocks = {}
        for row in rows:
            block, turn = draw_block(self.task, self._block_start, self._generators[row])
            drawn = self.task.sample_goals(1, self._generators[row])[0]
            fixed = self._fixed_goals[row]
            self.goals[row] = drawn if fixed is None else fixed
            blocks[row] = np.array([*block, turn])
        return blocks

    def _do(
        self,
        resets: dict[int, tuple[NDArray[np.floating], NDArray[np.floating]]],
        steps: dict[int, NDArray[np.floating]],
    ) -> dict[int, Outcome]:
        """Shares the work out, and collects what became of every row; a worker that died is replaced."""
        busy = []
        for worker, share in enumerate(self._shares):
            work = Work(
                tuple((number, *resets[row]) for number, row in enumerate(share) if row in resets),
                tuple((number, steps[row]) for number, row in enumerate(share) if row in steps),
            )
            if work.resets or work.steps:
                self._workers[worker].ask("do", work)
                busy.append(worker)
        outcomes: dict[int, Outcome] = {}
        for worker in busy:
            share = self._shares[worker]
            try:
                answer: dict[int, Outcome] = self._workers[worker].answer()
            except WorkerDiedError as error:
                self._workers[worker].close()
                self._workers[worker] = restart_worker(len(share), self._settings)
                lost = Outcome(error=f"{type(error).__name__}: {error}")
                answer = {number: lost for number, row in enumerate(share) if not self._stands_still(row, resets)}
            outcomes |= {share[number]: outcome for number, outcome in answer.items()}
        return outcomes

    def _stands_still(self, row: int, resets: dict[int, Any]) -> bool:
        """Whether nothing of this row is lost with its table: its episode is over and no new one begins."""
        return row not in resets and bool(self._terminated[row] | self._truncated[row])

    def _take(self, outcomes: dict[int, Outcome], reset_rows: list[int]) -> None:
        """Notes observations and ends; an episode that raised is cut short where it was."""
        self._elapsed[reset_rows] = 0
        for row, outcome in outcomes.items():
            self._elapsed[row] += row not in reset_rows
            if outcome.observation is not None:
                self._observations[row] = outcome.observation
            over = outcome.truncated or self._elapsed[row] >= self.max_episode_steps
            self._success[row], self._terminated[row] = outcome.success, outcome.terminated
            self._truncated[row] = over or outcome.error is not None

    def _infos(self, outcomes: dict[int, Outcome], with_terms: bool) -> dict[str, Any]:
        everyone = np.ones(self.num_envs, dtype=np.bool_)
        infos: dict[str, Any] = {"success": self._success.copy(), "_success": everyone}
        if with_terms:
            terms: dict[str, Any] = {name: np.zeros(self.num_envs) for name in TERMS}
            for row, outcome in outcomes.items():
                for name, value in (outcome.terms or {}).items():
                    terms[name][row] = value
            terms |= {f"_{name}": everyone.copy() for name in TERMS}
            infos |= {"reward_terms": terms, "_reward_terms": everyone.copy()}
        raised = {row: outcome.error for row, outcome in outcomes.items() if outcome.error is not None}
        if raised:
            errors = np.full(self.num_envs, None, dtype=object)
            errors[list(raised)] = list(raised.values())
            infos |= {"error": errors, "_error": np.array([error is not None for error in errors])}
        return infos

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """One picture per environment."""
        if self.render_mode is None:
            return None
        for worker in self._workers:
            worker.ask("render")
        return tuple(frame for worker in self._workers for frame in worker.answer())

    def close_extras(self, **kwargs: Any) -> None:
        """Ends the worker processes and gives all physics clients back."""
        for worker in self._workers:
            worker.close()
        self._workers = []


def _given_blocks(value: ArrayLike, num_envs: int) -> NDArray[np.float64]:
    """(num_envs, 3) from positions with or without a turn."""
    blocks = np.asarray(value, dtype=np.float64)
    if blocks.shape not in ((num_envs, 2), (num_envs, 3)) or not np.isfinite(blocks).all():
        raise RavensError(f"ravens: options['block'] must be finite, ({num_envs}, 2 or 3), is {blocks.shape}")
    return np.concatenate([blocks, np.zeros((num_envs, 3 - blocks.shape[1]))], axis=1)
