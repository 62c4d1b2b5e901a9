"""Returns of a random and of an expert policy in D4RL's maze2d tasks, and scores normalised by them.

D4RL's score of a return is 100 (return - random) / (expert - random), with two means over 100 episodes that stand in
d4rl/infos.py. Its expert is a waypoint controller that is made once and used for all episodes: after the first one it
has no waypoints left but the goal, pushes straight at it from wherever it starts, and often stands before a wall (D4RL
issues 159 and 215). Whoever reaches the goal then scores far above 100. Returns of a controller that finds a way of its
own in each episode are measured here, on the physics of `MazePhysics`:

    python -m pluralbench.envs.maze.reference_returns --episodes 4000 --seed 0

prints what stands in `MEASURED`, and the same controller used as D4RL uses it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.maze.maps import LAYOUTS, MazeMap
from pluralbench.errors import InputError
from pluralbench.registry import unknown_name

EPISODE_STEPS = {"open": 150, "umaze": 300, "medium": 600, "large": 800}
"""Steps of an episode of maze2d-open-v0, maze2d-umaze-v1, maze2d-medium-v1 and maze2d-large-v1 (d4rl/pointmaze)."""


@dataclass(frozen=True)
class ReferenceReturns:
    """Mean returns of an episode, the sum of D4RL's sparse rewards: 1 for each step that ends within 0.5 m of the goal.

    Attributes:
        random: of actions drawn uniformly.
        expert: of a controller that knows the maze.
    """

    random: float
    expert: float


D4RL = {
    "open": ReferenceReturns(0.01, 20.66),
    "umaze": ReferenceReturns(23.85, 161.86),
    "medium": ReferenceReturns(13.13, 277.39),
    "large": ReferenceReturns(6.7, 273.99),
}
"""REF_MIN_SCORE and REF_MAX_SCORE of d4rl/infos.py for the sparse tasks."""
MEASURED = {
    "open": ReferenceReturns(8.05, 104.14),
    "umaze": ReferenceReturns(28.19, 222.99),
    "medium": ReferenceReturns(18.72, 423.20),
    "large": ReferenceReturns(11.50, 551.50),
}
"""What the module's command measures: 4,000 episodes, seed 0. Standard errors: random 0.4 to 0.9, expert 0.4 to 1.9."""
REFERENCES = {"d4rl": D4RL, "pluralbench": MEASURED}
_OF = {
    "d4rl": "d4rl/infos.py, its expert a controller that is not reset",
    "pluralbench": "4,000 episodes, seed 0, on our physics, the controller reset",
}


def normalised_score(returns: ArrayLike, layout: str = "large", reference: str = "pluralbench") -> NDArray[np.float64]:
    """Scores 100 (return - random) / (expert - random): 0 for random actions, 100 for the expert.

    Args:
        returns: of any shape: sums of D4RL's sparse rewards over an episode of `EPISODE_STEPS[layout]` steps.
        layout: `open`, `umaze`, `medium` or `large`.
        reference: `pluralbench` for the returns measured here, `d4rl` for those in d4rl/infos.py.

    Raises:
        InputError: no such layout or reference.
    """
    if reference not in REFERENCES:
        raise InputError(unknown_name("reference", reference, list(REFERENCES)))
    if layout not in LAYOUTS:
        raise InputError(unknown_name("maze layout", layout, list(LAYOUTS)))
    known = REFERENCES[reference][layout]
    return 100.0 * (np.asarray(returns, dtype=np.float64) - known.random) / (known.expert - known.random)


def reference_returns(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """What to know of scores, as JSON values, for data whose metadata names its layout; None where it names none."""
    layout = metadata.get("layout")
    if not isinstance(layout, str) or layout not in EPISODE_STEPS:
        return None
    known = {name: {**asdict(returns[layout]), "of": _OF[name]} for name, returns in REFERENCES.items()}
    return {"score": "100 (return - random) / (expert - random)", "episode_steps": EPISODE_STEPS[layout], **known}


def measure(layout: str, policy: str, num_episodes: int, seed: int) -> NDArray[np.float64]:
    """Returns (num_episodes,) in the layout's own task, from D4RL's starts.

    Args:
        layout: `open`, `umaze`, `medium` or `large`.
        policy: `random`; `expert`, D4RL's controller with waypoints of its own for each episode; or `not-reset`, the
            same controller as it is in D4RL's later episodes.
        num_episodes: all at once.
        seed: of starts, waypoints and random actions.
    """
    from pluralbench.envs.maze.environment import start_states
    from pluralbench.envs.maze.physics import MazePhysics
    from pluralbench.envs.maze.task import MazeTask

    task = MazeTask(layout)
    goal = task.goal(task.map.own_goal)
    generator = np.random.default_rng(seed)
    states = start_states(task.map, num_episodes, generator)
    controller = _Controller(task.map, states[:, :2], generator, plans=policy == "expert")
    physics = MazePhysics(task.map)
    returns = np.zeros(num_episodes)
    for _ in range(EPISODE_STEPS[layout]):
        random = policy == "random"
        actions = generator.uniform(-1.0, 1.0, size=(num_episodes, 2)) if random else controller.act(states)
        states = physics.step(states, actions)
        returns += task.reached(states, goal)
    physics.close()
    return returns


class _Controller:
    """D4RL's waypoint controller without noise, for B episodes of one goal, each on a shortest way of its own.

    Where it does not plan, its only waypoint is the goal.
    """

    def __init__(self, maze: MazeMap, positions: NDArray[np.float64], rng: np.random.Generator, plans: bool) -> None:
        self._maze, self._generator = maze, rng
        self._goal = int(maze.cell_index(np.array(maze.own_goal, dtype=np.float64)))
        self._cells = np.full(len(positions), self._goal)
        self._waypoints = np.tile(maze.free_cells[self._goal].astype(np.float64), (len(positions), 1))
        if plans:
            self._go_on(np.arange(len(positions)), maze.cell_index(positions))

    def act(self, states: NDArray[np.float64]) -> NDArray[np.float64]:
        """Actions (B, 2) for states (B, 4); the next waypoint is taken one step after the last one was reached."""
        from pluralbench.envs.maze.waypoint_policy import WaypointSettings, has_arrived, push

        settings = WaypointSettings()
        actions = push(states, self._waypoints, settings)
        onward = np.flatnonzero(has_arrived(states, self._waypoints, settings) & (self._cells != self._goal))
        self._go_on(onward, self._cells[onward])
        return actions

    def _go_on(self, rows: NDArray[np.int64], cells: NDArray[np.int64]) -> None:
        """The waypoints of `rows` after `cells`: points of cells, moved by up to 0.2 m but at the goal."""
        after = self._maze.next_cell[cells, self._goal]
        jitter = 0.2 * self._generator.random((len(rows), 2)) * (after != self._goal)[:, None]
        self._cells[rows] = after
        self._waypoints[rows] = self._maze.free_cells[after] - jitter


def main() -> None:
    """Prints a row for each layout: mean and standard error of every policy's return, and D4RL's numbers."""
    parser = argparse.ArgumentParser(description="Measures the reference returns of D4RL's maze2d tasks.")
    parser.add_argument("--episodes", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{'layout':<8}{'steps':>6}{'random':>16}{'expert':>16}{'not reset':>16}{'D4RL':>18}")
    for layout, steps in EPISODE_STEPS.items():
        cells = []
        for policy in ("random", "expert", "not-reset"):
            returns = measure(layout, policy, options.episodes, options.seed)
            error = returns.std(ddof=1) / np.sqrt(len(returns))
            cells.append(f"{returns.mean():.2f} +- {error:.2f}")
        theirs = D4RL[layout]
        print(f"{layout:<8}{steps:>6}" + "".join(f"{cell:>16}" for cell in cells), end="")
        print(f"{f'{theirs.random:g}, {theirs.expert:g}':>18}")


if __name__ == "__main__":
    main()
