import dataclasses
import json

import numpy as np
import pytest

from pluralbench.benchmarks.didactic import POINTS, DidacticSettings, _chance, run_didactic

SMALL = DidacticSettings(
    num_users=300, num_new_users=60, num_further=32, hidden_size=32, num_layers=2, num_updates=150, vpl_updates=450
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    out = tmp_path_factory.mktemp("didactic")
    steps = []
    summary = run_didactic(
        out, seed=0, device="cpu", progress=lambda done, total: steps.append((done, total)), settings=SMALL
    )
    return out, summary, steps


def test_vpl_serves_the_groups_that_btl_averages(ran):
    _, summary, _ = ran
    gaussians = summary["four_gaussians"]
    assert gaussians["vpl"]["accuracy_on_further_answers"] > gaussians["btl"]["accuracy_on_further_answers"] + 0.15
    assert gaussians["vpl"]["accuracy_on_further_answers"] <= gaussians["best_possible_accuracy"] + 0.01
    assert min(gaussians["vpl"]["correlation_with_each_group"]) > 0.7
    assert min(gaussians["btl"]["correlation_with_each_group"]) < 0.2
    assert gaussians["vpl"]["best_place_for_each_group"] == sorted(gaussians["vpl"]["best_place_for_each_group"])


def test_hidden_context_is_borda_to_btl_and_spread_to_dpl(ran):
    _, summary, _ = ran
    context = summary["hidden_context"]
    assert context["btl"]["correlation_with_borda_count"] > context["btl"]["correlation_with_expected_utility"]
    for name in ("dpl-meanvar", "dpl-categorical"):
        assert context[name]["mean_std_above_threshold"] > 2 * context[name]["mean_std_below_threshold"]


def test_files_say_what_made_them_and_stay_small(ran):
    out, summary, steps = ran
    written = json.loads((out / "didactic.json").read_text())
    assert written["command"] == "pluralbench didactic --seed 0"
    assert written["settings"] == dataclasses.asdict(SMALL)
    assert {"commit", "packages"} <= set(written)
    assert written["four_gaussians"] == summary["four_gaussians"]
    assert 10_000 < (out / "didactic.png").stat().st_size < 300_000
    assert (out / "didactic.pdf").stat().st_size > 10_000
    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_chance_of_a_steep_reward_is_the_rank():
    chance = _chance(1e6 * POINTS)
    np.testing.assert_allclose(chance, (np.arange(len(POINTS)) + 0.5) / len(POINTS))
