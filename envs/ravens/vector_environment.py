"""Ravens-Manipulation for many episodes at once: tables in worker processes behind `gym.make_vec`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.processes import ProcessEndedError
from pluralbench.envs.ravens import environment as single
from pluralbench.envs.ravens.arms import find_arm
from pluralbench.envs.ravens.environment import RavensManipulation
from pluralbench.envs.ravens.task import RavensTask
from pluralbench.envs.ravens.workers import Outcome, ProcessWorker, Worker, start_workers
from pluralbench.envs.vectors import Infos, Rows, VectorEpisodes, usable_processors

TERMS = ("placed", "held_in_zone", "carrying", "reaching")


class RavensManipulationVector(VectorEpisodes):
    """`RavensManipulation` times `num_envs`: same spaces, rewards and ends, and the same bytes from the same seeds.

    See `VectorEpisodes` for options, infos and autoreset. `reset(options={"block": blocks})` takes (num_envs, 2 or 3),
    where the blocks start: x, y in metres and the turn in radians.

    The tables are shared out among worker processes (`pluralbench.envs.processes`).

    An episode in which something raises (a NaN action, PyBullet, a worker process that dies) ends there: truncated, no
    success, no reward, its last observation, and on that step `infos["error"]` (num_envs,) holds the message at its
    place. The others go on, except those in a process that died, and the next reset starts from a new table.

    Args:
        num_envs: number of episodes at once; each is a physics client of about 30 MB.
        zones: as in `RavensManipulation`.
        block_start: likewise.
        arm: likewise.
        render_mode: likewise.
        goal: likewise.
        max_episode_steps: steps until an episode is truncated, at most 25.
        autoreset_mode: NEXT_STEP or DISABLED.
        num_workers: processes; None for one per processor. 1 steps within this process. No influence on the results.

    Raises:
        RavensError, GoalError, ArmError: unknown block start, zones, goal or arm, or the arm's package is missing.
        RuntimeError: on `reset`, a table cannot be reset.
    """

    task: RavensTask

    def __init__(
        self,
        num_envs: int = 1,
        zones: str = "two-zones",
        block_start: str = "centre",
        arm: str = "panda",
        render_mode: str | None = None,
        goal: ArrayLike | None = None,
        max_episode_steps: int = RavensTask.max_episode_steps,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        num_workers: int | None = None,
    ) -> None:
        self._workers: list[Worker] = []
        task = RavensTask(zones)
        spaces = (single.observation_space(), gym.spaces.Box(-1.0, 1.0, shape=(4,), dtype=np.float32))
        limit = min(max_episode_steps, task.max_episode_steps)
        super().__init__(task, num_envs, spaces, autoreset_mode, render_mode, RavensManipulation.metadata, limit)
        self.goals[:] = task.zones[0] if goal is None else task.goal(goal)
        self._has_goal[:] = goal is not None
        self._block_start = single.check_block_start(block_start)
        self._generators = [np.random.default_rng(stream) for stream in np.random.SeedSequence().spawn(num_envs)]
        find_arm(arm).find_description()  # an error here is one line, in a worker it would be a traceback
        self._settings = {"zones": zones, "block_start": block_start, "arm": arm, "render_mode": render_mode}
        shares = np.array_split(np.arange(num_envs), min(num_workers or usable_processors(), num_envs))
        self._shares = [share.tolist() for share in shares]
        self._workers = start_workers([len(share) for share in self._shares], self._settings)

    def _start(self, rows: Rows, options: Mapping[str, Any], seeds: Sequence[int | None] | None = None) -> Infos:
        for row, seed in enumerate(seeds or ()):
            if seed is not None:
                self._generators[row] = seeding.np_random(seed)[0]
        blocks = self._draw_starts(rows)
        if "block" in options:
            blocks = dict(enumerate(single.given_blocks(options["block"], (self.num_envs,))))
        outcomes = self._do({row: {"goal": self.goals[row], "block": blocks[row]} for row in rows.tolist()}, {})
        for row, outcome in outcomes.items():
            if outcome.error is not None:
                raise RuntimeError(f"ravens: environment {row} cannot be reset: {outcome.error}")
        self._take(outcomes)
        return self._infos()

    def _advance(self, rows: Rows, started: Rows, actions: NDArray[Any]) -> tuple[NDArray[np.float64], Infos]:
        resets = {row: {"goal": self.goals[row], "block": block} for row, block in self._draw_starts(started).items()}
        outcomes = self._do(resets, {row: actions[row] for row in rows.tolist()})
        self._take(outcomes)
        rewards, terms = np.zeros(self.num_envs), {name: np.zeros(self.num_envs) for name in TERMS}
        for row, outcome in outcomes.items():
            rewards[row] = outcome.reward
            for name, value in (outcome.terms or {}).items():
                terms[name][row] = value
        infos = self._infos(terms)
        raised = {row: outcome.error for row, outcome in outcomes.items() if outcome.error is not None}
        if raised:
            errors = np.full(self.num_envs, None, dtype=object)
            errors[list(raised)] = list(raised.values())
            infos |= {"error": errors, "_error": np.array([error is not None for error in errors])}
        return rewards, infos

    def _draw_starts(self, rows: Rows) -> dict[int, NDArray[np.float64]]:
        """Blocks (3,) for these rows and, where none is set, goals: the same draws as in `RavensManipulation`."""
        blocks = {}
        for row in rows.tolist():
            blocks[row] = single.draw_block(self.task, self._block_start, self._generators[row])
            drawn = self.task.sample_goals(1, self._generators[row])[0]
            if not self._has_goal[row]:
                self.goals[row] = drawn
        return blocks

    def _take(self, outcomes: dict[int, Outcome]) -> None:
        """Notes observations and ends; an episode that raised is cut short where it was."""
        for row, outcome in outcomes.items():
            if outcome.observation is not None:
                self._observations[row] = outcome.observation
            self._success[row] = outcome.success
            self._reached[row] |= outcome.success
            self._truncated[row] = outcome.truncated or outcome.error is not None

    def _do(self, resets: Mapping[int, dict[str, Any]], steps: Mapping[int, NDArray[Any]]) -> dict[int, Outcome]:
        """Shares the work out, and collects what became of every row; a worker that died is replaced."""
        busy = []
        for worker, share in enumerate(self._shares):
            work = [{number: part[row] for number, row in enumerate(share) if row in part} for part in (resets, steps)]
            if any(work):
                self._workers[worker].ask("do", *work)
                busy.append(worker)
        outcomes: dict[int, Outcome] = {}
        for worker in busy:
            share = self._shares[worker]
            try:
                answer: dict[int, Outcome] = self._workers[worker].answer()
            except ProcessEndedError as error:
                self._workers[worker].close()
                self._workers[worker] = replacement = ProcessWorker(len(share), self._settings)
                replacement.wait_until_ready()
                lost = Outcome(error=f"{type(error).__name__}: {error}")
                going_on = ~(self._terminated | self._truncated)  # an episode that is over loses nothing with its table
                answer = {number: lost for number, row in enumerate(share) if row in resets or going_on[row]}
            outcomes |= {share[number]: outcome for number, outcome in answer.items()}
        return outcomes

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
