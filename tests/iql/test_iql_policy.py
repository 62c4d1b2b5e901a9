import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

from pluralbench.errors import InputError
from pluralbench.feature_map import FeatureMap
from pluralbench.features import InputFeatures
from pluralbench.integrity import words_checksum
from pluralbench.iql import IQLError, Policy, UserPolicy
from pluralbench.iql.networks import num_parameters
from pluralbench.tensor_files import TensorFileError, save_tensors


def make_policy(num_runs: int = 2, latent_size: int = 2, discrete: bool = False, observation_size: int = 3) -> Policy:
    generator = torch.Generator().manual_seed(0)
    features = InputFeatures(sinusoid_columns=(0,), wavelengths=(4.0,))
    mapping = FeatureMap(features, observation_size)
    mapping.normalize_by(torch.randn(100, observation_size, generator=generator))
    widths = (mapping.size + latent_size + 2, 16, 16, 2)
    actors = torch.randn(num_runs, num_parameters(widths) + 2, generator=generator)
    return Policy(actors, widths, mapping, latent_size, discrete)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_act_equals_a_network_written_out() -> None:
    policy, observations, latents = make_policy(), random(2, 5, 3), random(2, 5, 2)
    for run in range(2):
        hidden = torch.cat([policy.features(torch.from_numpy(observations[run])), torch.from_numpy(latents[run])], 1)
        flat, offset = policy.actors[run], 0
        for layer, (before, after) in enumerate(zip(policy.widths[:-1], policy.widths[1:], strict=True)):
            weight = flat[offset : offset + before * after]
            weight = weight.view(after, before).T if layer == 2 else weight.view(before, after)[: hidden.shape[1]]
            bias = flat[offset + before * after :][:after]
            hidden = (hidden.relu() if layer else hidden) @ weight + bias
            offset += (before + 1) * after
        actions = policy.act(observations, latents)
        assert actions.shape == (2, 5, 2)
        assert np.allclose(actions[run], hidden.tanh(), atol=1e-6)


def test_sampled_actions_follow_the_deviation_and_stay_in_bounds() -> None:
    policy = make_policy(num_runs=1, latent_size=0)
    policy.actors.mul_(0.1)  # away from the bounds of the action
    policy = Policy(policy.actors, policy.widths, policy.features, 0, False)
    policy.actors[:, -2:] = torch.tensor([-9.0, 0.0])  # the first is lifted to the bound of -5
    observations = np.repeat(random(1, 1, 3), 4000, axis=1)
    mean = policy.act(observations)
    generator = torch.Generator().manual_seed(0)
    sampled = policy.act(observations, deterministic=False, generator=generator)
    assert np.isclose((sampled - mean)[..., 0].std(), np.exp(-5), rtol=0.1)
    assert np.abs(sampled).max() == 1.0
    again = policy.act(observations, deterministic=False, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(sampled, again)
    with pytest.raises(IQLError, match="needs a generator"):
        policy.act(observations, deterministic=False)


def test_discrete_choices() -> None:
    policy = make_policy(num_runs=1, discrete=True)
    observations, latents = np.repeat(random(1, 1, 3), 4000, axis=1), random(1, 1, 2)
    probability = policy.probabilities(observations, latents)[0, 0]
    assert (policy.act(observations, latents) == probability.argmax().item()).all()
    policy.actors.mul_(0.3)
    policy = Policy(policy.actors, policy.widths, policy.features, 2, True)
    probability = policy.probabilities(observations, latents)[0, 0]
    sampled = policy.act(observations, latents, deterministic=False, generator=torch.Generator().manual_seed(0))
    assert np.isclose((sampled == 1).mean(), probability[1].item(), atol=0.03)


@pytest.mark.parametrize("discrete", [False, True])
def test_predict_is_act_of_that_run(discrete: bool, tmp_path: Path) -> None:
    policy, observations, latent = make_policy(discrete=discrete), random(7, 3), random(2)
    user = policy.for_user(1, latent)
    expected = policy.act(np.stack([observations] * 2), latent)[1]
    actions, state = user.predict(observations, state=None, episode_start=np.ones(7, bool))
    assert np.allclose(actions, expected, atol=1e-6)
    assert state is None
    single, _ = user.predict(observations[2])
    assert np.shape(single) == expected.shape[1:]
    assert np.allclose(single, expected[2], atol=1e-6)
    user.save(tmp_path)
    again = UserPolicy.load(tmp_path)
    assert np.array_equal(again.predict(observations)[0], actions)


def test_save_and_load_give_the_same_numbers(tmp_path: Path) -> None:
    policy, observations, latents = make_policy(), random(2, 5, 3), random(2, 1, 2)
    policy.save(tmp_path)
    again = Policy.load(tmp_path)
    assert np.array_equal(again.act(observations, latents), policy.act(observations, latents))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy.json", "policy.safetensors"]


def edit(folder: Path, **changes: object) -> None:
    """Changes words of policy.json as somebody would who knows its checksum; None takes one away."""
    words = {**json.loads((folder / "policy.json").read_text()), **changes}
    words = {name: value for name, value in words.items() if name != "checksum" and value is not None}
    (folder / "policy.json").write_text(json.dumps({**words, "checksum": words_checksum(words)}))


def test_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(TensorFileError, match=r"policy.json: no such file"):
        Policy.load(tmp_path)
    make_policy().save(tmp_path)
    whole = (tmp_path / "policy.safetensors").read_bytes()
    (tmp_path / "policy.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TensorFileError, match=r"policy.safetensors: damaged"):
        Policy.load(tmp_path)
    (tmp_path / "policy.json").write_text("policy")
    with pytest.raises(TensorFileError, match="no JSON"):
        Policy.load(tmp_path)


FEATURES = {"sinusoid_columns": [0], "wavelengths": [4.0], "differences": []}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "expected the format 'pluralbench-iql-policy-4', found 'other'"),
        ({"format": "pluralbench-iql-policy-3"}, "written by an older version of this program: make it again"),
        ({"widths": [3, 4, 2]}, "does not fit the layer widths"),
        ({"widths": [10**9, 10**9, 2]}, "does not fit the layer widths"),
        ({"widths": [7]}, "widths in policy.json should be two or more positive whole numbers"),
        ({"widths": [7, 0, 2]}, "widths in policy.json should be"),
        ({"widths": [7.0, 16, 16, 2]}, "widths in policy.json should be"),
        ({"widths": "7"}, "widths in policy.json should be"),
        ({"features": {**FEATURES, "wavelengths": [4.0, 2.0]}}, "features in policy.json do not fit"),
        ({"features": {**FEATURES, "sinusoid_columns": [9]}}, "does not fit the features in policy.json"),
        ({"features": {**FEATURES, "differences": [[[0, 1], [1, 2]]]}}, "does not fit the features in policy.json"),
        ({"features": {"colums": [1]}}, "features.colums"),
        ({"features": 5}, "features in policy.json should be an object"),
        ({"latent_size": 1}, "do not fit its layer widths"),
        ({"latent_size": -2}, "latent_size in policy.json should be a whole number"),
        ({"latent_size": True}, "latent_size in policy.json should be a whole number"),
        ({"discrete": 1}, "discrete in policy.json should be true or false"),
        ({"log_std_bounds": [2.0, -5.0]}, "the lower one first"),
        ({"log_std_bounds": [-5.0]}, "log_std_bounds in policy.json should be two numbers"),
        ({"log_std_bounds": [-5.0, 10**400]}, "log_std_bounds in policy.json should be two numbers"),
        ({"widths": None}, "policy.json lacks 'widths'"),
        ({"discrete": None}, "policy.json lacks 'discrete'"),
    ],
)
def test_impossible_words_are_named(changes: dict, message: str, tmp_path: Path) -> None:
    make_policy().save(tmp_path)
    edit(tmp_path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        Policy.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["widths", "features", "latent_size", "discrete", "log_std_bounds", "sha256"])
def test_words_that_changed_unnoticed_are_noticed(name: str, tmp_path: Path) -> None:
    make_policy().save(tmp_path)
    words = json.loads((tmp_path / "policy.json").read_text())
    words[name] = not words[name] if name == "discrete" else words[name] * 2 if name != "features" else {}
    (tmp_path / "policy.json").write_text(json.dumps(words))
    with pytest.raises(TensorFileError, match=r"policy.json: damaged"):
        Policy.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("actors", torch.zeros(5)),
        ("actors", torch.zeros(0, 562)),
        ("actors", None),
        ("mean", torch.zeros(())),
        ("mean", torch.zeros(3, dtype=torch.int64)),
        ("scale", torch.zeros(4)),
        ("centres", torch.zeros(2, 3, 9)),
    ],
)
def test_tensors_that_do_not_fit_are_named(name: str, tensor: torch.Tensor | None, tmp_path: Path) -> None:
    tensors, words = make_policy()._parts()
    tensors = {key: value for key, value in {**tensors, name: tensor}.items() if value is not None}
    save_tensors(tmp_path, "policy", tensors, words)
    with pytest.raises(IQLError, match=r"policy.safetensors"):
        Policy.load(tmp_path)


def test_a_users_policy_has_one_actor(tmp_path: Path) -> None:
    tensors, words = make_policy(num_runs=2)._parts()
    save_tensors(tmp_path, "user_policy", {**tensors, "latent": torch.zeros(2)}, words)
    with pytest.raises(IQLError, match="holds 2 actors, expected one"):
        UserPolicy.load(tmp_path)


def test_wrong_shapes_are_named() -> None:
    policy = make_policy()
    with pytest.raises(IQLError, match=r"observations must be \(2, B, 3\), are \(1, 5, 3\)"):
        policy.act(random(1, 5, 3), random(2))
    with pytest.raises(IQLError, match="needs latents of size 2"):
        policy.act(random(2, 5, 3))
    with pytest.raises(IQLError, match="latents must have size 2, have 3"):
        policy.act(random(2, 5, 3), random(3))
    with pytest.raises(IQLError, match="run must lie in 0 to 1"):
        policy.for_user(2, random(2))
    with pytest.raises(IQLError, match=r"latent must be \(2,\)"):
        policy.for_user(0, random(3))
    with pytest.raises(IQLError, match=r"an observation is \(3,\) or \(B, 3\)"):
        policy.for_user(0, random(2)).predict(random(4))


def test_evaluate_policy_of_stable_baselines3_runs_it() -> None:
    evaluation = pytest.importorskip("stable_baselines3.common.evaluation")
    policy = make_policy(num_runs=1, latent_size=1)
    environment = gym.make("Pendulum-v1", max_episode_steps=20)
    user = Policy(policy.actors[:, :-1], (*policy.widths[:-1], 1), policy.features, 1, False).for_user(0, [0.5])
    rewards, lengths = evaluation.evaluate_policy(
        user, environment, n_eval_episodes=3, return_episode_rewards=True, warn=False
    )
    assert lengths == [20, 20, 20]
    assert all(np.isfinite(rewards))
