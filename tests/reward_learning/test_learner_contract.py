"""Every registered learner, through the promises of `RewardModel`."""

import dataclasses
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from pluralbench.errors import InputError
from pluralbench.registry import UnknownNameError
from pluralbench.reward_learning.answering import answer_probabilities
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.learners import learners, load_model, make_learner
from pluralbench.reward_learning.model_files import ModelFileError
from pluralbench.reward_learning.reward_model import RewardModel
from pluralbench.reward_learning.scaling import fit_scaling
from pluralbench.reward_learning.scalings import SCALINGS
from pluralbench.reward_learning.training import PreferenceBatches
from pluralbench.settings import SettingsError

SMALL = {
    "num_updates": 12, "num_steps": 12, "num_validations": 3, "batch_users": 8, "hidden_size": 8, "num_layers": 2,
    "latent_size": 3, "num_iterations": 2, "num_restarts": 1, "num_groups": 2,
}  # fmt: skip
NAMES = learners.names()
LEARN_FROM_TRAIN_USERS = [name for name in NAMES if name not in ("bayes", "individual", "no-reward", "oracle")]
KNOW_WITHOUT_FIT = ("bayes", "no-reward", "oracle")
WITH_SETTINGS = [name for name in NAMES if dataclasses.fields(learners.get(name).settings_type)]


def small(name, line):
    known = [field.name for field in dataclasses.fields(learners.get(name).settings_type)]
    model = make_learner(name, {key: value for key, value in SMALL.items() if key in known}, task=line.task)
    model.meet(line.users(24))
    return model


@pytest.fixture(scope="module")
def fitted(line):
    """Each learner fitted once on segments of two steps."""
    models = {}

    def get(name):
        if name not in models:
            models[name] = small(name, line)
            models[name].fit(line.preferences(24, num_comparisons=6, length=2), seed=0)
        return models[name]

    return get


@pytest.mark.parametrize("name", NAMES)
def test_one_answer_of_each_user_gives_metrics_that_are_numbers(name, line):
    rows = small(name, line).fit(line.preferences(24, num_comparisons=1), seed=0)
    assert all(np.isfinite(value) for row in rows for value in row.values())


@pytest.mark.parametrize("name", NAMES)
def test_fit_logs_rows_of_numbers_and_reports_progress(name, line):
    calls = []
    model = small(name, line)
    assert isinstance(model, RewardModel)
    assert model.name == name
    history = model.fit(line.preferences(24, 6), seed=0, progress=lambda done, total: calls.append((done, total)))
    json.dumps(history)
    assert all(isinstance(value, float) for row in history for value in row.values())
    assert bool(history) is (name in LEARN_FROM_TRAIN_USERS)
    if history:
        assert calls[-1][0] == calls[-1][1] > 0
        assert all(first[0] <= second[0] for first, second in itertools.pairwise(calls))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_answers", [1, 6, 11])
def test_infer_takes_any_number_of_answers(name, num_answers, line, fitted):
    model = fitted(name)
    posterior = model.infer(line.preferences(5, num_answers, length=2, seed=3))
    assert posterior.mean.shape == posterior.log_var.shape == (5, model.latent_size)
    assert posterior.mean.isfinite().all()
    assert not posterior.log_var.isnan().any()


@pytest.mark.parametrize("name", NAMES)
def test_infer_follows_the_users_whatever_their_order_and_their_answers_order(name, line, fitted):
    context = line.preferences(6, 5, length=2, seed=3)
    rows, columns = np.array([4, 0, 5, 2, 1, 3]), np.array([2, 4, 0, 3, 1])
    mean = fitted(name).infer(context).mean
    turned = fitted(name).infer(context.take_users(rows).take_queries(columns)).mean
    # latents that are fitted by iteration end a little apart when sums are rounded in another order
    torch.testing.assert_close(turned, mean[rows], rtol=1e-4, atol=5e-3 if name == "lore" else 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_infer_ignores_what_was_skipped_exactly(name, line, fitted):
    context = line.preferences(4, 6, length=2, seed=3)
    mask = context.mask.copy()
    mask[:, [1, 4]] = False
    mask[0] = False
    labels = np.where(mask, context.labels, np.float32(0.5))
    segments = context.segments.copy()
    segments[~mask] = 123.0
    before = fitted(name).infer(dataclasses.replace(context, mask=mask, labels=labels))
    after = fitted(name).infer(dataclasses.replace(context, mask=mask, labels=labels, segments=segments))
    assert torch.equal(before.mean, after.mean)
    assert torch.equal(before.log_var, after.log_var)


@pytest.mark.parametrize("name", NAMES)
def test_learners_cannot_read_the_truth_unless_they_say_so(name, line, fitted):
    if learners.get(name).knows_truth:
        pytest.skip("it says so")
    context = line.preferences(4, 6, length=2, seed=3)
    lie = dataclasses.replace(context, goals=-context.goals, group_index=1 - context.group_index)
    assert torch.equal(fitted(name).infer(context).mean, fitted(name).infer(lie).mean)
    honest, fooled = small(name, line), small(name, line)
    data = line.preferences(24, 6)
    honest.fit(data, seed=0)
    fooled.fit(dataclasses.replace(data, goals=-data.goals, group_index=1 - data.group_index), seed=0)
    states = honest.state(), fooled.state()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("name", NAMES)
def test_leading_axes_of_rewards_broadcast(name, line, fitted):
    model, size = fitted(name), fitted(name).latent_size
    observations = torch.rand(3, 7, 2) * 2 - 1
    latents = model.infer(line.preferences(3, 6, length=2, seed=3)).mean
    functions = [model, *model.groups()]
    for function in functions:
        with torch.no_grad():
            rewards = function.reward(observations, latents[:, None])
            whole = function.reward(observations, latents[:, None].expand(3, 7, size))
            single = function.reward(observations[1, 4], latents[1])
            table = function.reward(observations[0][None], latents[:, None])
            many = function.reward(observations[1, 4], latents)
            outputs = function.preference_outputs(observations, latents[:, None])
            chances = function.preference_probability(outputs[:, :, None], outputs[:, None])
        assert rewards.shape == whole.shape == table.shape == outputs.shape[:-1] == (3, 7)
        assert single.shape == ()
        assert many.shape == (3,)
        assert chances.shape == (3, 7, 7)
        assert rewards.isfinite().all()
        torch.testing.assert_close(rewards, whole, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(rewards[1, 4], single, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(table[0], rewards[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(many[1], single, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(chances + chances.transpose(1, 2), torch.ones(3, 7, 7))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_questions_can_be_asked_under_many_latents(name, line, fitted):
    model = fitted(name)
    latents = model.infer(line.preferences(4, 6, length=2, seed=3)).mean
    questions = torch.from_numpy(line.preferences(1, 5, length=2, seed=4).segments)
    with torch.no_grad():
        table = model.answer_probability(questions, latents)
        whole = model.answer_probability(questions.expand(4, *questions.shape[1:]), latents)
    assert table.shape == (4, 5)
    torch.testing.assert_close(table, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_optional_is_said_by_the_class_and_kept(name, line, fitted):
    model, context = fitted(name), line.preferences(5, 6, length=2, seed=3)
    assert bool(model.groups()) is model.grouped
    groups = model.assign(context)
    assert (groups is None) is not model.grouped
    assert groups is None or groups.shape == (5,)
    if model.has_prior:
        prior = model.prior(5)
        assert prior.mean.shape == prior.log_var.shape == (5, model.latent_size)
    else:
        with pytest.raises(LearnerError, match=f"{name} has no prior over latents"):
            model.prior(5)
    drawn = model.posterior_for_policy(context, torch.Generator().manual_seed(0))
    num_drawn = 24 if model.knows_truth else 5  # the truth is about all whom it met
    assert drawn.mean.shape == drawn.log_var.shape == (num_drawn, model.latent_size)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_model_and_another_seed_another(name, line):
    rewards = []
    observations = torch.linspace(-1, 1, 10)[:, None].expand(10, 2)
    for seed, global_seed in [(0, 1), (0, 2), (1, 1)]:
        torch.manual_seed(global_seed)
        np.random.seed(global_seed)  # noqa: NPY002 (no learner may listen to it)
        model = small(name, line)
        model.fit(line.preferences(24, 6), seed=seed)
        latents = model.infer(line.preferences(1, 6, seed=3)).mean.expand(10, -1)
        with torch.no_grad():
            rewards.append(model.reward(observations, latents))
    assert torch.equal(rewards[0], rewards[1])
    if name not in KNOW_WITHOUT_FIT:
        assert not torch.equal(rewards[0], rewards[2])


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_it_says_the_same(name, line, fitted, tmp_path):
    model = fitted(name)
    model.save(tmp_path)
    context = line.preferences(4, 6, length=2, seed=3)
    observations = torch.rand(4, 2)
    for loaded in (load_model(tmp_path, task=line.task), type(model).load(tmp_path, task=line.task)):
        assert loaded.latent_size == model.latent_size
        assert loaded.settings == model.settings
        loaded.meet(line.users(24))
        posterior, expected = loaded.infer(context), model.infer(context)
        assert torch.equal(posterior.mean, expected.mean)
        assert torch.equal(posterior.log_var, expected.log_var)
        with torch.no_grad():
            assert torch.equal(loaded.reward(observations, posterior.mean), model.reward(observations, expected.mean))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_another_learner_is_refused_by_name(name, line, fitted, tmp_path):
    other = "btl" if name != "btl" else "vpl"
    fitted(other).save(tmp_path)
    with pytest.raises(ModelFileError, match=f"holds a '{other}' model, expected '{name}'"):
        learners.get(name).load(tmp_path, task=line.task)


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_unknown_settings_are_refused_by_name(name, line):
    first = next(iter(dataclasses.fields(learners.get(name).settings_type))).name
    with pytest.raises(SettingsError, match=f"unknown setting '{name}.{first}x'; did you mean '{name}.{first}'"):
        make_learner(name, {f"{first}x": 1}, task=line.task)


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_no_number_of_the_settings_may_be_nan(name, line):
    floats = [field for field in dataclasses.fields(learners.get(name).settings_type) if field.type == "float"]
    assert floats
    for field in floats:
        for value in [float("nan"), "nan", *([] if field.default == float("inf") else [float("inf")])]:
            with pytest.raises(SettingsError, match=f"{name}.{field.name} must be a finite number"):
                make_learner(name, {field.name: value}, task=line.task)


@pytest.mark.parametrize("name", NAMES)
def test_settings_survive_their_file_whole(name, line, tmp_path):
    model = small(name, line)
    model.fit(line.preferences(24, 6), seed=0)
    model.save(tmp_path)
    words = json.loads((tmp_path / "model.json").read_text())
    assert words["settings"].keys() == {field.name for field in dataclasses.fields(model.settings_type)}
    assert words["version"] == model.version
    assert load_model(tmp_path, task=line.task).settings == model.settings


@pytest.mark.parametrize("name", NAMES)
def test_another_version_of_a_learner_is_refused(name, line, fitted, tmp_path, monkeypatch):
    fitted(name).save(tmp_path)
    monkeypatch.setattr(learners.get(name), "version", 2)
    with pytest.raises(ModelFileError, match=f"holds version 1 of '{name}', this program has version 2: fit it again"):
        load_model(tmp_path, task=line.task)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_answered_before_fit(name, line):
    if name in KNOW_WITHOUT_FIT:
        pytest.skip("it knows without learning")
    with pytest.raises(LearnerError, match=f"{name} has learned nothing yet"):
        small(name, line).reward(torch.zeros(1, 2), torch.zeros(1, 0))


BOUNDS = {"spo": (0, 1), "spo-pairs": (0, 1), "spo-log": (-np.log(33 / 32), np.log(32))}  # with 16 comparison states


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scaling", SCALINGS)
def test_every_scaling_takes_every_learner(name, scaling, line, fitted):
    class Even:
        def preference_probability(self, first, second, latents):
            return torch.full(torch.broadcast_shapes(first.shape[:-1], second.shape[:-1]), 0.5)

    model = fitted(name)
    latents = model.infer(line.preferences(3, 6, length=2, seed=3)).mean
    scaled = fit_scaling(scaling, model, latents, torch.rand(16, 2) * 2 - 1, pair_classifier=Even())
    rewards = scaled(torch.rand(30, 2) * 2 - 1, torch.arange(30) % 3)
    assert rewards.shape == (30,)
    assert rewards.isfinite().all()
    low, high = BOUNDS.get(scaling, (-np.inf, np.inf))
    assert low - 1e-6 <= rewards.min() <= rewards.max() <= high + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_both_orders_of_a_pair_add_up_to_one(name, line, fitted):
    """For answers on segments and, by the scaling spo, for single states."""
    model, pairs = fitted(name), line.preferences(6, 5, length=2, seed=4)
    latents = model.infer(line.preferences(6, 6, length=2, seed=3)).mean
    turned = dataclasses.replace(pairs, segments=pairs.segments[:, :, ::-1].copy())
    both = answer_probabilities(model, pairs, latents) + answer_probabilities(model, turned, latents)
    np.testing.assert_allclose(both, 1.0, atol=1e-5)
    states = torch.rand(40, 2) * 2 - 1
    spo = fit_scaling("spo", model, latents[:1], states)(states, torch.zeros(40, dtype=torch.long))
    assert spo.mean().item() == pytest.approx(0.5, abs=1e-5)
    if name.startswith("dpl"):
        single = torch.stack([states[:1].expand(40, 2), states], dim=1)[None, :, :, None]  # (1, K, 2, 1, S)
        with torch.no_grad():
            expected = model.answer_probability(single, latents[:1]).mean()
        assert spo[0].item() == pytest.approx(expected.item(), abs=1e-5)


def test_unknown_learners_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown learner 'vlp'; did you mean 'vpl'"):
        make_learner("vlp")


@pytest.mark.parametrize("name", ["oracle", "bayes"])
def test_who_knows_the_truth_needs_the_task(name):
    with pytest.raises(LearnerError, match=f"{name} needs the environment's task"):
        make_learner(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hiden_size": 3}, "did you mean 'vpl.hidden_size'"),
        ({"hidden_size": "big"}, "vpl.hidden_size: .* valid integer.*, got 'big'"),
        ({"hidden_size": 0}, "vpl: hidden_size must be at least 1"),
        ({"encoder": "sett"}, "vpl.encoder: Input should be 'set' or 'flat', got 'sett'"),
        ({"schedule": "linear"}, "vpl.schedule: Input should be 'cosine' or 'constant', got 'linear'"),
        ({"latent_size": 0}, "latent_size must be at least 1"),
        ({"kl_weight": -1}, "kl_weight must not be negative"),
        ({"features": {"sinusoid_column": [0]}}, "did you mean 'vpl.features.sinusoid_columns'"),
        ({"features": {"sinusoid_columns": [0]}}, "sinusoid_columns and wavelengths belong together"),
        (["hidden_size"], "expected settings by name"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(SettingsError, match=message) as caught:
        make_learner("vpl", settings)
    assert "\n" not in str(caught.value)


def test_features_of_columns_that_are_not_there_are_refused(line):
    model = make_learner("btl", {"features": {"sinusoid_columns": [2], "wavelengths": [1.0]}})
    with pytest.raises(InputError, match="column 2; observations have columns 0 to 1"):
        model.fit(line.preferences(4), seed=0)


def test_names_of_learners_scalings_and_draws_are_known_without_torch():
    code = (
        "import sys\n"
        "from pluralbench.reward_learning.latent_draws import LATENT_DRAWS\n"
        "from pluralbench.reward_learning.learners import learners\n"
        "from pluralbench.reward_learning.scalings import SCALINGS\n"
        "assert 'vpl' in learners.names() and 'spo' in SCALINGS and {'posterior', 'prior'} <= set(LATENT_DRAWS)\n"
        "print(sorted({'torch', 'scipy', 'pydantic'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


EXPECT_MISTAKES = [
    (name, {})
    for name in NAMES
    if "mistake_rate" in [field.name for field in dataclasses.fields(learners.get(name).settings_type)]
]


@pytest.mark.parametrize(
    ("name", "of_its_own"),
    [*EXPECT_MISTAKES, ("dpl-meanvar", {"link": "probit"})],
    ids=lambda part: part if isinstance(part, str) else "-".join(part.values()),
)
def test_mistakes_that_are_expected_leave_the_reward_its_range(name, of_its_own, line):
    """Where each is held to be meant, one mistake about the two ends costs as much as their whole difference."""
    answers = line.preferences(128, 16, goals=(1.0,))
    flipped = np.random.default_rng(0).random(answers.labels.shape) < 0.2
    answers = dataclasses.replace(answers, labels=np.where(flipped, 1 - answers.labels, answers.labels))
    known = [field.name for field in dataclasses.fields(learners.get(name).settings_type)]
    wanted = {"num_updates": 300, "learning_rate": 1e-2, "num_groups": 1, "hidden_size": 16, "num_steps": 40}
    settings = {key: value for key, value in wanted.items() if key in known} | of_its_own
    ends = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]]])
    preferred, named, spread = [], [], []
    for mistake_rate in (0.0, 0.2):
        model = make_learner(name, {**settings, "mistake_rate": mistake_rate})
        model.fit(answers, seed=0)
        latents = model.infer(answers).mean
        first, second = model.preference_outputs(ends, latents)
        preferred.append(model.preference_probability(first, second).mean().item())
        named.append(model.answer_probability(ends[None, None, :, 0, None], latents).mean().item())
        if name != "individual":  # which has no checkpoints to choose from
            (batch,) = PreferenceBatches(answers, "cpu").chunks(answers.num_users)
            chances, _ = model.predict(batch)
            assert mistake_rate - 1e-5 <= chances.min() < chances.max() <= 1 - mistake_rate + 1e-5
        # maxmin brings its reward to deviation 1 and keeps what it was
        spread.append(model.network.std.item() if name == "maxmin" else preferred[-1])
    assert named == pytest.approx([preferred[0], 0.2 + 0.6 * preferred[1]], abs=1e-5)
    assert spread[1] > spread[0]
