import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_iql_learner import SETTINGS, make_data

from pluralbench.iql import IQLError, IQLSettings, train
from pluralbench.iql.checkpoints import FORMAT, Checkpoint, load_checkpoint, save_checkpoint
from pluralbench.tensor_files import save_tensors

KILLED_RUN = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import torch
torch.set_num_threads(1)
from test_iql_checkpoints import long_run
result = long_run(Path(sys.argv[1]), resume=True)
"""


def long_run(folder: Path | None, resume: bool = False):
    settings = replace(SETTINGS, num_updates=3000)
    return train(
        make_data(2),
        settings,
        [1, 2],
        log_every=100,
        evaluate_every=150,
        on_evaluate=lambda step, policy: float(policy.actors.double().sum()),
        checkpoint_folder=folder,
        checkpoint_every=20,
        resume=resume,
    )


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, {"x": torch.full((3,), float(step))}, {"settings": {"a": 1}}, {"metrics": [step]})


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 20, 300):
        save_checkpoint(tmp_path, checkpoint(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["update_000000020", "update_000000300"]
    stored = load_checkpoint(tmp_path)
    assert stored is not None
    assert (stored.step, stored.history, stored.tensors["x"].tolist()) == (300, {"metrics": [300]}, [300.0] * 3)


def test_a_history_without_its_tables_is_refused(tmp_path: Path) -> None:
    settings = replace(SETTINGS, num_updates=2)
    train(make_data(1), settings, [1], checkpoint_folder=tmp_path)
    stored = load_checkpoint(tmp_path)
    assert stored is not None
    save_checkpoint(tmp_path, replace(stored, history={"metrics": []}))
    with pytest.raises(IQLError, match="lacks metrics or evaluations"):
        train(make_data(1), settings, [1], checkpoint_folder=tmp_path, resume=True)


def damage_truncate(folder: Path) -> None:
    payload = (folder / "state.safetensors").read_bytes()
    (folder / "state.safetensors").write_bytes(payload[:-1])


def damage_flip(folder: Path) -> None:
    payload = bytearray((folder / "state.safetensors").read_bytes())
    payload[-1] ^= 1
    (folder / "state.safetensors").write_bytes(payload)


def damage_words(folder: Path) -> None:
    (folder / "state.json").write_text('{"format": ')


def damage_missing(folder: Path) -> None:
    (folder / "state.json").unlink()


def damage_step(folder: Path) -> None:
    path = folder / "state.json"
    path.write_text(path.read_text().replace('"step": 20', '"step": 21'))


def damage_history(folder: Path) -> None:
    path = folder / "state.json"
    path.write_text(path.read_text().replace("[20]", "[10]"))


def crafted(**changes: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        """With words that nobody would write, and their checksum."""
        words = {"format": FORMAT, "step": 20, "identity": {}, "history": "{}", **changes}
        save_tensors(folder, "state", {}, words)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        damage_truncate,
        damage_flip,
        damage_words,
        damage_missing,
        damage_step,
        damage_history,
        crafted(step=21),
        crafted(step=-1),
        crafted(step="20"),
        crafted(identity=[1]),
        crafted(history={}),
        crafted(history="[]"),
        crafted(history='{"metrics": 5}'),
        crafted(history="[" * 9_000),
        crafted(format="pluralbench-iql-checkpoint-2"),
    ],
)
def test_a_damaged_newest_one_is_passed_over(damage, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step in (10, 20):
        save_checkpoint(tmp_path, checkpoint(step))
    damage(tmp_path / "update_000000020")
    with caplog.at_level(logging.WARNING):
        stored = load_checkpoint(tmp_path)
    assert stored is not None
    assert stored.step == 10
    assert "update_000000020 is damaged" in caplog.text


def test_nothing_there(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "nowhere") is None


def test_metrics_of_a_run_that_diverged_are_kept(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, Checkpoint(1, {}, {}, {"metrics": [{"value_loss": [float("nan")]}]}))
    stored = load_checkpoint(tmp_path)
    assert stored is not None
    assert np.isnan(stored.history["metrics"][0]["value_loss"][0])


@pytest.mark.parametrize(
    "settings", [SETTINGS, replace(SETTINGS, implementation="reference")], ids=["fast", "reference"]
)
def test_resume_in_the_middle_gives_the_same_numbers(settings: IQLSettings, tmp_path: Path) -> None:
    options = {"log_every": 7, "checkpoint_folder": tmp_path, "checkpoint_every": 9}
    undisturbed = train(make_data(), settings, [1, 2], log_every=7)

    class InterruptedRunError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done > 20:
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        train(make_data(), settings, [1, 2], progress=stop, **options)
    resumed = train(make_data(), settings, [1, 2], resume=True, **options)
    assert torch.equal(resumed.policy.actors, undisturbed.policy.actors)
    assert resumed.metrics == undisturbed.metrics
    finished = train(make_data(), settings, [1, 2], resume=True, **options)  # nothing left to do
    assert torch.equal(finished.policy.actors, undisturbed.policy.actors)
    assert finished.metrics == undisturbed.metrics


def test_another_run_is_refused(tmp_path: Path) -> None:
    options = {"checkpoint_folder": tmp_path, "resume": True}
    train(make_data(), SETTINGS, [1, 2], **options)
    with pytest.raises(IQLError, match="another seeds"):
        train(make_data(), SETTINGS, [1, 3], **options)
    with pytest.raises(IQLError, match="another temperature"):
        train(make_data(), replace(SETTINGS, temperature=1.0), [1, 2], **options)
    with pytest.raises(IQLError, match="another implementation"):
        train(make_data(), replace(SETTINGS, implementation="reference"), [1, 2], **options)
    with pytest.raises(IQLError, match=r"another features.wavelengths"):
        train(
            make_data(), replace(SETTINGS, features=replace(SETTINGS.features, wavelengths=(5.0,))), [1, 2], **options
        )
    with pytest.raises(IQLError, match="another data"):
        train(make_data(num=401), SETTINGS, [1, 2], **options)


def newest_step(folder: Path) -> int:
    return max((int(path.name[-9:]) for path in folder.glob("update_*")), default=0)


@pytest.mark.slow
def test_a_run_killed_at_three_random_moments_ends_the_same(tmp_path: Path) -> None:
    """SIGKILL, wherever it strikes: after the last resume every number is that of an undisturbed run, bit for bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        undisturbed = long_run(None)
        code = KILLED_RUN.format(tests=str(Path(__file__).parent))
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        moments = random.Random(int(os.environ.get("PLURALBENCH_KILL_SEED", "0")))
        for _ in range(3):
            before = load_checkpoint(tmp_path)
            process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment)
            # wait until it has got further than the one before, then strike at a random moment
            reached = before.step if before else 0
            while process.poll() is None and newest_step(tmp_path) < reached + 40:
                time.sleep(0.002)
            time.sleep(moments.uniform(0, 0.5))
            assert process.poll() is None, "the run ended before it could be killed"
            process.send_signal(signal.SIGKILL)
            process.wait()
        stored = load_checkpoint(tmp_path)
        assert stored is not None
        assert 0 < stored.step < 3000
        resumed = long_run(tmp_path, resume=True)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(resumed.policy.actors, undisturbed.policy.actors)
    assert resumed.metrics == undisturbed.metrics
    assert resumed.evaluations == undisturbed.evaluations
