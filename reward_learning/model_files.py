"""Model files: tensors as safetensors, everything else as JSON beside them. Loading runs no code from either.

folder/
  model.safetensors   the network's parameters and buffers by name
  model.json          {"format": "pluralbench-reward-model", "version": 1, "learner": "vpl",
                       "settings": {...}, "sizes": {"observation_size": 4, ...}, "sha256": of model.safetensors}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from pluralbench.files import replace_file, write_text

FORMAT = "pluralbench-reward-model"
VERSION = 1


class ModelFileError(ValueError):
    """A model file that is missing, damaged, foreign, of another learner or another version; one line."""


@dataclass(frozen=True)
class ModelFile:
    """What a model folder holds.

    Attributes:
        learner: the learner's name.
        settings: its settings, JSON values.
        sizes: whole numbers that the network's shape depends on.
        tensors: the parameters and buffers by name.
    """

    learner: str
    settings: dict[str, Any]
    sizes: dict[str, int]
    tensors: dict[str, Tensor]


def save_model_file(folder: Path, model: ModelFile) -> None:
    """Writes a model beside what is there and renames it over, the tensors first.

    A killed run leaves the old pair, the new pair, or new tensors with an old description, whose checksum then refuses
    them: never half a model that loads.
    """
    folder = Path(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.tensors.items()}
    payload = safetensors.torch.save(tensors)
    description = {
        "format": FORMAT,
        "version": VERSION,
        "learner": model.learner,
        "settings": model.settings,
        "sizes": model.sizes,
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    with replace_file(folder / "model.safetensors") as path:
        path.write_bytes(payload)
    write_text(folder / "model.json", json.dumps(description, indent=2) + "\n")


def read_model_file(folder: Path, learner: str | None = None) -> ModelFile:
    """Reads a model folder.

    Args:
        folder: as `save_model_file` wrote it.
        learner: refuse the file of any other learner.

    Raises:
        ModelFileError: missing, damaged or foreign files, another learner or another version.
    """
    folder = Path(folder)
    description = _read_description(folder / "model.json")
    if learner is not None and description["learner"] != learner:
        raise ModelFileError(f"{folder} holds a {description['learner']!r} model, expected {learner!r}")
    path = folder / "model.safetensors"
    try:
        payload = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror}); expected the model's tensors") from error
    if hashlib.sha256(payload).hexdigest() != description["sha256"]:
        raise ModelFileError(f"{path} is damaged or of another model: its checksum is not the one in model.json")
    try:
        tensors = safetensors.torch.load(payload)
    except SafetensorError as error:
        raise ModelFileError(f"{path} is no safetensors file: {error}") from error
    return ModelFile(description["learner"], description["settings"], description["sizes"], tensors)


def _read_description(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror}); expected a saved reward model") from error
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path} is no JSON text; expected a saved reward model") from error
    try:
        description = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelFileError(f"{path} is no JSON: {error}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ModelFileError(f"{path} describes no reward model; expected the format {FORMAT!r}")
    if description.get("version") != VERSION:
        raise ModelFileError(f"{path} has version {description.get('version')!r}; this program reads version {VERSION}")
    kinds = {"learner": str, "settings": dict, "sizes": dict, "sha256": str}
    wrong = [name for name, kind in kinds.items() if not isinstance(description.get(name), kind)]
    if wrong:
        raise ModelFileError(f"{path} lacks or garbles {', '.join(wrong)}")
    return description
