"""The tables of results: what is written, merged, read back and refused."""

import csv
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pluralbench.benchmarks.results import (
    COLUMNS,
    ResultsError,
    SuccessRate,
    merge_success_rates,
    read_metrics,
    read_rows,
    read_success_rates,
    write_metrics,
    write_success_rates,
)
from pluralbench.files import write_json

HEADER = "environment,population,method,seed,user,group,episodes,successes,success_rate"
ROW = "maze,p,vpl,0,0,g,5,3,0.6000,5"


def rate(method="vpl", seed=0, user=0, successes=3, reached=5):
    return SuccessRate("maze", "p", method, seed, user, "g", 5, successes, reached)


def write_rows(folder, *rows):
    (folder / "success_rates.csv").write_text("\n".join([",".join(COLUMNS), *rows]) + "\n", encoding="utf-8")


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
    merge_success_rates(tmp_path, [rate(), rate(seed=1), rate("btl")])
    merge_success_rates(tmp_path, [rate(successes=1, reached=1)])
    assert read_success_rates(tmp_path) == [rate("btl"), rate(successes=1, reached=1), rate(seed=1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\nmaze,p,vpl,0,0,g,5,3,0.6000\n", "line 1: made before success was judged at the end of an episode"),
        (f"{HEADER},reach\n{ROW}\n", "line 1: expected the columns .*,success_rate,reached"),
        (f"{HEADER},reached\n", "holds a header and no row"),
        ("", "line 1: expected the columns"),
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


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("maze,p,vpl,0,1,g,5,3,0.6000", "9 cells, expected 10"),
        ("maze,p,vpl,0,1,g,5,3,0.6000,5,6", "11 cells, expected 10"),
        ("maze,p,vpl,0,1,g,5,3,0.6000,often", "reached the goal must be a whole number from 0 up, is 'often'"),
        ("maze,p,vpl,-1,1,g,5,3,0.6000,5", "the seed must be"),
        ("maze,p,vpl,0,1.0,g,5,3,0.6000,5", "the user must be"),
        ("maze,p,vpl,0,１,g,5,3,0.6000,5", "the user must be"),
        pytest.param(f"maze,p,vpl,0,{'9' * 5000},g,5,3,0.6000,5", "the user must be", id="5000 digits"),
        ("maze,p,vpl,0,1,g,0,0,0.0000,0", "at least 1"),
        ("maze,p,vpl,0,1,g,5,6,1.2000,5", "6 successes and 5 reached in 5 episodes"),
        ("maze,p,vpl,0,1,g,5,3,0.6000,6", "3 successes and 6 reached in 5 episodes"),
        ("maze,p,vpl,0,1,g,5,3,0.6001,5", "is '0.6001', 3 of 5 are 0.6000"),
        ("maze,p,vpl,0,1,g,5,3,nan,5", "is 'nan', 3 of 5"),
        ("../../x,p,vpl,0,1,g,5,3,0.6000,5", "the environment must name one folder"),
        ("maze,p,/x,0,1,g,5,3,0.6000,5", "the method must name one folder"),
        ("maze,p,..,0,1,g,5,3,0.6000,5", "the method must name one folder"),
        pytest.param(f"maze,p,{'x' * 201},0,1,g,5,3,0.6000,5", "the method must name one folder", id="201 bytes"),
        (r"maze,p,a\b,0,1,g,5,3,0.6000,5", "the method must name one folder"),
        ("maze,p,vpl,0,1,,5,3,0.6000,5", "the group is empty"),
        ("maze,p,vpl,0,1,\x1b[31m,5,3,0.6000,5", "the group holds a control character"),
        ('maze,p,vpl,0,1,"g\nh",5,3,0.6000,5', "the group holds a control character"),
        pytest.param(f"maze,p,vpl,0,1,{'g' * 1001},5,3,0.6000,5", "the group has 1001 characters", id="1001 letters"),
        pytest.param(f"maze,p,vpl,0,1,{'g' * 200_000},5,3,0.6000,5", "larger than field limit", id="200000 letters"),
        ('maze,p,vpl,0,1,"g,5,3,0.6000,5', "unexpected end of data"),
        ("maze,p,vpl,0,1,\0,5,3,0.6000,5", "NUL byte"),
        ("maze,p,vpl,0,0,g,5,3,0.6000,5", "repeats user 0 of vpl seed 0 in line 2"),
        ("maze,q,vpl,0,1,g,5,3,0.6000,5", "has the population 'q', in line 2 'p'"),
        ("maze,p,btl,0,0,h,5,3,0.6000,5", "user 0 of seed 0 is of 'h', in line 2 of 'g'"),
        ("maze,p,btl,1,0,h,5,3,0.6000,5", "btl seed 1 has [01] users of '[gh]', vpl seed 0 in line 2 has [01]"),
    ],
)
def test_a_damaged_row_is_named_by_its_line(tmp_path, row, message):
    write_rows(tmp_path, ROW, row)
    with pytest.raises(ResultsError, match=message) as error:
        read_success_rates(tmp_path)
    line = 4 if "\n" in row else 3
    assert f"success_rates.csv, line {line}: " in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_run_that_lacks_a_row_is_named(tmp_path):
    write_success_rates(tmp_path, [rate(method, seed, user) for method in "ab" for seed in (0, 1) for user in (0, 1)])
    lines = (tmp_path / "success_rates.csv").read_text().splitlines()
    (tmp_path / "success_rates.csv").write_text("\n".join([*lines[:3], *lines[4:]]))
    with pytest.raises(ResultsError, match="line 4: a seed 1 has 1 users of 'g', a seed 0 in line 2 has 2: rows"):
        read_success_rates(tmp_path)


def test_tables_as_spreadsheets_write_them_are_read(tmp_path):
    text = f"\ufeff{HEADER},reached\r\n{ROW.replace('0.6000', '0.6')}\r\n\r\n"
    (tmp_path / "success_rates.csv").write_bytes(text.encode())
    assert read_success_rates(tmp_path) == [rate()]


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "success_rates.csv").write_bytes(f"{HEADER},reached\n{ROW}\n".encode().replace(b"vpl", b"v\xffl"))
    with pytest.raises(ResultsError, match="no text in UTF-8"):
        read_success_rates(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"population": "q"}, "maze has the population 'p', its experiment.json says 'q'"),
        (
            {"groups": [{"name": "h", "taught": True}]},
            "maze has the group 'g', which its experiment.json does not know",
        ),
        ({"groups": [{"name": "g", "taught": True}] * 2}, "groups: one of them stands there twice"),
        ({"environment": "ravens"}, "is of the environment 'ravens', expected maze"),
        ({"seeds": [0, 0]}, "seeds: a value stands there twice"),
        ({"seeds": [-1]}, "seeds.0: Input should be greater than or equal to 0, is -1"),
        ({"seeds": [True]}, "seeds.0: Input should be a valid integer"),
        ({"methods": ["../x"]}, "methods.0: the name must name one folder"),
        ({"methods": "vpl"}, "methods: Input should be a valid list"),
        ({"groups": [{"name": "g", "taught": 1}]}, "groups.0.taught: Input should be a valid boolean"),
        ({"identity": {"users": []}}, "identity: the part 'users' is not known, or no object"),
        ({"more": 1}, "more: Extra inputs are not permitted"),
    ],
)
def test_an_experiment_json_is_checked_whole(tmp_path, changes, message):
    write_success_rates(tmp_path, [rate()])
    record = {"environment": "maze", "population": "p", "methods": ["vpl"], "seeds": [0], "groups": [], "identity": {}}
    write_json(tmp_path / "maze/experiment.json", record)
    assert read_success_rates(tmp_path) == [rate()]
    write_json(tmp_path / "maze/experiment.json", {**record, **changes})
    with pytest.raises(ResultsError, match=message) as error:
        read_success_rates(tmp_path)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("success,1,mean", "3 cells, expected 4"),
        ("other,1,mean,0.5", "the stage must be one of reward, policy, success, answers, is 'other'"),
        ("success,-1,mean,0.5", "the step must lie in 0 to"),
        ("success,1e300,mean,0.5", "the step must lie in 0 to"),
        ("success,nan,mean,0.5", "the step must lie in 0 to"),
        ("success,1,mean,1.5", "a success rate must lie in 0 to 1"),
        ("success,1,mean,nan", "a success rate must lie in 0 to 1"),
        ("reward,1,loss,0x1", "the value must be a number"),
        ("reward,1,loss,1_0", "the value must be a number"),
        ("reward,1,,1", "the metric is empty"),
        ("success,2,mean,0.5", "repeats line 2"),
    ],
)
def test_a_damaged_row_of_metrics_is_named_by_its_line(tmp_path, row, message):
    (tmp_path / "metrics.csv").write_text(f"stage,step,metric,value\nsuccess,2,mean,0.5\n{row}\n")
    with pytest.raises(ResultsError, match=f"metrics.csv, line 3: {message}"):
        read_metrics(tmp_path / "metrics.csv")


LETTERS = string.ascii_letters + string.digits + " +@.-[]é名"
NAMES = st.text(LETTERS, min_size=1, max_size=20).filter(lambda name: name.strip() and name not in (".", ".."))
TEXT = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))  # commas, quotes, slashes and all
LINES = st.text(TEXT, min_size=1, max_size=30).filter(str.strip)
COUNTS = st.integers(0, 10**9)
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def tables(draw):
    """Rows of a whole table: every run of an environment serves the same groups."""
    rows = []
    for environment in draw(st.lists(NAMES, min_size=1, max_size=2, unique=True)):
        population, groups = draw(LINES), draw(st.lists(LINES, min_size=1, max_size=3))
        for method in draw(st.lists(NAMES, min_size=1, max_size=2, unique=True)):
            for seed in draw(st.lists(COUNTS, min_size=1, max_size=2, unique=True)):
                for user, group in enumerate(groups):
                    episodes = draw(st.integers(1, 1000))
                    counts = draw(st.integers(0, episodes)), draw(st.integers(0, episodes))
                    rows.append(SuccessRate(environment, population, method, seed, user, group, episodes, *counts))
    return rows


@MANY
@given(rows=tables())
def test_every_table_of_rates_is_read_as_it_was_written(tmp_path, rows):
    write_success_rates(tmp_path, rows)
    assert read_rows(tmp_path) == sorted(rows, key=lambda row: (*row.run, row.user))


def metrics_of(stages, values):
    return st.tuples(st.sampled_from(stages), COUNTS.map(float), LINES, values)


METRICS = st.one_of(metrics_of(["reward", "policy"], st.floats()), metrics_of(["success", "answers"], st.floats(0, 1)))


@MANY
@given(rows=st.lists(METRICS, max_size=10, unique_by=lambda row: row[:3]))
def test_all_metrics_are_read_as_they_were_written(tmp_path, rows):
    write_metrics(tmp_path / "metrics.csv", rows)
    found = read_metrics(tmp_path / "metrics.csv")
    assert [row[:3] for row in found] == [row[:3] for row in rows]
    for before, after in zip(rows, found, strict=True):
        assert after[3] == pytest.approx(before[3], rel=1e-5, nan_ok=True)


ODD = [b"\0", b"\xff", b'"', b"\n", b",", b"-", b"1e999", b"9" * 5000, b"../", b"nan"]
TABLE = "\n".join([f"{HEADER},reached", ROW, ROW.replace("vpl,0", "vpl,1"), ROW.replace("vpl", "btl")]).encode()
ROWS = b"stage,step,metric,value\nreward,1,loss,0.5\nsuccess,2,mean,0.5\nanswers,1e+06,user 3,0.25\n"


@st.composite
def changed(draw, content):
    """Bytes of a file with some of them replaced, removed, doubled or put in."""
    for _ in range(draw(st.integers(1, 4))):
        at, end = sorted((draw(st.integers(0, len(content))), draw(st.integers(0, len(content)))))
        part = draw(st.one_of(st.binary(max_size=8), st.just(content[at:end]), st.sampled_from(ODD)))
        content = content[:at] + part + content[draw(st.sampled_from([at, end])) :]
    return content


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("success_rates.csv", TABLE, lambda path: read_success_rates(path.parent)),
        ("metrics.csv", ROWS, read_metrics),
    ],
    ids=["success rates", "metrics"],
)
def test_a_changed_table_is_read_or_refused_in_one_line(tmp_path, name, content, read):
    (tmp_path / name).write_bytes(content)
    assert len(read(tmp_path / name)) == 3

    @MANY
    @given(bytes_=changed(content))
    def check(bytes_):
        (tmp_path / name).write_bytes(bytes_)
        try:
            read(tmp_path / name)
            return
        except ResultsError as error:
            message = str(error)
        assert name in message
        assert len(message.splitlines()) == 1

    check()


def test_a_folder_beside_the_results_is_told_where_they_are(tmp_path):
    for name in ("quick", "smoke"):
        (tmp_path / name / "maze").mkdir(parents=True)
        write_success_rates(tmp_path / name, [rate()])
    with pytest.raises(ResultsError, match=f"one of {tmp_path}/quick, {tmp_path}/smoke\\?"):
        read_success_rates(tmp_path)
    with pytest.raises(ResultsError, match=f"no success_rates.csv in it; {tmp_path}/quick\\?"):
        read_success_rates(tmp_path / "quick" / "maze")
