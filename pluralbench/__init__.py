"""Offline-RL robotics benchmarks for robots that serve many different people; importing it registers Gymnasium ids."""

from pluralbench.envs.gymnasium_ids import register

__version__ = "0.2.0"

register()
