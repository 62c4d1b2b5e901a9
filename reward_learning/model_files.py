"""Model files: tensors as safetensors, everything else as JSON beside them. Loading runs no code from either.

folder/
  model.safetensors   what was learned, by name
  model.json          {"format": ..., "learner": "vpl", "version": 1, "latent_size": 8, "settings": {...},
                       "sizes": {"observation_size": 4, ...}, "sha256": of model.safetensors}
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from pluralbench.tensor_files import TensorFileError, load_tensors, save_tensors

FORMAT = "pluralbench-reward-model-3"
STEM = "model"
LARGEST_SIZE = 1_000_000_000
"""Of any whole number beside the settings."""


class ModelFileError(TensorFileError):
    """A model file that is missing, damaged, foreign, of another learner or another version; one line."""


@dataclass(frozen=True)
class ModelDescription:
    """What `model.json` says."""

    learner: str
    version: int
    latent_size: int
    settings: dict[str, Any]
    """JSON values."""
    sizes: dict[str, int]
    """Whole numbers on which the tensors' shapes depend."""


def save_model_file(folder: Path, description: ModelDescription, tensors: dict[str, Tensor]) -> None:
    """Writes a model beside what is there and renames it over: never half a model that loads."""
    save_tensors(Path(folder), STEM, tensors, {"format": FORMAT, **asdict(description)})


def read_model_file(folder: Path) -> tuple[ModelDescription, dict[str, Tensor]]:
    """Reads a model folder.

    Raises:
        ModelFileError: missing, damaged or foreign files.
    """
    try:
        tensors, words = load_tensors(Path(folder), STEM, FORMAT)
    except TensorFileError as error:
        raise ModelFileError(str(error)) from error
    wrong = [name for name, is_right in _RIGHT.items() if not is_right(words.get(name))]
    if wrong:
        raise ModelFileError(f"{Path(folder) / STEM}.json lacks or garbles {', '.join(wrong)}")
    return ModelDescription(**{field.name: words[field.name] for field in fields(ModelDescription)}), tensors


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_SIZE


_RIGHT: dict[str, Callable[[Any], bool]] = {
    "learner": lambda value: isinstance(value, str),
    "version": _is_count,
    "latent_size": _is_count,
    "settings": lambda value: isinstance(value, dict),
    "sizes": lambda value: isinstance(value, dict) and all(map(_is_count, value.values())),
}
"""What each word must be."""
