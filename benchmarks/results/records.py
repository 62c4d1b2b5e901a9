"""The JSON files of a suite's folder, checked whole whenever they are read: nothing is missing, unknown or impossible.

They are given as they stand, as mappings: what a checked one holds is said by the class of its name here.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pluralbench.benchmarks.experiments.settings import without_later
from pluralbench.benchmarks.results.diagnostics import Diagnostics
from pluralbench.benchmarks.results.names import ResultsError, check_name, check_text
from pluralbench.errors import DamagedFileError
from pluralbench.files import read_json
from pluralbench.lines import plain, shown
from pluralbench.settings import differences

EXPERIMENT, CONFIG, SUMMARY, TRAINING = "experiment.json", "config.json", "summary.json", "training.json"
SWEEP = "sweep-{}.json"
"""Of a sweep's name."""
IDENTITY_PARTS = ("environment", "settings", "learners", "scalings", "policies", "users", "data", "answers")
_DEEPEST = 32
"""Objects within objects; settings have five."""
_LARGEST_COUNT = 10**18


def _identity(values: dict[str, Any]) -> dict[str, Any]:
    for name, part in values.items():
        if name not in IDENTITY_PARTS or not isinstance(part, dict):
            raise ValueError(f"the part {shown(name)} is not known, or no object")
    return values


def _different(values: Sequence[Hashable]) -> Sequence[Hashable]:
    if len(set(values)) < len(values):
        raise ValueError("a value stands there twice")
    return values


Count = Annotated[int, Field(ge=0, le=_LARGEST_COUNT)]
Share = Annotated[float, Field(ge=0, le=1)]
Length = Annotated[float, Field(ge=0)]
Name = Annotated[str, AfterValidator(lambda text: check_name(text, "the name"))]
Line = Annotated[str, AfterValidator(lambda text: check_text(text, "the text"))]
Identity = Annotated[dict[str, Any], AfterValidator(_identity)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Group(_Record):
    """A group of users."""

    name: Line
    taught: bool  # whether the reward model learned from users of it


class ExperimentRecord(_Record):
    """experiment.json: what experiment an environment's folder holds."""

    environment: Name
    population: Line
    methods: Annotated[list[Name], AfterValidator(_different)]
    seeds: Annotated[list[Count], AfterValidator(_different)]
    groups: list[Group]
    identity: Identity


class SweepRecord(_Record):
    """sweep-<name>.json: what varies over the suites in a sweep's folder."""

    sweep: Name
    environment: Name
    x_label: Line  # what varies
    worst_group: bool  # whether the success of the worst-off group is shown too
    points: Annotated[dict[Line, Name], Field(min_length=1)]  # each suite's folder by the point's label on the axis


class Config(_Record):
    """config.json: every setting of a run, and what made it."""

    experiment: dict[str, Any]
    seed: Count
    identity: Identity
    command: Annotated[str, Field(min_length=1)]
    commit: Line | None
    packages: dict[str, str | None]
    python: Line
    machine: Line
    device: Line


class UserSummary(BaseModel):
    """How one test user was served; further numbers are means of what the environment reports."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, float | None]

    user: Count
    group: Line
    goal: str
    success_rate: Share
    reached_rate: Share
    mean_steps: Length
    reward_right: bool | None = None
    policy_right: Share | None = None
    planned_success: Share | None = None


class Seconds(_Record):
    """How long a run took."""

    reward_model: Length
    policy: Length


class Summary(_Record):
    """summary.json: how a finished run ended; written last."""

    digest: Line
    success_rate: Share
    reached_rate: Share
    reward_right: Share | None = None
    policy_right: Share | None = None
    planned_success: Share | None = None
    users: Annotated[list[UserSummary], Field(min_length=1)]
    episodes_that_raised: list[str]
    policy: dict[str, float | None]
    reward_model: Annotated[Diagnostics | None, BeforeValidator(lambda value: value or None)]
    seconds: Seconds


class Training(_Record):
    """training.json: what a reward model was fitted on, and its metrics; written last."""

    digest: Line
    rows: list[dict[str, float | None]]
    seconds: Length


def read_record(suite_folder: Path, environment: str) -> dict[str, Any]:
    """The environment's experiment.json; empty where there is none, as beside rates from elsewhere.

    Raises:
        ResultsError: it is damaged, or of another environment.
    """
    path = suite_folder / environment / EXPERIMENT
    if not path.exists():
        return {}
    record = _checked(path, ExperimentRecord)
    if record["environment"] != environment:
        raise ResultsError(f"{path}: is of the environment {shown(record['environment'])}, expected {environment}")
    _check_different(path, "groups", [group["name"] for group in record["groups"]])
    return record


def read_sweeps(folder: Path) -> list[dict[str, Any]]:
    """Every sweep-<name>.json of a sweep's folder; none where the folder is no sweep's.

    Raises:
        ResultsError: one is damaged, or of another environment or sweep than it is called by.
    """
    records = []
    for path in sorted(folder.glob(f"*/{SWEEP.format('*')}")):
        record = _checked(path, SweepRecord)
        if path != sweep_path(folder, record["environment"], record["sweep"]):
            raise ResultsError(f"{path}: is of {shown(record['sweep'])} in {shown(record['environment'])}")
        _check_different(path, "points", list(record["points"].values()))
        records.append(record)
    return records


def sweep_path(folder: Path, environment: str, sweep: str) -> Path:
    """Where a sweep's folder says what it holds."""
    return folder / environment / SWEEP.format(sweep)


def read_config(path: Path) -> dict[str, Any]:
    """A run's config.json.

    Raises:
        ResultsError: it is damaged, or its settings contradict its identity.
    """
    config = _checked(path, Config)
    identity, experiment = config["identity"], config["experiment"]
    by_name = ("environment", "population")  # by specification in the experiment
    settings = {name: value for name, value in identity.get("settings", {}).items() if name not in by_name}
    used = without_later({name: experiment.get(name) for name in settings})
    wrong = differences(settings, used, "experiment")
    if wrong:
        raise ResultsError(f"{path}: {plain(wrong[0])} differs between its settings and its identity")
    return config


def read_summary(path: Path) -> dict[str, Any]:
    """A run's summary.json; a user's `reward_model` is {} where the method asks nobody.

    Raises:
        ResultsError: it is damaged, or its means are not those of its users.
    """
    summary = _checked(path, Summary)
    users = summary["users"]
    _check_different(path, "users", [user["user"] for user in users])
    for name in ("success_rate", "reached_rate"):
        mean = sum(user[name] for user in users) / len(users)
        if abs(mean - summary[name]) > 1e-6:
            raise ResultsError(f"{path}: {name} is {summary[name]}, the mean over its users is {mean:.6g}")
    return summary


def read_training(path: Path) -> dict[str, Any]:
    """A reward model's training.json; what was no number in its rows is NaN.

    Raises:
        ResultsError: it is damaged.
    """
    training = _checked(path, Training)
    rows = [{name: float("nan") if value is None else value for name, value in row.items()} for row in training["rows"]]
    return {**training, "rows": rows}


def _checked(path: Path, kind: type[BaseModel]) -> dict[str, Any]:
    try:
        values = read_json(path)
    except DamagedFileError as error:
        raise ResultsError(str(error)) from error
    if _depth(values) > _DEEPEST:
        raise ResultsError(f"{path}: is nested more than {_DEEPEST} deep")
    try:
        kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        given = "" if isinstance(first["input"], dict | list) else f", is {shown(first['input'])}"
        raise ResultsError(f"{path}: {plain(place)}: {message}{given}") from error
    return values


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        nested = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level, depth = [inner for items in nested for inner in items], depth + 1
    return depth


def _check_different(path: Path, what: str, values: Sequence[Hashable]) -> None:
    if len(set(values)) < len(values):
        raise ResultsError(f"{path}: {what}: one of them stands there twice")
