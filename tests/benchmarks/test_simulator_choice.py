"""`--simulator`: which simulator a household benchmark runs on, from the command line to what is written."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "envs"))
import habitat_double

from pluralbench.benchmarks.commands.cli import main
from pluralbench.benchmarks.experiments.identity import planned_identity
from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.envs import environments, load_or_collect, make_vector
from pluralbench.envs.collection import cached_transitions_path
from pluralbench.envs.environments import SimulatorChoiceError
from pluralbench.envs.household.simulator import SimulatorNotInstalledError
from pluralbench.envs.vectors import make_single

HOUSEHOLD = ("habitat-rearrange", "habitat-tidy")


@pytest.fixture
def stand_in(monkeypatch):
    for name, module in habitat_double.modules().items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("name", HOUSEHOLD)
def test_an_environment_is_made_on_the_simulator_chosen(name, stand_in):
    environment = environments.get(name)
    assert environment.simulator == environment.on("auto").simulator == "pybullet"
    for simulator in ("pybullet", "habitat"):
        chosen = environment.on(simulator)
        env, vector = make_single(chosen), make_vector(chosen, 2)
        assert env.unwrapped.simulator.name == vector.simulator.name == simulator
        env.close()
        vector.close()


def test_data_of_two_simulators_never_share_a_file(tmp_path, stand_in):
    environment = environments.get("habitat-rearrange")
    made = {}
    for simulator in ("pybullet", "habitat"):
        chosen = environment.on(simulator)
        made[simulator] = load_or_collect(chosen, 60, 0, tmp_path)
        assert made[simulator].metadata["simulator"] == simulator
        assert cached_transitions_path(chosen, 60, 0, tmp_path).exists()
    assert len(list((tmp_path / "transitions").glob("*.hdf5"))) == 2
    assert cached_transitions_path(environment, 60, 0) == cached_transitions_path(environment.on("pybullet"), 60, 0)
    assert not np.array_equal(made["pybullet"].observations, made["habitat"].observations)


def test_the_simulator_is_part_of_the_experiment(stand_in):
    def identity(**changes: str):
        return planned_identity(make_plan(experiment_for("habitat-tidy", "smoke", changes)))

    assert identity(simulator="habitat")["environment"]["simulator"] == "habitat"
    assert identity() == identity(simulator="auto") == identity(simulator="pybullet") != identity(simulator="habitat")
    assert "simulator" not in planned_identity(make_plan(experiment_for("maze", "smoke")))["environment"]


def test_what_cannot_be_chosen_is_refused_in_a_line(monkeypatch, tmp_path, capsys):
    with pytest.raises(SimulatorChoiceError, match="unknown simulator 'habitt'; did you mean 'habitat'"):
        environments.get("habitat-tidy").on("habitt")
    with pytest.raises(SimulatorChoiceError, match="maze has no choice of simulators; leave --simulator habitat out"):
        environments.get("maze").on("habitat")
    monkeypatch.setitem(sys.modules, "habitat_sim", None)
    with pytest.raises(SimulatorNotInstalledError, match="conda install"):
        environments.get("habitat-tidy").on("habitat")
    out, data = tmp_path / "out", tmp_path / "data.hdf5"
    place = ("--preset", "smoke", "--simulator", "habitat", "--out", str(out), "--data-dir", str(tmp_path / "kept"))
    commands = [
        ("habitat-tidy", *place),
        ("run", "habitat-rearrange", *place),
        ("all", *place),
        ("noise", *place),
        ("active", *place),
        ("speed", "--simulator", "habitat", "--only", "habitat-tidy-data", "--out", str(out)),
        ("data", "generate", "habitat-tidy", str(data), "--simulator", "habitat"),
    ]
    for command in commands:
        assert main(list(command)) == 2
        error = capsys.readouterr().err
        assert error.startswith("pluralbench: habitat-sim is not installed here")
        assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # refused before any work


def test_a_benchmark_runs_on_habitat_sim_and_says_so(stand_in, tmp_path, capsys):
    place = ["--out", str(tmp_path / "out"), "--data-dir", str(tmp_path / "data")]
    command = ["habitat-rearrange", "--preset", "smoke", "--methods", "oracle", "behaviour", *place]
    assert main([*command, "--simulator", "habitat"]) in (0, None)
    folder = tmp_path / "out" / "smoke-habitat" / "habitat-rearrange"
    record = json.loads((folder / "experiment.json").read_text(encoding="utf-8"))
    assert record["identity"]["environment"]["simulator"] == "habitat"
    config = json.loads(next(folder.glob("oracle/seed_*/config.json")).read_text(encoding="utf-8"))
    assert config["identity"]["environment"]["simulator"] == "habitat"
    told = capsys.readouterr().out.split()
    for ending in ("png", "gif"):
        assert (folder.parent / f"habitat-rearrange-rollouts.{ending}").exists()
        assert str(folder.parent / f"habitat-rearrange-rollouts.{ending}") in told
    assert main([*command, "--simulator", "pybullet", "--suite", "smoke-habitat"]) == 2  # another experiment


def test_an_environment_of_ones_own_may_have_a_choice_too():
    other = replace(environments.get("maze"), simulators=("slow", "fast"), simulator="slow")
    assert other.on("fast").arguments == {"simulator": "fast"}
    assert other.on("auto").arguments == {"simulator": "slow"}
