"""The ball in the maze on MuJoCo: D4RL's model, stepped for many mazes at once by several threads."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from mujoco.rollout import Rollout
from numpy.typing import NDArray

from pluralbench.envs.maze.maps import BALL_RADIUS, MazeMap
from pluralbench.envs.vectors import usable_processors

Float64 = NDArray[np.float64]

TIMESTEP = 0.01  # s; one MuJoCo step per environment step
MAX_SPEED = 5.0  # m/s to which velocities are clipped along either axis before each step
CONTACT_MARGIN = 0.002  # m from a wall at which the contact starts
_CHUNK = 16  # mazes that a thread takes at a time: small enough to balance, large enough not to queue


def build_model(maze: MazeMap) -> Any:
    """The compiled `mujoco.MjModel` of a maze with D4RL's dimensions; axis x runs along the rows, y along the columns.

    Its wall contacts are those of MuJoCo 2, on which D4RL's data was made. MuJoCo 3.0 raised the ball's translational
    inverse weight, from which the softness of its contacts follows, from the mean over three axes, two of which it can
    move along, to the mean over those two.
    """
    walls = "".join(
        f'<geom type="box" pos="{row + 1} {col + 1} 0" size="0.5 0.5 0.2" contype="2" conaffinity="1"'
        f' margin="{CONTACT_MARGIN}"/>'
        for row, col in np.argwhere(maze.walls)
    )
    # MuJoCo 2 took the larger of two margins and MuJoCo 3.5 adds them; with none on the ball both come to the same.
    # The tolerance is finer than D4RL's default of 1e-8: each step starts cold here, where D4RL's solver starts from
    # the forces of the step before. Islands and the midphase cost time and change nothing for one ball.
    model = mujoco.MjModel.from_xml_string(f"""
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
    """)
    ball = model.body("ball").id
    model.body_invweight0[ball, 0] = 2.0 / (3.0 * model.body_mass[ball])
    return model


class MazePhysics:
    """Steps N mazes of one layout at once, by one thread for every processor or by `num_threads`.

    It has no state of its own: the same states and actions give the same next states, to the last bit, whatever was
    stepped before, in whatever company, and by however many threads.
    """

    def __init__(self, maze: MazeMap, num_threads: int | None = None) -> None:
        num_threads = num_threads or usable_processors()
        self._model = build_model(maze)
        self._data = [mujoco.MjData(self._model) for _ in range(num_threads)]
        self._rollout = Rollout(nthread=num_threads if num_threads > 1 else 0)
        self._state_size = mujoco.mj_stateSize(self._model, mujoco.mjtState.mjSTATE_FULLPHYSICS.value)

    def step(self, states: Float64, actions: NDArray[np.floating]) -> Float64:
        """The states one step later (N, 4), a new array; raises ValueError unless all actions are finite.

        Args:
            states: (N, 4) float64, position along rows and columns in m, then velocity in m/s.
            actions: (N, 2) in [-1, 1], clipped to it; times 100 N.
        """
        num = len(states)
        if num == 0:
            return np.zeros((0, 4))
        if not np.isfinite(actions).all():
            raise ValueError("maze: actions must be finite numbers in [-1, 1]")
        # The full state is (time, position, velocity); time stays zero, for nothing depends on it.
        before, after = np.zeros((num, self._state_size)), np.zeros((num, 1, self._state_size))
        before[:, 1:3] = states[:, :2]
        np.clip(states[:, 2:], -MAX_SPEED, MAX_SPEED, out=before[:, 3:5])
        self._rollout.rollout(
            [self._model] * num,
            self._data,
            before,
            np.clip(actions, -1.0, 1.0, dtype=np.float64)[:, None],
            nstep=1,
            skip_checks=True,
            state=after,
            sensordata=np.zeros((num, 1, 0)),
            chunk_size=_CHUNK,
        )
        return after[:, 0, 1:5].copy()

    def close(self) -> None:
        """Stops the threads; the object is of no use after."""
        self._rollout.close()
