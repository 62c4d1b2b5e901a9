"""Our episodes as a dataset of habitat-lab's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from habitat.core.dataset import Dataset
from habitat.core.dataset import Episode as LabEpisode
from habitat.core.registry import registry

from pluralbench.envs.household.episodes import Episode, EpisodeError, load_episodes, to_habitat
from pluralbench.envs.household.habitat_lab.configs import DATASET


class HouseholdEpisode(LabEpisode):
    """One of our episodes, in habitat's axes for habitat-lab.

    Args:
        household: the episode, or None for one that is drawn when it is taken up.
        seed: what it is drawn with.
        scene_id: as in `Episode`.
        scene_dataset_config: as in `Episode`.
    """

    def __init__(self, household: Episode | None, seed: int, scene_id: str, scene_dataset_config: str) -> None:
        start = household.start if household else (0.0, 0.0)
        super().__init__(
            episode_id=household.episode_id if household else str(seed),
            scene_id=scene_id,
            scene_dataset_config=scene_dataset_config,
            start_position=list(to_habitat((*start, 0.0))),
            start_rotation=[0.0, 0.0, 0.0, 1.0],
            info=dict(household.info) if household else {},
        )
        self.household = household
        self.seed = seed


@registry.register_dataset(name=DATASET)
class HouseholdDataset(Dataset):
    """Episodes of a file, or `num_episodes` random ones of which number k is that of the seed `first_seed` + k.

    Args:
        config: `configs.HouseholdDatasetConfig`; None for no episodes.

    Raises:
        EpisodeError: no such file, another format, episodes of several scenes, or none at all; one line.
    """

    def __init__(self, config: Any = None) -> None:
        self.config = config
        self.episodes = [] if config is None else _of_file(config) if config.data_path else _random(config)

    @classmethod
    def check_config_paths_exist(cls, config: Any) -> bool:
        """Whether the file of episodes, if one is named, is there."""
        return not config.data_path or _path(config).exists()


def _path(config: Any) -> Path:
    return Path(config.data_path.replace("{split}", config.split))


def _of_file(config: Any) -> list[HouseholdEpisode]:
    loaded = load_episodes(_path(config))
    scenes = {(episode.scene_id, episode.scene_dataset_config) for episode in loaded}
    if len(scenes) > 1:
        raise EpisodeError(f"the episodes are of {len(scenes)} scenes; give one scene's at a time")
    return [HouseholdEpisode(episode, 0, episode.scene_id, episode.scene_dataset_config) for episode in loaded]


def _random(config: Any) -> list[HouseholdEpisode]:
    if config.num_episodes < 1 or config.first_seed < 0:
        raise EpisodeError(
            "habitat.dataset: num_episodes must be at least 1 and first_seed at least 0, got "
            f"{config.num_episodes} and {config.first_seed}"
        )
    seeds = range(config.first_seed, config.first_seed + config.num_episodes)
    return [HouseholdEpisode(None, seed, config.scene_id, config.scene_dataset_config) for seed in seeds]
