"""Folders of results as benchmarks write them, for tests of what is made of them."""

from pluralbench.benchmarks.results import SuccessRate, merge_success_rates
from pluralbench.files import write_json

GROUPS = [{"name": "held-out x", "taught": True}, {"name": "a|b", "taught": True}, {"name": "late", "taught": False}]
IDENTITY = {
    "environment": {"name": "maze", "behaviour_version": 1},
    "settings": {"num_transitions": 100, "iql": {"num_updates": 60, "precision": "float32"}},
    "learners": {"btl": {"settings": {"hidden_size": 8}, "version": 1}, "vpl": {"settings": {}, "version": 1}},
}


def write_suite(folder, methods, episodes=10, identity=IDENTITY, environment="maze", reached=None):
    """A suite of one environment with one seed and these successes of the users by method.

    `reached` are the counts by the papers' rule where they are others.
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
    record = {"methods": list(methods), "groups": GROUPS, "identity": identity}
    write_json(folder / environment / "experiment.json", record)
    for method in methods:
        config = {"command": "pluralbench maze", "commit": "abc1234def567890+changes", "packages": {"torch": "2.4"}}
        own = folder / environment / method / "seed_0"
        write_json(own / "config.json", {**config, "machine": "m", "device": "cpu"})
        write_json(own / "summary.json", {"reward_model": None})
    return folder


def write_users(folder, methods, names=("north", "south"), episodes=5):
    """A suite without records: by method, for each seed, the successes of users whose groups alternate."""
    rates = [
        SuccessRate("maze", "points", method, seed, user, names[user % len(names)], episodes, count, count)
        for method, seeds in methods.items()
        for seed, successes in enumerate(seeds)
        for user, count in enumerate(successes)
    ]
    merge_success_rates(folder, rates)
    write_json(folder / "maze/experiment.json", {"methods": list(methods), "groups": []})
    return folder


ALWAYS, NEVER = [[5] * 8], [[0] * 8]
