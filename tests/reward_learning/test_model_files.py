import json

import pytest
import torch

from pluralbench.integrity import words_checksum
from pluralbench.registry import UnknownNameError
from pluralbench.reward_learning.learners import load_model
from pluralbench.reward_learning.model_files import ModelDescription, ModelFileError, read_model_file, save_model_file

MODEL = ModelDescription("btl", 1, 0, {"hidden_size": 8}, {"observation_size": 2})
TENSORS = {"weight": torch.arange(6.0).reshape(2, 3)}


def edit(folder, **changes):
    """Changes words of model.json as somebody would who knows its checksum."""
    path = folder / "model.json"
    words = {**json.loads(path.read_text()), **changes}
    del words["checksum"]
    path.write_text(json.dumps({**words, "checksum": words_checksum(words)}))


def edit_blindly(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_is_saved_is_read_again(tmp_path):
    folder = tmp_path / "new" / "folder"
    save_model_file(folder, MODEL, TENSORS)
    description, tensors = read_model_file(folder)
    assert description == MODEL
    assert torch.equal(tensors["weight"], TENSORS["weight"])
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: edit(folder, version=2), "holds version 2 of 'btl', this program has version 1"),
        (lambda folder: edit(folder, version=True), "lacks or garbles version"),
        (lambda folder: edit(folder, latent_size=-1), "lacks or garbles latent_size"),
        (lambda folder: edit(folder, learner=["btl"]), "lacks or garbles learner"),
        (lambda folder: edit(folder, format="something"), "expected the format"),
        (lambda folder: edit(folder, format="pluralbench-reward-model-2"), "an older version of this program: make it"),
        (lambda folder: edit(folder, format="pluralbench-reward-model-99"), "a newer version of this program"),
        (lambda folder: edit(folder, sizes=[1]), "lacks or garbles sizes"),
        (lambda folder: edit(folder, sizes={"observation_size": "2"}), "lacks or garbles sizes"),
        (lambda folder: edit(folder, sizes={"observation_size": True}), "lacks or garbles sizes"),
        (lambda folder: edit(folder, sizes={"observation_size": 10**20}), "lacks or garbles sizes"),
        (lambda folder: edit(folder, sizes={}), "does not fit the learner 'btl': 'observation_size' missing"),
        (lambda folder: edit(folder, settings={"hiden_size": 8}), "does not fit the learner 'btl': unknown setting"),
        (lambda folder: edit_blindly(folder, version=2), "model.json: damaged, its content does not have the checksum"),
        (lambda folder: edit_blindly(folder, sha256="0" * 64), "model.json: damaged"),
        (lambda folder: edit_blindly(folder, further=1), "model.json: damaged"),
        (lambda folder: (folder / "model.json").write_text("{"), "is no JSON"),
        (lambda folder: (folder / "model.json").write_text("[" * 9_000), "nested too deeply"),
        (lambda folder: (folder / "model.json").write_text("[]"), "holds a list, expected a JSON object"),
        (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe\x00"), "is no text in UTF-8"),
        (lambda folder: (folder / "model.json").unlink(), "model.json: no such file"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: no such file"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"text"), "damaged or of another pair"),
    ],
)
def test_damaged_and_foreign_files_are_named(tmp_path, spoil, message):
    save_model_file(tmp_path, MODEL, TENSORS)
    spoil(tmp_path)
    with pytest.raises(ModelFileError, match=message) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_flipped_bit_in_the_tensors_is_noticed(tmp_path):
    save_model_file(tmp_path, MODEL, TENSORS)
    path = tmp_path / "model.safetensors"
    payload = bytearray(path.read_bytes())
    payload[-3] ^= 1
    path.write_bytes(bytes(payload))
    with pytest.raises(ModelFileError, match="checksum"):
        read_model_file(tmp_path)


def test_tensors_that_do_not_fit_the_learner_are_refused(tmp_path):
    save_model_file(tmp_path, MODEL, {"weight": torch.zeros(3)})
    with pytest.raises(ModelFileError, match="does not fit the learner 'btl'"):
        load_model(tmp_path)


def test_an_oracle_for_goals_of_another_size_is_refused(tmp_path, line):
    save_model_file(tmp_path, ModelDescription("oracle", 1, 3, {"rationality": "inf"}, {}), {})
    with pytest.raises(ModelFileError, match="an oracle for goals of 3 numbers, the task line has 1"):
        load_model(tmp_path, task=line.task)


def test_a_file_never_decides_what_code_is_run(tmp_path):
    plugin = tmp_path / "evil.py"
    plugin.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    save_model_file(tmp_path, ModelDescription(f"{plugin}:Evil", 1, 0, {}, {}), {})
    with pytest.raises(UnknownNameError, match="unknown learner"):
        load_model(tmp_path)
    assert not (tmp_path / "ran").exists()
