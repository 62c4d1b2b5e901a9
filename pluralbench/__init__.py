"""Offline-RL robotics benchmarks for robots that serve many different people."""

__version__ = "0.2.0"
