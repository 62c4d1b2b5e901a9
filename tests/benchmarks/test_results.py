"""success_rates.csv: what is written, merged, read back and refused."""

import csv

import pytest

from pluralbench.benchmarks.results import (
    ResultsError,
    SuccessRate,
    merge_success_rates,
    read_success_rates,
    write_success_rates,
)

HEADER = "environment,population,method,seed,user,group,episodes,successes,success_rate"


def rate(method="vpl", seed=0, user=0, successes=3, reached=5):
    return SuccessRate("maze", "p", method, seed, user, "g", 5, successes, reached)


def test_reached_is_the_last_column_and_is_read_back(tmp_path):
    write_success_rates(tmp_path, [rate(user=1, reached=4), rate()])
    with (tmp_path / "success_rates.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == [*HEADER.split(","), "reached"]
    assert [row[-2:] for row in rows[1:]] == [["0.6000", "5"], ["0.6000", "4"]]
    found = read_success_rates(tmp_path)
    assert found == [rate(), rate(user=1, reached=4)]
    assert (found[1].success_rate, found[1].reached_rate) == (0.6, 0.8)


def test_a_repeated_run_replaces_its_own_rows_alone(tmp_path):
    merge_success_rates(tmp_path, [rate(), rate(user=1), rate(seed=1), rate("btl")])
    merge_success_rates(tmp_path, [rate(successes=1, reached=1)])
    assert read_success_rates(tmp_path) == [rate("btl"), rate(successes=1, reached=1), rate(seed=1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\nmaze,p,vpl,0,0,g,5,3,0.6000\n", "made before success was judged at the end of an episode: run it"),
        (f"{HEADER},reach\nmaze,p,vpl,0,0,g,5,3,0.6000,5\n", "expected the columns .*,success_rate,reached"),
        (f"{HEADER},reached\nmaze,p,vpl,0,0,g,5,3,0.6000,often\n", "damaged"),
        (f"{HEADER},reached\nmaze,p,vpl,0,0,g,5,3,0.6000\n", "damaged"),
        (f"{HEADER},reached\n", "holds no row"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "success_rates.csv").write_text(text)
    for refused in (lambda: read_success_rates(tmp_path), lambda: merge_success_rates(tmp_path, [rate()])):
        with pytest.raises(ResultsError, match=message) as error:
            refused()
        assert "\n" not in str(error.value)
        assert "success_rates.csv" in str(error.value)
    assert (tmp_path / "success_rates.csv").read_text() == text
