"""Episodes: where things lie when the robot starts, and how they are read from a JSON file.

The file is one of habitat-lab's rearrangement episodes (`RearrangeDataset-v0`): a JSON object, gzipped if its name ends
in `.gz`, with a list `episodes` of objects, of whose keys these are read:

| key | meaning here |
|---|---|
| episode_id | a string |
| scene_id, scene_dataset_config | `NONE` and `default` for the flat of primitives; else a scene that habitat-sim opens |
| start_position | of the robot, [x, y, z] |
| rigid_objs | list of [`<object>.object_config.json`, 4 x 4 pose] |
| targets | {`<object>_:0000`: 4 x 4 pose} of the objects to move; the pose is not read, as only the user knows where they belong |
| goal_receptacles | list of [receptacle, link], the places to choose from |
| name_to_receptacle | {`<object>_:0000`: receptacle it lies on} |
| info | kept as it is, but for `format` and `object_labels` |

Positions in the file are habitat's (y up): ours (x, y, z), z up, stands there as (x, z, -y).
"""  # noqa: E501

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.household.catalogue import OBJECTS
from pluralbench.errors import DamagedFileError, InputError
from pluralbench.files import check_is_file, json_values

EMPTY_SCENE = "NONE"
_SUFFIX = ".object_config.json"
_SMALLEST_LIMIT = 1 << 24  # bytes that any packed file may unpack to
_LARGEST_RATIO = 30  # how many times its size a larger one may; habitat-lab's are packed to a tenth
_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


class EpisodeError(InputError):
    """An episode or a file of episodes that is not what it should be; one line that names it."""


@dataclass(frozen=True)
class Pose:
    """Where a body is, z up: position (x, y, z) in m and quaternion (x, y, z, w)."""

    position: tuple[float, float, float]
    quaternion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)

    @property
    def rotation(self) -> NDArray[np.float64]:
        """(3, 3) rotation matrix."""
        x, y, z, w = self.quaternion
        return np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )


def upright(x: float, y: float, z: float, yaw: float = 0.0) -> Pose:
    """A pose turned about the vertical by `yaw` rad."""
    return Pose((float(x), float(y), float(z)), (0.0, 0.0, float(np.sin(yaw / 2)), float(np.cos(yaw / 2))))


@dataclass(frozen=True)
class Episode:
    """How a household task begins."""

    episode_id: str
    objects: dict[str, Pose]
    """Pose of each object that is there."""
    lying_on: dict[str, str]
    """Receptacle on which each object lies, where it lies on one."""
    to_move: tuple[str, ...]
    """Objects that the robot is to move, in this order."""
    choices: tuple[str, ...]
    """Receptacles among which the robot chooses."""
    start: tuple[float, float]
    """(x, y) of the robot's base, m."""
    scene_id: str = EMPTY_SCENE
    """`NONE` for the flat of primitives, or a scene that habitat-sim opens."""
    scene_dataset_config: str = "default"
    """The dataset that the scene is of."""
    info: dict[str, Any] = field(default_factory=dict)
    """Further JSON values."""

    def __post_init__(self) -> None:
        for name in (*self.objects, *self.to_move):
            if name not in OBJECTS:
                raise EpisodeError(f"episode {self.episode_id}: unknown object {name!r} (known: {', '.join(OBJECTS)})")
        missing = [name for name in (*self.to_move, *self.lying_on) if name not in self.objects]
        if missing:
            raise EpisodeError(
                f"episode {self.episode_id}: {missing[0]!r} is to be moved or lies somewhere, but has no pose"
            )


def to_habitat(vector: Sequence[float] | NDArray[np.float64]) -> tuple[float, float, float]:
    """A vector with z up in habitat's axes, y up."""
    x, y, z = (float(v) for v in vector)
    return (x, z, -y)


def from_habitat(vector: Sequence[float] | NDArray[np.float64]) -> tuple[float, float, float]:
    """The inverse of `to_habitat`."""
    x, y, z = (float(v) for v in vector)
    return (x, -z, y)


def _pose(matrix: Any, name: str) -> Pose:
    array = np.asarray(matrix, dtype=np.float64)
    if array.shape != (4, 4) or not np.isfinite(array).all():
        raise EpisodeError(f"the pose of {name!r} must be a 4 x 4 matrix of finite numbers")
    rotation = _Y_UP.T @ array[:3, :3] @ _Y_UP
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
        raise EpisodeError(f"the pose of {name!r} holds no rotation")
    return Pose(from_habitat(array[:3, 3]), quaternion_of(rotation))


def quaternion_of(rotation: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """(x, y, z, w), w >= 0, of a rotation matrix (3, 3)."""
    # The quaternion is the eigenvector to the largest eigenvalue of this symmetric matrix (Bar-Itzhack 2000).
    m = rotation
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[2, 0] + m[0, 2], m[2, 1] - m[1, 2]],
            [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], m[2, 1] + m[1, 2], m[0, 2] - m[2, 0]],
            [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    vector = np.linalg.eigh(k)[1][:, -1]
    x, y, z, w = (float(v) for v in (vector if vector[3] >= 0 else -vector))
    return (x, y, z, w)


def _from_json(value: Any, number: int) -> Episode:
    if not isinstance(value, dict):
        raise EpisodeError(f"episode {number} is no JSON object")
    try:
        episode = Episode(
            episode_id=str(value["episode_id"]),
            objects={
                Path(file).name.removesuffix(_SUFFIX): _pose(matrix, file) for file, matrix in value["rigid_objs"]
            },
            lying_on={name.rpartition("_:")[0]: place for name, place in value["name_to_receptacle"].items()},
            to_move=tuple(name.rpartition("_:")[0] for name in value["targets"]),
            choices=tuple(name for name, _ in value["goal_receptacles"]),
            start=from_habitat(value["start_position"])[:2],
            scene_id=str(value["scene_id"]),
            scene_dataset_config=str(value.get("scene_dataset_config", "default")),
            info={k: v for k, v in value.get("info", {}).items() if k not in ("format", "object_labels")},
        )
    except EpisodeError:
        raise
    except KeyError as error:
        raise EpisodeError(
            f"episode {number} lacks {error}, which habitat-lab's rearrangement episodes have"
        ) from error
    except (TypeError, AttributeError, IndexError, ValueError) as error:
        raise EpisodeError(f"episode {number} is not written as habitat-lab writes it: {error}") from error
    if len(episode.objects) != len(value["rigid_objs"]):
        raise EpisodeError(f"episode {number} has an object twice; every kind may be there once")
    return episode


def _content(path: Path) -> bytes:
    """The text of the file, unpacked no further than an honest one could be."""
    if path.suffix != ".gz":
        return path.read_bytes()
    most = max(_SMALLEST_LIMIT, _LARGEST_RATIO * path.stat().st_size)
    with gzip.open(path) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise EpisodeError(f"episodes {path}: unpacks to more than {most:.3g} bytes")
    return content


def load_episodes(path: str | Path) -> list[Episode]:
    """Reads a file of episodes.

    Raises:
        EpisodeError: no such file, another format, an unknown object, or a scene that is not there; one line.
    """
    path = Path(path)
    try:
        check_is_file(path)
        value = json_values(_content(path))
    except DamagedFileError as error:
        raise EpisodeError(f"episodes {error}") from error
    except OSError as error:
        raise EpisodeError(f"episodes {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, zlib.error) as error:
        raise EpisodeError(f"episodes {path}: no JSON ({error})") from error
    if not isinstance(value, dict) or not isinstance(value.get("episodes"), list) or not value["episodes"]:
        raise EpisodeError(f"episodes {path}: expected habitat-lab's JSON object with a list of 'episodes'")
    try:
        episodes = [_from_json(entry, number) for number, entry in enumerate(value["episodes"])]
    except EpisodeError as error:
        raise EpisodeError(f"episodes {path}: {error}") from error
    for episode in episodes:
        files = (episode.scene_dataset_config, episode.scene_id) if episode.scene_id.upper() != EMPTY_SCENE else ()
        missing = [name for name in files if Path(name).suffix and not Path(name).exists()]
        if missing:
            raise EpisodeError(
                f"episodes {path}: episode {episode.episode_id} needs the scene {episode.scene_id!r}, but {missing[0]} "
                "is missing (`python -m habitat_sim.utils.datasets_download` fetches ReplicaCAD)"
            )
    return episodes
