"""Where a named dataset lies: a file's path, or `d4rl:NAME` for a dataset of the installed package d4rl."""

from __future__ import annotations

from pathlib import Path

from pluralbench.envs.transitions import DatasetError
from pluralbench.registry import unknown_name

_PREFIX = "d4rl:"


def dataset_file(specification: str) -> Path:
    """The file of a dataset; d4rl fetches its own where it is not there. DatasetError for what there is not."""
    if not specification.startswith(_PREFIX):
        path = Path(specification).expanduser()
        if not path.is_file():
            raise DatasetError(f"no file {specification} to take the dataset from")
        return path
    name = specification.removeprefix(_PREFIX)
    try:
        from d4rl.infos import DATASET_URLS
        from d4rl.offline_env import download_dataset_from_url
    except ImportError as error:
        raise DatasetError(
            f"{specification} needs the package d4rl, which cannot be imported ({error}): install "
            "pluralbench[d4rl], or give the path of a file of D4RL's, which is read without it"
        ) from error
    if name not in DATASET_URLS:
        raise DatasetError(unknown_name("dataset of d4rl", name, DATASET_URLS))
    return Path(download_dataset_from_url(DATASET_URLS[name]))
