"""How long work tells how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Told now and then how many of how many steps of a long piece of work are done."""
