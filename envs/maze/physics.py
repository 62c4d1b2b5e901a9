"""The ball in the maze on MuJoCo: D4RL's model, stepped for many mazes at once by several threads."""

from __future__ import annotations

import os
from typing import Any

import mujoco
import numpy as np
from mujoco.rollout import Rollout
from numpy.typing import NDArray

from pluralbench.envs.maze.maps import BALL_RADIUS, MazeMap

Float64 = NDArray[np.float64]

TIMESTEP = 0.01
"""Seconds per step (one MuJoCo step per environment step)."""

MAX_SPEED = 5.0
"""Velocities are clipped to this many m/s along either axis before each step."""

CONTACT_MARGIN = 0.002
"""Metres from a wall at which the contact starts."""

_CHUNK = 16
"""Mazes that a thread takes at a time: small enough to balance, large enough not to queue."""


def num_processors() -> int:
    """Processors that this process may use: fewer than the machine has where a container or taskset says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def maze_xml(maze: MazeMap) -> str:
    """The MJCF model of a maze, with D4RL's dimensions: axis x runs along the rows, y along the columns."""
    walls = "".join(
        f'<geom type="box" pos="{row + 1} {col + 1} 0" size="0.5 0.5 0.2" contype="2" conaffinity="1"'
        f' margin="{CONTACT_MARGIN}"/>'
        for row, col in np.argwhere(maze.walls)
    )
    # MuJoCo 2 took the larger of two margins and MuJoCo 3.5 adds them; with none on the ball both come to the same.
    # The tolerance is finer than D4RL's default of 1e-8: each step starts cold here, where D4RL's solver starts from
    # the forces of the step before. Islands and the midphase cost time and change nothing for one ball.
    return f"""
    <mujoco model="maze">
      <option timestep="{TIMESTEP}" gravity="0 0 0" iterations="20" tolerance="1e-12" integrator="Euler">
        <flag island="disable" midphase="disable"/>
      </option>
      <default><geom density="1000" condim="1" friction="0.5 0.1 0.1"/></default>
      <worldbody>
        {walls}
        <body name="ball" pos="1.2 1.2 0">
          <geom type="sphere" size="{BALL_RADIUS}" contype="1" conaffinity="1"/>
          <joint name="row" type="slide" axis="1 0 0" damping="1"/>
          <joint name="col" type="slide" axis="0 1 0" damping="1"/>
        </body>
      </worldbody>
      <actuator>
        <motor joint="row" gear="100" ctrllimited="true" ctrlrange="-1 1"/>
        <motor joint="col" gear="100" ctrllimited="true" ctrlrange="-1 1"/>
      </actuator>
    </mujoco>
    """


def build_model(maze: MazeMap) -> Any:
    """A compiled `mujoco.MjModel` whose wall contacts are those of MuJoCo 2, on which D4RL's data was made.

    MuJoCo 3.0 raised the ball's translational inverse weight, from which the softness of its contacts follows, from
    the mean over three axes, two of which it can move along, to the mean over those two.
    """
    model = mujoco.MjModel.from_xml_string(maze_xml(maze))
    ball = model.body("ball").id
    model.body_invweight0[ball, 0] = 2.0 / (3.0 * model.body_mass[ball])
    return model


class MazePhysics:
    """Steps N mazes of one layout at once.

    It has no state of its own: the same states and actions give the same next states, to the last bit, whatever was
    stepped before, in whatever company, and by however many threads.

    Args:
        maze: the layout.
        num_threads: threads that step; None takes one for every processor it may use.
    """

    def __init__(self, maze: MazeMap, num_threads: int | None = None) -> None:
        num_threads = num_threads or num_processors()
        self._model = build_model(maze)
        self._data = [mujoco.MjData(self._model) for _ in range(num_threads)]
        self._rollout = Rollout(nthread=num_threads if num_threads > 1 else 0)
        self._state_size = mujoco.mj_stateSize(self._model, mujoco.mjtState.mjSTATE_FULLPHYSICS.value)
        self._allocate(0)

    def _allocate(self, num: int) -> None:
        self._models = [self._model] * num
        self._before = np.zeros((num, self._state_size))
        self._control = np.zeros((num, 1, 2))
        self._after = np.zeros((num, 1, self._state_size))
        self._sensors = np.zeros((num, 1, 0))

    def step(self, states: Float64, actions: NDArray[np.floating]) -> Float64:
        """The states one step later.

        Args:
            states: (N, 4) float64, position along rows and columns in m, then velocity in m/s.
            actions: (N, 2) in [-1, 1], clipped to it; times 100 N.

        Returns:
            (N, 4) float64, a new array.

        Raises:
            ValueError: an action is not finite.
        """
        if len(states) != len(self._before):
            self._allocate(len(states))
        if len(states) == 0:
            return np.zeros((0, 4))
        if not np.isfinite(actions).all():
            raise ValueError("maze: actions must be finite numbers in [-1, 1]")
        # The full state is (time, position, velocity); time stays zero, for nothing depends on it.
        self._before[:, 1:3] = states[:, :2]
        np.clip(states[:, 2:], -MAX_SPEED, MAX_SPEED, out=self._before[:, 3:5])
        np.clip(actions, -1.0, 1.0, out=self._control[:, 0])
        self._rollout.rollout(
            self._models,
            self._data,
            self._before,
            self._control,
            nstep=1,
            skip_checks=True,
            state=self._after,
            sensordata=self._sensors,
            chunk_size=_CHUNK,
        )
        return self._after[:, 0, 1:5].copy()

    def close(self) -> None:
        """Stops the threads; the object is of no use after."""
        self._rollout.close()
