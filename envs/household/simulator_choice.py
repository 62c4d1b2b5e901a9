"""The choice between the two household simulators, neither of which is imported before it is chosen."""

from __future__ import annotations

from pluralbench.envs.environments import AUTO
from pluralbench.envs.household.episodes import EMPTY_SCENE
from pluralbench.envs.household.simulator import HouseholdSimulator, SimulatorError
from pluralbench.registry import unknown_name

PYBULLET, HABITAT = "pybullet", "habitat"
SIMULATORS = (PYBULLET, HABITAT)


def require_simulator(name: str) -> None:
    """Raises SimulatorNotInstalledError where a simulator is not installed; the message holds the command."""
    if name == HABITAT:
        from pluralbench.envs.household.habitat_simulator import import_habitat

        import_habitat()


def make_simulator(
    name: str = AUTO,
    scene_id: str = EMPTY_SCENE,
    scene_dataset_config: str = "default",
    object_configs: str = "",
    render: bool = False,
) -> HouseholdSimulator:
    """Starts a household simulator.

    Args:
        name: `pybullet`; `habitat`, which needs habitat-sim 0.3.3; or `auto`: habitat for files, else PyBullet.
        scene_id: `NONE`, the flat of primitives, or a scene of `scene_dataset_config`.
        scene_dataset_config: a file such as ReplicaCAD's `replicaCAD.scene_dataset_config.json`.
        object_configs: folder with the configurations of the YCB objects; empty for objects of primitives.
        render: whether `render` will be called; habitat-sim opens a renderer for it.

    Raises:
        SimulatorError: an unknown name, missing files, or files with PyBullet.
        SimulatorNotInstalledError: habitat-sim is wanted and not installed.
    """
    if name not in (AUTO, *SIMULATORS):
        raise SimulatorError(unknown_name("simulator", name, [AUTO, *SIMULATORS]))
    needs_habitat = scene_id.upper() != EMPTY_SCENE or bool(object_configs)
    if name == HABITAT or (name == AUTO and needs_habitat):
        from pluralbench.envs.household.habitat_simulator import HabitatAssets, HabitatSimulator

        return HabitatSimulator(HabitatAssets(scene_id, scene_dataset_config, object_configs), render=render)
    if needs_habitat:
        raise SimulatorError(
            f"PyBullet has the flat of primitives alone, not {object_configs or scene_id!r}; use simulator='habitat'"
        )
    from pluralbench.envs.household.pybullet_simulator import PyBulletSimulator

    return PyBulletSimulator()
