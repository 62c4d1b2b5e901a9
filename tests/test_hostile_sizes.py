"""No crafted file of less than 1 MB makes reading it take more than 1 GB."""

import json
import subprocess
import sys
import zipfile
import zlib

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch

from pluralbench.integrity import SMALLEST_LIMIT, words_checksum

MOST_BYTES = 1 << 30
LARGEST_FILE = 1_000_000

READ = """
import sys
from pathlib import Path
from pluralbench.benchmarks.commands.data import inspect
from pluralbench.envs.minari_files import import_minari
from pluralbench.errors import InputError
from pluralbench.files import read_json
from pluralbench.iql import Policy
from pluralbench.iql.checkpoints import load_checkpoint
from pluralbench.reward_learning.learners import load_model

readers = {"inspect": lambda path: inspect(type("", (), {"path": path})), "minari": import_minari, "json": read_json,
           "model": load_model, "policy": Policy.load, "checkpoint": load_checkpoint}
for path in map(Path, sys.argv[1:]):
    Path("/proc/self/clear_refs").write_text("5")  # forgets the most that has been in use
    try:
        readers[path.name.split("-")[0]](path)
        outcome = "read"
    except InputError as error:
        outcome = str(error).replace(str(path), path.name)[:120]
    most = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    print("result", path.name, most, outcome, sep="|")
"""


def packed(file, name, shape, dtype, chunk_rows):
    """A dataset of zeros, every chunk of which is stored, in a thousandth of its size."""
    chunk = (min(chunk_rows, shape[0]), *shape[1:])
    data = file.create_dataset(name, shape, dtype, chunks=chunk, compression="gzip")
    content = zlib.compress(bytes(int(np.prod(chunk)) * np.dtype(dtype).itemsize), 9)
    for start in range(0, shape[0], chunk[0]):
        data.id.write_direct_chunk((start, *[0] * (len(shape) - 1)), content)


def d4rl(path, num, size, dtype="f4"):
    with h5py.File(path, "w") as file:
        for name in ("observations", "next_observations", "actions"):
            packed(file, name, (num, 1 if name == "actions" else size), dtype, 1 << 20)
        for name in ("rewards", "terminals", "timeouts"):
            packed(file, name, (num,), dtype if name == "rewards" else "u1", 1 << 20)


def d4rl_unpacking_to_more(path):
    with h5py.File(path, "w") as file:
        for name in ("observations", "actions", "rewards", "terminals", "timeouts"):
            shape = (100, 2) if name in ("observations", "actions") else (100,)
            data = file.create_dataset(name, shape, "f4", chunks=shape, compression="gzip")
            packer = zlib.compressobj(9)
            chunk = b"".join(packer.compress(bytes(1 << 24)) for _ in range(8)) + packer.flush()
            data.id.write_direct_chunk((0,) * len(shape), chunk)


def preference_file(path, users, comparisons, size):
    with h5py.File(path, "w") as file:
        packed(file, "segments", (users, comparisons, 2, 1, size), "f4", users)
        for name, dtype in (("labels", "f4"), ("mask", "?")):
            file.create_dataset(name, (users, comparisons), dtype, chunks=True)
        for name in ("user_ids", "group_index"):
            file.create_dataset(name, (users,), "i8", chunks=True)
        file.create_dataset("goals", (users, 0), "f8")
        file["group_names"], file["provenance"] = np.bytes_(b'["a"]'), np.bytes_(b"{}")
        file.attrs["format"] = np.bytes_("pluralbench preferences 1")
        from pluralbench.hdf5_files import content_checksum

        file.flush()
        file.attrs["checksum"] = np.bytes_(content_checksum(file))


def preference_npz(path, users, **changes):
    arrays = {
        "segments": np.zeros((users, 1, 2, 1, 2), np.float32),
        "labels": np.zeros((users, 1), np.float32),
        "mask": np.zeros((users, 1), bool),
        "user_ids": np.zeros(users, np.int64),
        "group_index": np.zeros(users, np.int64),
        "goals": np.zeros((users, 0)),
        "group_names": np.array(["a"]),
        "provenance": np.array("{}"),
        "format": np.array("pluralbench preferences 1"),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, values in {**arrays, **changes}.items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, values)


def minari(folder, num, size):
    (folder / "data").mkdir(parents=True)
    box = {"type": "Box", "dtype": "float32", "low": [], "high": []}
    words = {
        "observation_space": json.dumps({**box, "shape": [size]}),
        "action_space": json.dumps({**box, "shape": [1]}),
    }
    (folder / "data" / "metadata.json").write_text(json.dumps({**words, "total_episodes": 1}))
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        packed(file, "episode_0/observations", (num + 1, size), "f4", num + 1)
        packed(file, "episode_0/actions", (num, 1), "f4", num)
        for name in ("rewards", "terminations", "truncations"):
            packed(file, f"episode_0/{name}", (num,), "f4", num)


def pair(folder, stem, tensors, words):
    folder.mkdir()
    payload = safetensors.torch.save(tensors)
    (folder / f"{stem}.safetensors").write_bytes(payload)
    import hashlib

    words = {**words, "sha256": hashlib.sha256(payload).hexdigest()}
    (folder / f"{stem}.json").write_text(json.dumps({**words, "checksum": words_checksum(words)}))


def model(folder, settings, sizes, learner="btl"):
    words = {"format": "pluralbench-reward-model-3", "learner": learner, "version": 1, "latent_size": 0}
    pair(folder, "model", {"a": torch.zeros(4)}, {**words, "settings": settings, "sizes": sizes})


def policy(folder, **changes):
    words = {"format": "pluralbench-iql-policy-4", "widths": [10**6, 10**6, 2], "features": {}, "latent_size": 0}
    tensors = {"actors": torch.zeros(1, 100), "mean": torch.zeros(3), "scale": torch.ones(3)}
    pair(folder, "policy", tensors, {**words, "discrete": False, "log_std_bounds": [-5, 2], **changes})


def checkpoint(folder):
    folder.mkdir()
    history = json.dumps({"metrics": [[]] * 200_000})
    words = {"format": "pluralbench-iql-checkpoint-3", "step": 1, "identity": {}, "history": history}
    pair(folder / "update_000000001", "state", {}, words)


NUM_NUMBERS = SMALLEST_LIMIT // 4
CRAFTED = {
    "inspect-long.hdf5": lambda path: d4rl(path, NUM_NUMBERS // 9, 2),
    "inspect-wide.hdf5": lambda path: d4rl(path, 2, NUM_NUMBERS // 5),
    "inspect-double.hdf5": lambda path: d4rl(path, NUM_NUMBERS // 9, 2, "f8"),
    "inspect-unpacks.hdf5": d4rl_unpacking_to_more,
    "inspect-preferences.hdf5": lambda path: preference_file(path, 1, 1, NUM_NUMBERS // 3),
    "inspect-users.hdf5": lambda path: preference_file(path, NUM_NUMBERS // 12, 1, 1),
    "inspect-zeros.npz": lambda path: preference_npz(path, NUM_NUMBERS // 12),
    "inspect-names.npz": lambda path: preference_npz(path, 1, group_names=np.full((1 << 22) - 1, "ab", "U2")),
    "inspect-lists.npz": lambda path: preference_npz(path, 1, provenance=np.array(f'{{"a": [{"[]," * 2_790_000}[]]}}')),
    "inspect-texts.npz": lambda path: preference_npz(path, 1, provenance=np.array("[" * (NUM_NUMBERS - 10_000))),
    "inspect-format.npz": lambda path: preference_npz(path, 1, format=np.array("\U0010ffff" * (NUM_NUMBERS - 10_000))),
    "minari-v0": lambda path: minari(path, NUM_NUMBERS // 9, 2),
    "json-lists": lambda path: path.write_text(f'{{"a": [{"[]," * 330_000}[]]}}'),
    "model-layers": lambda path: model(path, {"num_layers": 10**6}, {"observation_size": 2}),
    "model-wide": lambda path: model(path, {"hidden_size": 60_000}, {"observation_size": 2}),
    "model-observations": lambda path: model(path, {}, {"observation_size": 10**9}),
    "model-groups": lambda path: model(path, {}, {"observation_size": 2, "num_groups": 10**9}, "maxmin"),
    "policy-wide": policy,
    "policy-deep": lambda path: policy(path, widths=[1] * 300_000),
    "policy-features": lambda path: policy(
        path, features={"sinusoid_columns": [0] * 90_000, "wavelengths": [1.0] * 90_000}
    ),
    "checkpoint": checkpoint,
}


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_no_small_file_takes_a_gigabyte(tmp_path):
    paths = []
    for name, craft in CRAFTED.items():
        craft(tmp_path / name)
        paths.append(tmp_path / name)
        files = [path for path in [paths[-1], *paths[-1].rglob("*")] if path.is_file()]
        assert sum(path.stat().st_size for path in files) < LARGEST_FILE, name
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({8 << 30}, {8 << 30}))\n"
    done = subprocess.run(
        [sys.executable, "-c", limit + READ, *map(str, paths)], capture_output=True, text=True, check=False
    )
    results = [line.split("|", 3)[1:] for line in done.stdout.splitlines() if line.startswith("result|")]
    assert [name for name, *_ in results] == list(CRAFTED), done.stderr[-2_000:]
    outcomes = {name: outcome for name, _, outcome in results}
    assert {name for name, outcome in outcomes.items() if outcome == "read"} == READ_ALL_THE_SAME, outcomes
    assert all(int(most) * 1024 < MOST_BYTES for _, most, _ in results), "\n".join(map(str, results))


READ_ALL_THE_SAME = {
    "inspect-long.hdf5",
    "inspect-wide.hdf5",
    "inspect-double.hdf5",
    "inspect-preferences.hdf5",
    "inspect-users.hdf5",
    "inspect-zeros.npz",
    "inspect-names.npz",
    "inspect-lists.npz",
    "minari-v0",
    "json-lists",
    "checkpoint",
}
"""As large as the rules let a file of this size be."""
