"""Folders of results as benchmarks write them, for tests of what is made of them."""

from pluralbench.benchmarks.results import SuccessRate, merge_success_rates, seed_folder, write_metrics
from pluralbench.files import write_json

GROUPS = [{"name": "held-out x", "taught": True}, {"name": "a|b", "taught": True}, {"name": "late", "taught": False}]
IDENTITY = {
    "environment": {"name": "maze", "behaviour_version": 1},
    "settings": {"num_transitions": 100, "iql": {"num_updates": 60, "precision": "float32"}},
    "learners": {"btl": {"settings": {"hidden_size": 8}, "version": 1}, "vpl": {"settings": {}, "version": 1}},
}
MADE_BY = {
    "command": "pluralbench maze",
    "commit": "abc1234def567890+changes",
    "packages": {"torch": "2.4"},
    "python": "3.11",
    "machine": "m",
    "device": "cpu",
}
BINS = [
    {"low": 0.5, "high": 0.9, "count": 4, "confidence": 0.8, "accuracy": 0.9},
    {"low": 0.9, "high": 1.0, "count": 0, "confidence": None, "accuracy": None},
]
DIAGNOSTICS = {
    "accuracy": 0.9,
    "accuracy_conflicting": None,
    "nll": 0.5,
    "accuracy_by_answers": {"1": 0.6, "8": 0.9},
    "calibration": {"ece": 0.1, "bins": BINS},
    "rank_correlation": {"mean": 0.9, "worst_group": 0.8},
    "latents": {"kl": None, "active_units": 1, "probe": None, "cluster_recovery": None},
}
"""Of a reward model, in a run's summary.json."""


def write_record(folder, methods, seeds, groups=(), identity=IDENTITY, environment="maze"):
    """The experiment.json of an environment."""
    record = {"environment": environment, "population": "points", "methods": list(methods), "seeds": list(seeds)}
    write_json(folder / environment / "experiment.json", {**record, "groups": list(groups), "identity": identity})


def write_run(folder, rates, identity=IDENTITY, reward_model=None, blame=(), curve=(("success", 1, "mean", 0.5),)):
    """The files of one finished run, which fit these rows of success_rates.csv.

    `blame` are for each of the first users what the summary says besides: `reward_right` and the like.
    """
    first = rates[0]
    own = seed_folder(folder, first.environment, first.method, first.seed)
    identity = {**identity, "environment": {**identity.get("environment", {}), "name": first.environment}}
    experiment = {**identity.get("settings", {}), "methods": [first.method], "evaluation": {"episodes": first.episodes}}
    settings = {**identity.get("settings", {}), "population": first.population}
    identity = {**identity, "settings": settings}
    write_json(own / "config.json", {"experiment": experiment, "seed": first.seed, "identity": identity, **MADE_BY})
    write_metrics(own / "metrics.csv", list(curve))
    users = [
        {"user": rate.user, "group": rate.group, "goal": "there", "success_rate": rate.success_rate,
         "reached_rate": rate.reached_rate, "mean_steps": 1.0}
        for rate in rates
    ]  # fmt: skip
    for user, more in zip(users, blame, strict=False):
        user |= more
    means = {name: sum(user[name] for user in users) / len(users) for name in ("success_rate", "reached_rate")}
    rest = {"episodes_that_raised": [], "policy": {}, "seconds": {"reward_model": 1.0, "policy": 2.0}}
    summary = {"digest": "0123456789abcdef", **means, "users": users, **rest, "reward_model": reward_model}
    write_json(own / "summary.json", summary)
    return own


def write_suite(folder, methods, episodes=10, identity=IDENTITY, environment="maze", reached=None, **run):
    """A suite of one environment with one seed and these successes of the users by method.

    `reached` are the counts by the papers' rule where they are others; `run` is what `write_run` takes.
    """
    rates = [
        SuccessRate(
            environment, "points", method, 0, user, GROUPS[user]["name"], episodes, count,
            (reached or {}).get(method, successes)[user],
        )
        for method, successes in methods.items()
        for user, count in enumerate(successes)
    ]  # fmt: skip
    merge_success_rates(folder, rates)
    write_record(folder, methods, [0], GROUPS, identity, environment)
    for method in methods:
        write_run(folder, [rate for rate in rates if rate.method == method], identity, **run)
    return folder


def write_users(folder, methods, names=("north", "south"), episodes=5):
    """A suite without files of its runs: by method, for each seed, the successes of users whose groups alternate."""
    rates = [
        SuccessRate("maze", "points", method, seed, user, names[user % len(names)], episodes, count, count)
        for method, seeds in methods.items()
        for seed, successes in enumerate(seeds)
        for user, count in enumerate(successes)
    ]
    merge_success_rates(folder, rates)
    write_record(folder, methods, [])  # which seeds there should be is not said
    return folder


ALWAYS, NEVER = [[5] * 8], [[0] * 8]
