"""What the robot can do, and what can be wanted of it; importing it registers every environment, no simulator."""

from envs import maze  # noqa: F401  (registers itself)
