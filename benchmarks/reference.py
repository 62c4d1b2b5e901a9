"""How a suite's numbers compare with the committed reference of the same experiment.

`results/reference/<suite>/` of this repository is laid out as any suite's folder. The same experiment is one with equal
environment and settings, and equal settings of the method's learner; the precision in which IQL computes may differ, as
it does between machines.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pluralbench.benchmarks import results
from pluralbench.benchmarks.experiments.identity import digest
from pluralbench.benchmarks.figures.suite import SuiteResults, learner_of, mean_success, read_suites, seed_means
from pluralbench.errors import InputError
from pluralbench.files import read_json

REFERENCE_ROOT = Path(__file__).resolve().parents[1] / "results" / "reference"
"""In a checkout; an installed wheel has none."""


def settings_digest(identity: Mapping[str, Any], learners: Collection[str] | None = None) -> str:
    """A short text that the identities (`experiments.identity`) of one experiment share.

    Of environment, settings and those `learners` that count, all by default.
    """
    settings = dict(identity.get("settings") or {})
    if isinstance(settings.get("iql"), Mapping):
        settings["iql"] = {name: value for name, value in settings["iql"].items() if name != "precision"}
    known = identity.get("learners") or {}
    value = {
        "environment": identity.get("environment"),
        "settings": settings,
        "learners": {name: known.get(name) for name in sorted(known if learners is None else learners)},
    }
    return digest(value)


def compare_with_reference(suite_folder: Path, reference_root: Path | None = None) -> list[str]:
    """A line for each method of a suite that the reference of the same experiment has as well.

    `reference_root` is a folder of reference suites, this repository's own by default.
    """
    references, lines = [], []
    for folder in (path.parent for path in sorted((reference_root or REFERENCE_ROOT).rglob("success_rates.csv"))):
        if folder.resolve() != suite_folder.resolve():
            try:
                references += read_suites(folder)
            except InputError as error:
                lines.append(f"reference left out: {error}")
    for suite in read_suites(suite_folder):
        for reference in references:
            if reference.environment == suite.environment:
                lines += _compare(suite, reference)
    return lines


def keep_as_reference(suite_folder: Path, reference_root: Path | None = None) -> Path:
    """Copies what a reference keeps of a suite: rates, report, pictures, experiment.json, one config of each method.

    Returns:
        The reference's folder, named as the suite's; what lay there is replaced.

    Raises:
        ResultsError: the suite is a reference itself, or there is no checkout.
    """
    root = reference_root or REFERENCE_ROOT
    target = root / suite_folder.name
    if suite_folder.resolve().is_relative_to(root.resolve()) or not root.parent.is_dir():
        raise results.ResultsError(f"{suite_folder} cannot become a reference in {root}: give results/NAME of a clone")
    shutil.rmtree(target, ignore_errors=True)
    kept = [suite_folder / "success_rates.csv", suite_folder / "report.md", *suite_folder.glob("*.png")]
    for suite in read_suites(suite_folder):
        kept.append(suite_folder / suite.environment / "experiment.json")
        for method in suite.methods:
            kept += sorted((suite_folder / suite.environment / method).glob("seed_*/config.json"))[:1]
    for path in kept:
        if path.is_file():
            place = target / path.relative_to(suite_folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    return target


def _compare(suite: SuiteResults, reference: SuiteResults) -> list[str]:
    identity, other = (
        results.read_record(each.folder, each.environment).get("identity") for each in (suite, reference)
    )
    if not identity or not other:
        return []
    lines = []
    for method in suite.methods:
        learner = learner_of(method)
        known = all(learner in each.get("learners", {}) for each in (identity, other))
        same = known and settings_digest(identity, [learner]) == settings_digest(other, [learner])
        if method not in reference.methods or not same:
            continue
        rates, expected = (each.table_rates(method) for each in (suite, reference))
        here, there = float(np.mean(seed_means(rates))), mean_success(expected)
        within = round(there.low, 2) <= round(here, 2) <= round(there.high, 2)  # as printed
        lines.append(
            f"{suite.environment}, {method}: {here:.2f} here, {there.estimate:.2f} [{there.low:.2f}, {there.high:.2f}] "
            f"in the reference (commit {_commit(reference, method)}): {'within' if within else 'outside'} its interval"
        )
    return lines


def _commit(reference: SuiteResults, method: str) -> str:
    """The commit that made a method's reference, short; from the first config that there is."""
    for path in sorted((reference.folder / reference.environment / method).rglob("config.json")):
        return str(read_json(path).get("commit"))[:7]
    return "unknown"
