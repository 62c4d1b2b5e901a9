"""Model files whose settings ask for more than their tensors fill."""

import json
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from pluralbench.integrity import words_checksum
from pluralbench.reward_learning.bounded_build import build_to_fit
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.learners import load_model, make_learner
from pluralbench.reward_learning.model_files import ModelDescription, ModelFileError, save_model_file
from pluralbench.reward_learning.network_learner import NetworkLearner
from pluralbench.tensor_files import load_tensors, save_tensors

SMALL = {"hidden_size": 4, "num_layers": 1, "num_updates": 1}


@pytest.fixture
def saved(line, tmp_path):
    def save(name, **settings):
        model = make_learner(name, {**SMALL, **settings})
        preferences = line.preferences(8, 4)
        model.start(preferences, 0, **({"num_groups": 2} if name == "maxmin" else {}))
        model.save(tmp_path)
        load_model(tmp_path)
        return tmp_path

    return save


def edit(folder, part, **changes):
    words = json.loads((folder / "model.json").read_text())
    words[part] |= changes
    del words["checksum"]
    (folder / "model.json").write_text(json.dumps({**words, "checksum": words_checksum(words)}))


@pytest.mark.parametrize(
    ("name", "settings", "part", "changes"),
    [
        ("btl", {}, "settings", {"num_layers": 100}),
        ("btl", {}, "settings", {"hidden_size": 60_000}),
        ("btl", {}, "sizes", {"observation_size": 10**9}),
        ("btl", {}, "sizes", {"observation_size": 3}),
        ("vpl", {}, "settings", {"latent_size": 60_000}),
        ("vpl", {"encoder": "flat"}, "sizes", {"num_comparisons": 10**9, "segment_length": 10**9}),
        ("maxmin", {}, "sizes", {"num_groups": 10**9}),
        ("maxmin", {}, "sizes", {"num_groups": 0}),
        ("lore", {}, "settings", {"num_bases": 60_000}),
        ("spl", {}, "settings", {"flow_hidden_size": 60_000, "num_flow_layers": 100}),
        ("dpl-categorical", {}, "settings", {"num_atoms": 60_000}),
    ],
)
def test_a_model_is_no_larger_than_its_file(name, settings, part, changes, saved):
    folder = saved(name, **settings)
    edit(folder, part, **changes)
    with pytest.raises(ModelFileError, match=f"does not fit the learner '{name}'") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class _DeepSettings:
    """Without any bound, as somebody else's learner may be."""

    num_layers: int = 2
    width: int = 3


class _Deep(NetworkLearner):
    name = "deep"
    settings_type = _DeepSettings
    built = 0

    def build(self):
        _Deep.built = 0
        network = nn.Sequential()
        for _ in range(self.settings.num_layers):
            _Deep.built += 1
            network.append(nn.Linear(self.settings.width, self.settings.width))
            network.append(nn.ReLU())
        return network

    def reward(self, observations, latents):
        return self.network(observations).sum(-1)


class _NeedsNumbers(_Deep):
    """Asks a tensor for its numbers while it is built, which PyTorch's device `meta` does not have."""

    name = "needs-numbers"

    def build(self):
        width = int(torch.full((1,), self.settings.width).item())
        return nn.Sequential(nn.Linear(width, width))


def save(learner, folder, **settings):
    tensors = learner().build().state_dict()
    save_model_file(folder, ModelDescription(learner.name, 1, 0, settings, {}), dict(tensors))


def test_a_learner_from_elsewhere_is_stopped_while_it_is_built(tmp_path):
    save(_Deep, tmp_path)
    assert _Deep.load(tmp_path).built == 2
    for settings in ({"num_layers": 10**9}, {"width": 10**6}, {"width": 10**10}, {"num_layers": 1}):
        save(_Deep, tmp_path, **settings)
        with pytest.raises(ModelFileError, match="does not fit the learner 'deep'"):
            _Deep.load(tmp_path)
        assert _Deep.built < 1_000


def test_a_learner_that_needs_numbers_to_be_built_is_read_and_bounded_too(tmp_path):
    save(_NeedsNumbers, tmp_path)
    assert _NeedsNumbers.load(tmp_path).network[0].weight.shape == (3, 3)
    for width in (5, 10**5, 10**7):
        save(_NeedsNumbers, tmp_path, width=width)
        with pytest.raises(ModelFileError, match="does not fit the learner 'needs-numbers'"):
            _NeedsNumbers.load(tmp_path)


def test_tensors_of_other_names_or_shapes_are_named():
    state = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}
    assert build_to_fit(lambda: nn.Linear(3, 2), state).weight.device.type == "cpu"
    with pytest.raises(LearnerError, match="tensors are others than the learner's: bias"):
        build_to_fit(lambda: nn.Linear(3, 2, bias=False), state)
    with pytest.raises(LearnerError, match=r"weight should be \(3, 2\), is \(2, 3\)"):
        build_to_fit(lambda: nn.Linear(2, 3), {**state, "bias": torch.zeros(3)})


def test_nothing_is_watched_afterwards():
    with pytest.raises(LearnerError, match="a larger network than its tensors fill"):
        build_to_fit(lambda: nn.Sequential(*(nn.ReLU() for _ in range(2_000))), {})
    assert len(nn.Sequential(*(nn.Linear(1, 1) for _ in range(2_000)))) == 2_000


@pytest.mark.parametrize("name", ["settings", "device", "task", "sizes", "latent_size", "fit", "__class__"])
def test_no_tensor_takes_the_place_of_something_else(name, tmp_path):
    save_model_file(tmp_path, ModelDescription("no-reward", 1, 0, {}, {}), {name: torch.zeros(1)})
    with pytest.raises(ModelFileError, match="would replace the learner's own"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("fitted", torch.zeros(2, 5)),
        ("fitted", torch.zeros(2, 5, dtype=torch.float64)),
        ("fingerprints", torch.zeros(2, 31, dtype=torch.uint8)),
        ("fingerprints", torch.zeros(2, 32)),
    ],
)
def test_networks_of_single_users_fit_what_is_said_of_them(name, tensor, line, tmp_path):
    model = make_learner("individual", {"hidden_size": 4, "num_layers": 1, "num_steps": 1})
    model.fit(line.preferences(8, 4), 0)
    model.infer(line.preferences(2, 4))
    model.save(tmp_path)
    load_model(tmp_path)
    tensors, words = load_tensors(tmp_path, "model", json.loads((tmp_path / "model.json").read_text())["format"])
    save_tensors(tmp_path, "model", {**tensors, name: tensor}, words)
    with pytest.raises(ModelFileError, match=f"does not fit the learner 'individual': {name} should be"):
        load_model(tmp_path)


@pytest.mark.parametrize("shape", [(3,), (3, 2, 4, 9), (3, 3, 4, 2)])
def test_the_questions_of_bayes_are_pairs_of_segments(shape, line, tmp_path):
    save_model_file(tmp_path, ModelDescription("bayes", 1, 1, {}, {}), {"reference_pairs": torch.zeros(shape)})
    with pytest.raises(ModelFileError, match="reference_pairs should be"):
        load_model(tmp_path, task=line.task)
