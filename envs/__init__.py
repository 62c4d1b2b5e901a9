"""What the robot can do, and what can be wanted of it; importing it registers every environment, no simulator."""

from pluralbench.envs import household, maze, ravens  # noqa: F401  (they register themselves)
