"""The GPU path; skipped where there is no CUDA device, and never yet run on one."""

from dataclasses import replace

import pytest
import torch
from test_iql_learner import SETTINGS, make_data

from pluralbench.iql import train
from pluralbench.iql.cloning import CloningLearner
from pluralbench.iql.learner import Learner
from pluralbench.iql.reference import ReferenceLearner
from pluralbench.iql.runner import Runner

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def run(graph: bool, discrete: bool) -> Learner:
    settings = replace(SETTINGS, discrete_actions=discrete)
    learner = Learner(make_data(2, discrete).to("cuda"), settings, [1, 2])
    runner = Runner(learner, [1, 2], graph=graph)
    runner.run(0, 40)
    assert runner.captured == graph
    return learner


@pytest.mark.parametrize("discrete", [False, True])
def test_graph_equals_eager(discrete: bool) -> None:
    captured, eager = run(True, discrete), run(False, discrete)
    for name, tensor in captured.state().items():
        assert torch.allclose(tensor, eager.state()[name], atol=1e-6), name


def test_a_failed_capture_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("capture refused")

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    learner = Learner(make_data().to("cuda"), SETTINGS, [1, 2])
    runner = Runner(learner, [1, 2])
    runner.run(0, 40)
    assert not runner.captured
    assert torch.allclose(learner.parameters, run(False, False).parameters)


def test_the_reference_is_not_captured_and_gives_the_same() -> None:
    reference = ReferenceLearner(make_data().to("cuda"), SETTINGS, [1, 2])
    runner = Runner(reference, [1, 2])
    runner.run(0, 40)
    assert not runner.captured
    assert torch.allclose(reference.actor(), run(False, False).actor(), atol=1e-4)


@pytest.mark.parametrize("discrete", [False, True])
def test_cloning_gives_the_numbers_of_the_processor(discrete: bool) -> None:
    settings = replace(SETTINGS, discrete_actions=discrete)
    policies = [
        train(make_data(2, discrete), settings, [1, 2], device=device, learner_class=CloningLearner).policy
        for device in ("cpu", "cuda")
    ]
    assert torch.allclose(policies[0].actors, policies[1].actors.cpu(), atol=1e-4)


def test_training_on_the_gpu_resumes(tmp_path) -> None:
    whole = train(make_data(), SETTINGS, [1, 2], device="cuda")
    train(make_data(), replace(SETTINGS), [1, 2], device="cuda", checkpoint_folder=tmp_path, checkpoint_every=10)
    again = train(make_data(), SETTINGS, [1, 2], device="cuda", checkpoint_folder=tmp_path, resume=True)
    assert torch.allclose(whole.policy.actors, again.policy.actors, atol=1e-6)
