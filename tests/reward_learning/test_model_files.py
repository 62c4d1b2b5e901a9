import json

import pytest
import torch

from pluralbench.reward_learning.learners import load_model
from pluralbench.reward_learning.model_files import ModelFile, ModelFileError, read_model_file, save_model_file

MODEL = ModelFile("btl", {"hidden_size": 8}, {"observation_size": 2}, {"weight": torch.arange(6.0).reshape(2, 3)})


def edit(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_is_saved_is_read_again(tmp_path):
    save_model_file(tmp_path / "new" / "folder", MODEL)
    read = read_model_file(tmp_path / "new" / "folder", "btl")
    assert (read.learner, read.settings, read.sizes) == (MODEL.learner, MODEL.settings, MODEL.sizes)
    assert torch.equal(read.tensors["weight"], MODEL.tensors["weight"])
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["model.json", "model.safetensors"]


def test_another_learner_is_refused_by_name(tmp_path):
    save_model_file(tmp_path, MODEL)
    with pytest.raises(ModelFileError, match="holds a 'btl' model, expected 'vpl'"):
        read_model_file(tmp_path, "vpl")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: edit(folder, version=2), "has version 2; this program reads version 1"),
        (lambda folder: edit(folder, format="something"), "describes no reward model"),
        (lambda folder: edit(folder, sizes=[1]), "lacks or garbles sizes"),
        (lambda folder: (folder / "model.json").write_text("{"), "is no JSON"),
        (lambda folder: (folder / "model.json").write_text("[]"), "describes no reward model"),
        (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe\x00"), "is no JSON text"),
        (lambda folder: (folder / "model.json").unlink(), "model.json cannot be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors cannot be read"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"text"), "is damaged or of another model"),
    ],
)
def test_damaged_and_foreign_files_are_named(tmp_path, spoil, message):
    save_model_file(tmp_path, MODEL)
    spoil(tmp_path)
    with pytest.raises(ModelFileError, match=message) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_flipped_bit_in_the_tensors_is_noticed(tmp_path):
    save_model_file(tmp_path, MODEL)
    path = tmp_path / "model.safetensors"
    payload = bytearray(path.read_bytes())
    payload[-3] ^= 1
    path.write_bytes(bytes(payload))
    with pytest.raises(ModelFileError, match="checksum"):
        read_model_file(tmp_path)


def test_tensors_that_do_not_fit_the_learner_are_refused(tmp_path):
    save_model_file(tmp_path, ModelFile("btl", {}, {"observation_size": 2}, {"weight": torch.zeros(3)}))
    with pytest.raises(ModelFileError, match="does not fit the learner 'btl'"):
        load_model(tmp_path)
