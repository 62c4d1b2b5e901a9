"""The household tasks as habitat-lab's users meet them; imported only on request.

Importing this package registers with habitat's registry and with Hydra's store what `rearrange.yaml` and `tidy.yaml`
beside it name: a dataset of episodes, a simulator, two tasks with their actions, a sensor and measures. Then
`habitat.Env` plays our episodes, and `habitat.gym` as well:

    from pluralbench.envs.household import habitat_lab

    env = habitat_lab.make_env("tidy", goal=(1, 0, 0, 0, 0))
    env = habitat.Env(habitat.get_config(habitat_lab.config_path("tidy")))
    env = habitat.gym.make_gym_from_config(habitat_lab.make_config("tidy"))

habitat-lab itself imports habitat-sim wherever it is imported, so both must be installed, see docs/habitat-lab.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pluralbench.envs.household.habitat_simulator import INSTALL_COMMAND
from pluralbench.envs.household.simulator import SimulatorNotInstalledError
from pluralbench.errors import InputError
from pluralbench.registry import unknown_name

try:
    import habitat

    from pluralbench.envs.household.habitat_lab import configs, dataset, simulator, tasks  # noqa: F401
except ImportError as error:
    raise SimulatorNotInstalledError(
        f"habitat-lab cannot be imported here ({error}); install habitat-sim with `{INSTALL_COMMAND}` and habitat-lab "
        'with `pip install "pluralbench[habitat-lab]"`, or take our own Gymnasium environments'
    ) from error

TASKS = ("rearrange", "tidy")


def config_path(task: str) -> str:
    """The file to give to `habitat.get_config`, or to `gym.make("Habitat-v0", cfg_file_path=...)`.

    Args:
        task: `rearrange` or `tidy`.

    Raises:
        InputError: another name.
    """
    if task not in TASKS:
        raise InputError(unknown_name("task of habitat-lab", task, list(TASKS)))
    return str(Path(__file__).parent / f"{task}.yaml")


def make_config(
    task: str,
    episodes: str | Path | None = None,
    goal: ArrayLike | None = None,
    backend: str | None = None,
    picture: bool | None = None,
    overrides: Sequence[str] = (),
) -> Any:
    """The config that we ship, with some of its values replaced; None leaves a value as it is.

    Args:
        task: `rearrange` or `tidy`.
        episodes: a JSON file of episodes (`habitat.dataset.data_path`).
        goal: the user's, as in our own environments (`habitat.task.goal`).
        backend: `habitat`, `pybullet` or `auto` (`habitat.simulator.backend`).
        picture: whether observations have a picture (`habitat.simulator.picture`).
        overrides: Hydra's, for example `habitat.seed=7`.
    """
    config = habitat.get_config(config_path(task), list(overrides))
    with habitat.config.read_write(config):
        if episodes is not None:
            config.habitat.dataset.data_path = str(episodes)
        if goal is not None:
            config.habitat.task.goal = np.atleast_1d(goal).tolist()
        if backend is not None:
            config.habitat.simulator.backend = backend
        if picture is not None:
            config.habitat.simulator.picture = picture
    return config


def make_env(task: str, **choices: Any) -> Any:
    """A `habitat.Env` on the config that `make_config` gives for the same arguments.

    Args:
        task: `rearrange` or `tidy`.
        **choices: the others of `make_config`.

    Raises:
        InputError: what our own environments refuse too: an unknown task or backend, no goal of this task, no such
            file of episodes; one line.
    """
    return habitat.Env(make_config(task, **choices))
