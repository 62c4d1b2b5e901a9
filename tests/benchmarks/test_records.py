"""config.json, summary.json and training.json: checked whole whenever they are read."""

import json
from functools import reduce

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from result_folders import DIAGNOSTICS, IDENTITY, write_run

from pluralbench.benchmarks.results import ResultsError, SuccessRate, read_config, read_record, read_summary
from pluralbench.benchmarks.results.records import read_training
from pluralbench.benchmarks.results.runs import rates_of, read_run
from pluralbench.files import read_json, write_json

RATES = [SuccessRate("maze", "points", "vpl", 3, user, "g", 10, count, 9) for user, count in enumerate((5, 8))]
TRAINING = {"digest": "0123", "rows": [{"update": 5.0, "loss": 0.5}, {"update": 10.0, "loss": None}], "seconds": 1.5}
RECORD = {"environment": "maze", "population": "points", "methods": ["vpl"], "seeds": [3], "identity": IDENTITY,
          "groups": [{"name": "g", "taught": True}]}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """The folder of a whole run, with a reward model's training.json and an experiment.json beside."""
    folder = write_run(tmp_path, RATES, reward_model=DIAGNOSTICS)
    write_json(folder / "training.json", TRAINING)
    write_json(tmp_path / "maze/experiment.json", RECORD)
    return folder


READERS = {
    "config.json": read_config,
    "summary.json": read_summary,
    "training.json": read_training,
    "../../experiment.json": lambda path: read_record(path.resolve().parents[1], "maze"),
}


def changed(values, place, value):
    """The values with another one at a place `users.0.user`; None at its end takes it away."""
    copy = json.loads(json.dumps(values))
    *path, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    holder = reduce(lambda part, key: part[key], path, copy)
    if value is None:
        del holder[last]
    else:
        holder[last] = value
    return copy


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("config.json", "seed", "3", "seed: Input should be a valid integer, is '3'"),
        ("config.json", "machine", None, "machine: Field required"),
        ("config.json", "packages", {"torch": 2.4}, "packages.torch: Input should be a valid string"),
        ("config.json", "more", 1, "more: Extra inputs are not permitted"),
        ("config.json", "identity.users", 1, "identity: the part 'users'"),
        ("config.json", "experiment.num_transitions", 101, "experiment.num_transitions differs between its"),
        ("config.json", "experiment.iql.num_updates", None, "experiment.iql.num_updates differs between its settings"),
        ("summary.json", "success_rate", 0.5, "success_rate is 0.5, the mean over its users is 0.65"),
        ("summary.json", "users.0.success_rate", 1.1, "users.0.success_rate: Input should be less than or equal to 1"),
        ("summary.json", "users.0.reward_right", 1, "users.0.reward_right: Input should be a valid boolean"),
        ("summary.json", "users.0.swept", "far", "users.0.swept: Input should be a valid number"),
        ("summary.json", "users.1.user", 0, "users: one of them stands there twice"),
        ("summary.json", "users", [], "users: List should have at least 1 item"),
        ("summary.json", "digest", None, "digest: Field required"),
        ("summary.json", "seconds.policy", -1.0, "seconds.policy: Input should be greater than or equal to 0"),
        ("summary.json", "reward_model.accuracy", 2.0, "reward_model.accuracy: Input should be less than or equal"),
        ("summary.json", "reward_model.calibration.bins", [], "calibration.bins: List should have at least 1 item"),
        ("summary.json", "reward_model.accuracy_by_answers", {"few": 0.5}, "String should match pattern"),
        ("training.json", "digest", None, "digest: Field required"),
        ("training.json", "rows.0.loss", "low", "rows.0.loss: Input should be a valid number"),
        ("training.json", "seconds", 1e400, "is no JSON file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_place(run, name, place, value, message):
    READERS[name](run / name)
    values = changed(read_json(run / name), place, value)
    (run / name).write_text(json.dumps(values))
    with pytest.raises(ResultsError, match=message) as error:
        READERS[name](run / name)
    assert str(error.value).startswith(str(run / name))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("text", ["", "{}", "[]", "{", '{"a": ' * 60 + "1" + "}" * 60, "\ud800", '{"a": "\\ud800"}'])
def test_other_files_are_refused(run, name, text):
    (run / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ResultsError) as error:
        READERS[name](run / name)
    assert len(str(error.value).splitlines()) == 1


def places(value, path=()):
    """The path of every value in nested JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
MANY = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", READERS)
def test_any_value_at_any_place_is_read_or_refused_in_one_line(run, name):
    values = read_json(run / name)

    @MANY
    @given(st.data())
    def check(data):
        copy = json.loads(json.dumps(values))
        *path, last = data.draw(st.sampled_from([place for place in places(values) if place]))
        holder = reduce(lambda part, key: part[key], path, copy)
        holder[last] = data.draw(JSON)
        (run / name).write_text(json.dumps(copy))
        _is_read_or_refused(READERS[name], run / name)

    check()


@pytest.mark.parametrize("name", READERS)
def test_a_changed_text_is_read_or_refused_in_one_line(run, name):
    content = (run / name).read_bytes()

    @MANY
    @given(
        st.integers(0, len(content)), st.integers(0, 30), st.binary(max_size=6) | st.sampled_from([b"9" * 5000, b"["])
    )
    def check(at, removed, put_in):
        (run / name).write_bytes(content[:at] + put_in + content[at + removed :])
        _is_read_or_refused(READERS[name], run / name)

    check()


def _is_read_or_refused(read, path):
    try:
        read(path)
        return
    except ResultsError as error:
        message = str(error)
    assert path.name in message
    assert len(message.splitlines()) == 1


def test_what_was_no_number_in_training_is_read_as_such(run):
    losses = [row["loss"] for row in read_training(run / "training.json")["rows"]]
    assert losses == pytest.approx([0.5, float("nan")], nan_ok=True)


def test_a_whole_run_says_its_own_rows(run):
    assert rates_of(run, "maze", "vpl", 3) == RATES
    summary = read_json(run / "summary.json")
    users = [{**summary["users"][0], "success_rate": 0.51}, summary["users"][1]]
    write_json(run / "summary.json", {**summary, "users": users, "success_rate": 0.655})
    with pytest.raises(ResultsError, match="user 0 has rates that are not of 10 episodes"):
        rates_of(run, "maze", "vpl", 3)


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "summary.json"])
def test_a_run_whose_file_is_damaged_or_lost_is_not_whole(run, name):
    assert read_run(run).is_whole
    (run / name).write_text("?")
    (damage,) = read_run(run).damage
    assert damage.startswith(f"{run / name}")
    assert not read_run(run).is_whole
    (run / name).unlink()
    assert not read_run(run).is_whole
    assert read_run(run).damage == (() if name == "summary.json" else (f"{run / name}: no such file",))


def test_a_run_in_the_folder_of_another_is_damaged(run):
    run.rename(run.with_name("seed_4"))
    (damage,) = read_run(run.with_name("seed_4")).damage
    assert damage.endswith("config.json: is of another run than its folder's")
