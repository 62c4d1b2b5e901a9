"""users.npz: a saved run acts again for each user on whom it was scored, with the very same actions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pluralbench.array_files import load_arrays, save_arrays
from pluralbench.benchmarks.commands.cli import main
from pluralbench.benchmarks.results import ResultsError, load_served_users, read_success_rates
from pluralbench.benchmarks.results.served_users import FORMAT, ServedUsers, save_served_users
from pluralbench.benchmarks.stages import immediate_policies, iql_policy
from pluralbench.benchmarks.stages.evaluate import FINAL
from pluralbench.envs import environments
from pluralbench.iql import Policy
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.reward_learning.learners import load_model

QUICKLY = ("evaluation.users_per_group=3", "evaluation.episodes=1", "evaluation.num_curve_points=1")


def watched(patch, module, watch):
    """Has `module` tell of every final evaluation what its policies see, for whom, and what they do."""
    run_episodes = module.run_episodes

    def watching(environment, act, goals, episodes, seed, *rest):
        def acting(observations, jobs):
            actions = act(observations, jobs)
            if seed == FINAL:
                watch.append((observations.copy(), jobs.copy(), actions.copy()))
            return actions

        return run_episodes(environment, acting if callable(act) else act, goals, episodes, seed, *rest)

    patch.setattr(module, "run_episodes", watching)


def seen_of(module, method, folder, data_dir, environment):
    """What the policy of one method saw, for whom, and did when it was scored."""
    seen = []
    command = (environment, "--preset", "smoke", "--suite", "own", "--methods", method, "--set", *QUICKLY)
    with pytest.MonkeyPatch.context() as patch:
        watched(patch, module, seen)
        assert main([*command, "--out", str(folder), "--data-dir", str(data_dir)]) == 0
    return seen


@pytest.mark.parametrize("method", ["vpl", "oracle", "btl", "bc"])
def test_a_loaded_policy_with_the_stored_latents_does_what_was_scored(method, no_pictures, tmp_path, data_dir):
    seen = seen_of(iql_policy, method, tmp_path, data_dir, "maze")
    folder = tmp_path / "own" / "maze" / method / "seed_0"
    policy, users = Policy.load(folder / "policy"), load_served_users(folder / "users.npz")
    assert [rate.user for rate in read_success_rates(tmp_path / "own")] == users.ids.tolist()
    for observations, jobs, actions in seen[:50]:
        np.testing.assert_array_equal(policy.act(observations[None], users.latents[jobs][None])[0], actions)
        one = int(jobs[-1])
        action, _ = policy.for_user(0, users.latent_of(users.ids[one])).predict(observations[-1])
        np.testing.assert_allclose(action, actions[-1], atol=1e-6)
    shapes = {"vpl": (8, 8), "oracle": (3, 0), "btl": (0, 0), "bc": (0, 0)}
    assert (users.latents.shape[1], users.answers.num_comparisons) == shapes[method]
    if method == "vpl":
        model = load_model(tmp_path / "own" / "maze" / "reward_models" / "vpl" / "seed_0")
        np.testing.assert_array_equal(model.infer(users.answers).mean, users.latents)
        assert len(np.unique(users.latents, axis=0)) == len(users.ids)


@pytest.mark.parametrize("learner", ["vpl", "individual"])
def test_a_greedy_policy_is_the_reward_model_under_the_stored_latents(learner, no_pictures, tmp_path, data_dir):
    seen = seen_of(immediate_policies, learner, tmp_path, data_dir, "habitat-rearrange")
    folder = tmp_path / "own" / "habitat-rearrange"
    users = load_served_users(folder / learner / "seed_0" / "users.npz")
    model = load_model(folder / "reward_models" / learner / "seed_0")
    latents = model.infer(users.answers).mean
    if learner == "vpl":  # the networks of `individual` are numbered as they are fitted
        np.testing.assert_array_equal(latents, users.latents)
    outcomes_of = environments.get("habitat-rearrange").outcomes
    for observations, jobs, actions in seen:
        with torch.no_grad():
            rewards = model.reward(torch.as_tensor(outcomes_of(observations)), latents[jobs][:, None])
        np.testing.assert_array_equal(rewards.argmax(1), actions)


def test_a_finished_run_of_before_is_not_run_again(no_pictures, tmp_path, data_dir):
    seen_of(iql_policy, "btl", tmp_path, data_dir, "maze")
    folder = tmp_path / "own" / "maze" / "btl" / "seed_0"
    (folder / "users.npz").unlink()
    written = (folder / "summary.json").stat().st_mtime_ns
    command = ("maze", "--preset", "smoke", "--suite", "own", "--methods", "btl", "--set", *QUICKLY, "--resume")
    assert main([*command, "--out", str(tmp_path), "--data-dir", str(data_dir)]) == 0
    assert (folder / "summary.json").stat().st_mtime_ns == written


def users(num_users=5, num_answers=3, num_states=4, num_columns=2):
    rng = np.random.default_rng(0)
    states = rng.normal(size=(num_states, 2, num_columns)).astype(np.float32)
    states[:2] = 0.0
    states[1, 0, 0] = -0.0
    asked = rng.integers(num_states, size=(num_users, num_answers, 2))
    answers = PreferenceDataset(
        segments=states[asked],
        labels=rng.choice([0.0, 0.5, 1.0], size=(num_users, num_answers)).astype(np.float32),
        mask=rng.random((num_users, num_answers)) < 0.8,
        user_ids=np.arange(num_users) * 7,
        group_names=("nörd", "b"),
        group_index=np.arange(num_users) % 2,
        goals=rng.normal(size=(num_users, 3)),
    )
    return ServedUsers(rng.normal(size=(num_users, 8)).astype(np.float32), answers)


@pytest.mark.parametrize("num_answers", [0, 3])
def test_what_was_written_is_read_bit_for_bit(num_answers, tmp_path):
    written = users(num_answers=num_answers)
    save_served_users(tmp_path / "users.npz", written)
    found = load_served_users(tmp_path / "users.npz")
    np.testing.assert_array_equal(found.latents, written.latents)
    assert found.answers.fingerprint == written.answers.fingerprint
    np.testing.assert_array_equal(found.latent_of(14), written.latents[2])
    with pytest.raises(ResultsError, match="user 13 is none of the 5 users on whom the run was scored"):
        found.latent_of(13)


def test_twelve_thousand_users_take_little_room(tmp_path):
    """Each has answers of 1 kB."""
    save_served_users(tmp_path / "users.npz", users(12_000, num_answers=8, num_states=2_000, num_columns=8))
    assert (tmp_path / "users.npz").stat().st_size < 1.5e6


def without(arrays, name):
    return {key: values for key, values in arrays.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: without(arrays, "mask"), "expected goals, group_index"),
        (lambda arrays: {**arrays, "latents": arrays["latents"][1:]}, r"latents must be float32 \(5, Z\)"),
        (lambda arrays: {**arrays, "labels": arrays["labels"] + 3}, "labels must be 0, 0.5 or 1"),
        (lambda arrays: {**arrays, "segments": arrays["segments"][:-1]}, "about segments that there are not"),
        (lambda arrays: {**arrays, "questions": arrays["questions"].astype(float)}, r"whole numbers \(U, K, 2\)"),
        (lambda arrays: {**arrays, "group_names": np.array(["a", "b\nc"])}, "holds a control character"),
        (
            lambda arrays: {
                **arrays,
                "segments": np.zeros((1, 2, 1_000_000), np.float32),
                "questions": np.zeros((5, 1_000_000, 2), np.uint8),
            },
            "declares 8e\\+13 bytes of content",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(change, message, tmp_path):
    path = tmp_path / "users.npz"
    save_served_users(path, users())
    save_arrays(path, FORMAT, change(load_arrays(path, FORMAT)))
    with pytest.raises(ResultsError, match=message) as raised:
        load_served_users(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_latents_belong_to_as_many_users_as_answered():
    with pytest.raises(ResultsError, match=r"latents must be float32 \(5, Z\), are float32 \(4, 8\)"):
        replace(users(), latents=users().latents[:4])
