"""Settings: what makes no sense is refused when it is made, from Python and from JSON alike; none needs torch."""

import subprocess
import sys
from dataclasses import fields

import pytest

from pluralbench.iql.settings import IQLError, IQLSettings, MaxMinSettings
from pluralbench.settings import SettingsError, as_json, settings_from

NONSENSE = [
    ({"expectile": 1.0}, "expectile must lie between 0 and 1"),
    ({"num_updates": 0}, "num_updates must be at least 1"),
    ({"polyak": 0.0}, r"polyak must lie in \(0, 1\]"),
    ({"actor_average": 1.5}, r"actor_average must lie in \[0, 1\]"),
    ({"learning_rate": 0.0}, "learning_rate must be positive, is 0.0"),
    ({"advantage_clip": -1.0}, "advantage_clip must be positive"),
    ({"temperature": -1.0}, "temperature must not be negative"),
    ({"min_log_std": 2.0}, "min_log_std must be below max_log_std"),
    ({"action_clip": 1.0}, r"action_clip must lie in \[0, 1\)"),
    ({"hidden_sizes": ()}, "hidden_sizes must be one or more positive widths"),
    ({"implementation": "reference", "precision": "bfloat16"}, "iql.implementation=reference is float32"),
]
FLOATS = [known.name for known in fields(IQLSettings) if known.type == "float"]


@pytest.mark.parametrize(("values", "message"), NONSENSE)
def test_settings_that_make_no_sense_are_named(values: dict, message: str) -> None:
    with pytest.raises(IQLError, match=message):
        IQLSettings(**values)
    with pytest.raises(SettingsError, match=message):
        settings_from(IQLSettings, values, "iql")


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_every_number_is_finite(name: str, value: float) -> None:
    message = (
        f"{name} must be a finite number" if value != value else f"^{name} must .*{value}$|^{name} must be at most "
    )
    with pytest.raises(IQLError, match=message):
        IQLSettings(**{name: value})


def test_there_are_numbers_to_check() -> None:
    assert {"learning_rate", "temperature", "advantage_clip", "discount", "min_log_std"} <= set(FLOATS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_updates": 1e5}, "num_updates must be at least 1, and whole"),
        ({"num_updates": float("nan")}, "num_updates must be a finite number"),
        ({"schedule": "linear"}, "schedule must be one of constant, cosine-actor, cosine"),
        ({"precision": "float16"}, "precision must be one of auto, float32, bfloat16"),
        ({"implementation": "slow"}, "implementation must be one of fast, reference"),
    ],
)
def test_wrong_values_from_python_are_named(values: dict, message: str) -> None:
    with pytest.raises(IQLError, match=message):
        IQLSettings(**values)


def test_misspelt_settings_offer_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"iql\.temperature"):
        settings_from(IQLSettings, {"temprature": 3.0}, "iql")


def test_settings_come_back_from_json() -> None:
    values = {"hidden_sizes": [32, 16], "group_weights": {"min_weight": 0.1}, "normalize_rewards": True}
    values["features"] = {"sinusoid_columns": [0], "wavelengths": [8.0, 4.0], "differences": [[[0], [1]]]}
    settings = settings_from(MaxMinSettings, values)
    assert settings.features.differences == (((0,), (1,)),)
    assert settings.group_weights.min_weight == 0.1
    assert settings_from(MaxMinSettings, as_json(settings)) == settings


def test_step_sizes_follow_the_schedule() -> None:
    sizes = {name: IQLSettings(num_updates=10, learning_rate=2.0, schedule=name) for name in ("constant", "cosine")}
    assert sizes["constant"].step_sizes(4, 6) == [(2.0, 2.0)] * 2
    assert sizes["cosine"].step_sizes(0, 1) == [(2.0, 2.0)]
    assert sizes["cosine"].step_sizes(5, 6) == [pytest.approx((1.0, 1.0))]
    assert IQLSettings(num_updates=10, learning_rate=2.0).step_sizes(5, 6) == [pytest.approx((2.0, 1.0))]


@pytest.mark.parametrize("module", ["pluralbench.iql", "pluralbench.iql.settings"])
def test_settings_need_no_torch(module: str) -> None:
    code = f"import {module} as m, sys; m.MaxMinSettings, m.GroupWeightSettings, m.IQLError; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert module in modules
    assert "torch" not in modules


def test_the_package_gives_every_name_that_it_lists() -> None:
    import pluralbench.iql

    for name in pluralbench.iql.__all__:
        assert getattr(pluralbench.iql, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Trainer'"):
        pluralbench.iql.Trainer  # noqa: B018
