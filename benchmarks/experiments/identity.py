"""What makes two runs the same experiment, so that one folder never holds two.

The identity is all that a number depends on but the machine:

    environment, its versions, simulator and source            settings of every stage, as used
    learners   {name: settings, version, source}      users    {seed: fingerprint of train and test users}
    policies   {name: source, version after the first}  scalings {name: settings, version} of those that learn
    data       {its seed: fingerprint}                answers  {seed: fingerprint of all answers}

`source` is the checksum of a file outside this repository (`file.py:NAME`). Methods and seeds are no part of it: more
of them may join, so learners, scalings, users, data and answers are compared where both sides have them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pluralbench.benchmarks.experiments.methods import policies
from pluralbench.benchmarks.experiments.plan import Plan
from pluralbench.benchmarks.experiments.settings import ExperimentError, learner_without_later, without_later
from pluralbench.envs import TransitionDataset
from pluralbench.preference_oracles.fingerprints import content_fingerprint
from pluralbench.registry import file_of
from pluralbench.reward_learning.learners import learners
from pluralbench.reward_learning.pair_classifier import PairClassifier
from pluralbench.reward_learning.scalings import SPO_PAIRS
from pluralbench.settings import as_json, differences, merged

BY_KEY = ("learners", "scalings", "policies", "users", "data", "answers")
"""Parts of an identity that grow as methods and seeds join."""
Identity = dict[str, Any]

_SAID = {"users": "the users of seed {}", "answers": "the answers of seed {}", "data": "the data of seed {}"}
"""What a part's fingerprints are of, in words."""
_KINDS = {"learners": "learner", "policies": "policy", "scalings": "scaling"}
"""What a part's checksums are of."""
_LONGEST_VALUE = 40
"""Letters of a value that is shown."""


def planned_identity(plan: Plan) -> Identity:
    """The identity as far as the plan alone decides it."""
    found = {}
    for method in plan.methods:
        model = learners.get(method.learner)
        source = _source(method.learner)
        settings = learner_without_later(plan.settings_of(method.learner))
        found[model.name] = {"settings": settings, "version": model.version, **source}
    classifier = {"settings": as_json(plan.classifier_settings), "version": PairClassifier.version}
    learns = any(method.scaling == SPO_PAIRS for method in plan.methods)
    return {
        "environment": {
            "name": plan.environment.name,
            "behaviour_version": plan.environment.behaviour_version,
            "success_version": plan.environment.success_version,
            **plan.environment.arguments,
            **_source(plan.experiment.environment),
        },
        "settings": without_later(plan.settings()),
        "learners": found,
        "policies": {policies.get(method.policy).name: _of_policy(method.policy) for method in plan.methods},
        **({"scalings": {SPO_PAIRS: classifier}} if learns else {}),
    }


def _of_policy(specification: str) -> dict[str, Any]:
    version = policies.get(specification).version
    return {**_source(specification), **({"version": version} if version > 1 else {})}  # there was none at first


def _source(specification: str) -> dict[str, str]:
    path = file_of(specification)
    return {} if path is None else {"source": hashlib.sha256(path.read_bytes()).hexdigest()}


def dataset_fingerprint(dataset: TransitionDataset) -> str:
    """SHA-256 over every column."""
    names = ("observations", "actions", "next_observations", "rewards", "terminals", "timeouts")
    return content_fingerprint("transitions", {}, {name: getattr(dataset, name) for name in names})


def digest(value: Any) -> str:
    """A short text that equal JSON values share."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def run_digest(
    identity: Identity, learner: str, scaling: str, policy: str, method: str, seed: int, data_seed: int
) -> str:
    """Of all that one method's run with one seed depends on, and its dataset's seed."""
    keys = {"users": str(seed), "answers": str(seed), "data": str(data_seed)}
    own = {part: identity[part].get(key) for part, key in keys.items()}
    shared = {part: value for part, value in identity.items() if part not in BY_KEY}
    learned = [identity["scalings"][scaling]] if scaling in identity.get("scalings", {}) else []
    return digest([shared, own, identity["learners"][learner], identity["policies"][policy], method, seed, *learned])


def clashes(stored: Identity, new: Identity) -> list[str]:
    """Where two identities contradict each other: names of settings, `iql.num_updates` for example."""
    found = []
    for part in (*stored, *(part for part in new if part not in stored)):
        before, now = stored.get(part), new.get(part)
        if before is None or now is None:
            continue
        if part in BY_KEY:
            shared = sorted(before.keys() & now.keys())
            before, now = ({key: side[key] for key in shared} for side in (before, now))
        found += [name.removeprefix("settings.") for name in differences(before, now, part)]
    return found


def joined(stored: Identity, new: Identity) -> Identity:
    """Both together, once they do not clash."""
    return merged(stored, new)


def check_same(stored: Identity, new: Identity, folder: Path) -> None:
    """Raises ExperimentError, saying what differs and what to do, unless `new` belongs into `folder`."""
    names = clashes(stored, new)
    if not names:
        return
    told = list(dict.fromkeys(_in_words(name, stored, new) for name in names))
    shown = ", ".join(told[:3])
    more = f" and {len(told) - 3} more" if len(told) > 3 else ""
    raise ExperimentError(
        f"{folder} holds another experiment: {shown}{more}; give this one a folder of its own with --suite NAME or "
        f"--out DIR, or remove {folder}"
    )


def _in_words(name: str, stored: Identity, new: Identity) -> str:
    """One difference for people: a setting with its values, what fingerprints and checksums are of by its own name."""
    part, _, key = name.partition(".")
    if part in _SAID:
        return f"{_SAID[part].format(key.partition('.')[0])} differ"
    owner, _, last = key.rpartition(".")
    if last == "source" and part in BY_KEY:
        return f"the file of the {_KINDS[part]} {owner} has changed"
    if name == "environment.source":
        return "the file of the environment has changed"
    before, now = (_value(identity, name) for identity in (stored, new))
    short = all(
        isinstance(value, int | float | str | list | None) and len(str(value)) < _LONGEST_VALUE
        for value in (before, now)
    )
    return f"{name} (there {before}, here {now})" if short else name


def _value(identity: Mapping[str, Any], name: str) -> Any:
    for root in (identity, identity.get("settings", {})):
        value: Any = root
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    return None
