"""Ravens-Manipulation as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.ravens.table import Table
from pluralbench.envs.ravens.task import BOUND, SUCCESS_RADIUS, WORKSPACE_HIGH, WORKSPACE_LOW, RavensTask
from pluralbench.errors import InputError
from pluralbench.registry import unknown_name

BLOCK_STARTS = {
    "centre": (np.array([0.45, -0.05]), np.array([0.55, 0.05])),
    "anywhere": (np.array([0.30, -0.35]), np.array([0.70, 0.35])),
}
"""Corners (x, y) in metres of the rectangle in which the block starts; `anywhere` is what the arm surely reaches."""

IMAGE_SIZE = (360, 480)  # height and width of `render()` in pixels


class RavensError(InputError):
    """A wrong setting or action; the message says what would be right."""


def observation_space() -> gym.spaces.Space[NDArray[np.float32]]:
    """Positions within 2 m, and held between 0 and 1."""
    low = np.array([-BOUND] * 6 + [0.0], dtype=np.float32)
    high = np.array([BOUND] * 6 + [1.0], dtype=np.float32)
    return gym.spaces.Box(low, high, dtype=np.float32)


def to_target(action: NDArray[np.floating]) -> NDArray[np.float64]:
    """The cup's target (..., 3) in metres that actions (..., 4) in [-1, 1] mean."""
    share = (np.clip(np.asarray(action, dtype=np.float64)[..., :3], -1.0, 1.0) + 1.0) / 2.0
    return WORKSPACE_LOW + share * (WORKSPACE_HIGH - WORKSPACE_LOW)


def to_action(target: NDArray[np.floating], suction: NDArray[np.floating]) -> NDArray[np.float32]:
    """The actions (..., 4) that mean targets (..., 3) in metres, cut to the workspace, and suction levels (...)."""
    share = (np.asarray(target, dtype=np.float64) - WORKSPACE_LOW) / (WORKSPACE_HIGH - WORKSPACE_LOW)
    action = np.concatenate([2.0 * share - 1.0, np.asarray(suction, dtype=np.float64)[..., None]], axis=-1)
    return np.clip(action, -1.0, 1.0).astype(np.float32)


def check_block_start(name: str) -> str:
    """`name`; raises RavensError unless it is one of `BLOCK_STARTS`."""
    if name not in BLOCK_STARTS:
        raise RavensError(unknown_name("block_start", name, list(BLOCK_STARTS)))
    return name


def draw_block(task: RavensTask, block_start: str, generator: np.random.Generator) -> NDArray[np.float64]:
    """x, y in metres and turn in radians (3,) of a block that lies outside every zone by its own width."""
    low, high = BLOCK_STARTS[block_start]
    while True:
        block = generator.uniform(low, high)
        if np.linalg.norm(task.zones - block, axis=-1).min() > 2 * SUCCESS_RADIUS:
            return np.array([*block, generator.uniform(-np.pi / 4, np.pi / 4)])


def given_blocks(value: ArrayLike, lead: tuple[int, ...] = ()) -> NDArray[np.float64]:
    """The option `block` as (*lead, 3), without a turn 0; raises RavensError unless (*lead, 2 or 3) and finite."""
    blocks = np.asarray(value, dtype=np.float64)
    possible = ((*lead, 2), (*lead, 3))
    if blocks.shape not in possible or not np.isfinite(blocks).all():
        wanted = f"(x, y) {possible[0]} or (x, y, turn) {possible[1]}"
        raise RavensError(f"ravens: options['block'] must be finite numbers, {wanted}, got shape {blocks.shape}")
    return np.concatenate([blocks, np.zeros((*lead, 3 - blocks.shape[-1]))], axis=-1)


class RavensManipulation(gym.Env[NDArray[np.float32], NDArray[np.float32]]):
    """An arm with a suction cup puts a block into the zone of a table that its user wants, and is not told which.

    Rigid-body physics in PyBullet: each action lasts 0.1 simulated seconds (24 steps of 1/240 s) with inverse
    kinematics towards an absolute target, within the speeds and forces of the arm's own joints. The cup grips what it
    touches from above while the suction is on; a block can be missed, pushed, dropped, or fall off the table.

    | observation | meaning | unit | range |
    |---|---|---|---|
    | 0 to 2 | x, y, z of the cup's lip | m | -2 to 2 |
    | 3 to 5 | x, y, z of the block's centre; 0.025 high when it rests | m | -2 to 2 |
    | 6 | whether the cup holds the block | | 0 or 1 |

    The arm stands at (0, 0), x points over the table, y to the arm's left; the table's surface is z = 0.

    | action | meaning | -1 is | 1 is |
    |---|---|---|---|
    | 0 | x of the target of the cup's lip | 0.25 m | 0.75 m |
    | 1 | y | -0.5 m | 0.5 m |
    | 2 | z | 0 m | 0.3 m |
    | 3 | suction: a level, on while above 0 | off | on |

    Actions beyond these bounds are cut to them. The corners beyond 0.8 m from the arm's foot are out of its reach: it
    goes as near as it can.

    Goal: the centre (x, y) of a zone, or its name. `reset(options={"goal": goal})` sets it; it holds until another is
    set. Until then it is the argument `goal`, or where that is None a zone drawn anew on each reset.

    Reward: the paper's dense utility over 100 for what is seen after the step, the sum of `info["reward_terms"]`
    (distances in metres; at most one term is not zero):

    | term | block | value |
    |---|---|---|
    | placed | within 0.05 m of the zone, below 0.03 m, released | 1 |
    | held_in_zone | the same, but held | 0.05 |
    | carrying | elsewhere, held | (2 + exp(-distance from block to zone)) / 100 |
    | reaching | elsewhere, free | exp(-distance from cup to block) / 100 |

    Episode end: never terminated; truncated after 25 simulated steps, as in the paper. `info` holds, on reset and on
    every step, bools:

    | key | meaning |
    |---|---|
    | success, is_success | the block is placed in the zone now: on the last step, what counts of the episode |
    | reached | it was at any time so far: the paper's rule |

    Version history: v0, first release.

    Args:
        zones: `two-zones` (VPL: left (0.5, 0.2) m, right (0.5, -0.2) m), or `four-zones`: those, near (0.35, 0) m and
            far (0.65, 0) m.
        block_start: where the block starts at rest, outside the zones: in the `centre`, x in 0.45 to 0.55 m and y in
            -0.05 to 0.05 m, or `anywhere`, x in 0.30 to 0.70 m and y in -0.35 to 0.35 m.
        arm: `panda`, or `ur5` where the package `example-robot-data` is installed.
        render_mode: None, or `rgb_array`: a picture (360, 480, 3) by the software renderer, without display or GPU.
        goal: the goal until `reset` names another; None draws one on each reset.

    Raises:
        GoalError, RavensError, ArmError: unknown zones, goal, block start or arm, or the arm's package is missing.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        zones: str = "two-zones",
        block_start: str = "centre",
        arm: str = "panda",
        render_mode: str | None = None,
        goal: ArrayLike | None = None,
    ) -> None:
        self.task = RavensTask(zones)
        self.block_start = check_block_start(block_start)
        self.render_mode = render_mode
        self.observation_space = observation_space()
        self.action_space = gym.spaces.Box(-1.0, 1.0, shape=(4,), dtype=np.float32)
        self._fixed_goal = None if goal is None else self.task.goal(goal)
        self.goal = self.task.zones[0] if self._fixed_goal is None else self._fixed_goal
        self._table = Table(self.task.zones, arm, graphics=render_mode is not None)
        self._steps, self._reached = 0, False
        self._ended: str | None = "before the first reset"

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts an episode: arm at home 0.25 m above the table's centre, block at rest.

        Args:
            seed: of the block's start, and of the goal where none is set.
            options: `goal`, see the class; `block`, (x, y) in metres or (x, y, turn in radians), to start from there.
        """
        super().reset(seed=seed)
        options = options or {}
        block = draw_block(self.task, self.block_start, self.np_random)
        drawn = self.task.sample_goals(1, self.np_random)[0]  # drawn even where it is not needed: equal starts
        if "goal" in options:
            self._fixed_goal = self.task.goal(options["goal"])
        self.goal = drawn if self._fixed_goal is None else self._fixed_goal
        if "block" in options:
            block = given_blocks(options["block"])
        self._table.reset(block[:2], block[2])
        self._steps, self._reached, self._ended = 0, False, None
        observation = self._observe()
        return observation, self._info(bool(self.task.success(observation, self.goal)))

    def step(self, action: NDArray[np.floating]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Moves for 0.1 simulated seconds; raises ResetNeeded when no episode runs, RavensError for a wrong action."""
        if self._ended is not None:
            raise gym.error.ResetNeeded(f"ravens: step() called {self._ended}; call reset() first")
        action = np.asarray(action, dtype=np.float64)
        if action.shape != (4,) or np.isnan(action).any():
            raise RavensError(f"ravens: an action is four numbers (x, y, z, suction) in [-1, 1], got {action.tolist()}")
        self._table.step(to_target(action), suction=bool(action[3] > 0.0))
        self._steps += 1
        observation = self._observe()
        terms = {name: float(term) for name, term in self.task.utility_terms(observation, self.goal).items()}
        truncated = self._steps >= self.task.max_episode_steps
        if truncated:
            self._ended = f"after the last of {self._steps} steps"
        info = {**self._info(terms["placed"] > 0.0), "reward_terms": terms}
        return observation, sum(terms.values()), False, truncated, info

    def _info(self, success: bool) -> dict[str, Any]:
        self._reached |= success
        return {"success": success, "is_success": success, "reached": self._reached}

    def _observe(self) -> NDArray[np.float32]:
        state = self._table.state().astype(np.float32)
        state[:6] = np.clip(state[:6], -BOUND, BOUND)
        return state

    def render(self) -> NDArray[np.uint8] | None:
        """The table from the front (360, 480, 3): arm, block and all zones; which of them is wanted is not shown."""
        if self.render_mode is None:
            gym.logger.warn("ravens: make the environment with render_mode='rgb_array' to render it")
            return None
        return self._table.image(*IMAGE_SIZE)

    def close(self) -> None:
        """Gives the physics client back."""
        self._table.close()
