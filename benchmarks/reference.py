"""How a suite's numbers compare with the committed reference of the same experiment.

`results/reference/<suite>/` of this repository is laid out as any suite's folder. The same experiment is one with equal
environment and settings, and equal settings of the method's learner and of what its scaling learns; the precision in
which IQL computes may differ, as it does between machines.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pluralbench.benchmarks import results
from pluralbench.benchmarks.comparisons import ASK_NOBODY
from pluralbench.benchmarks.experiments.identity import digest
from pluralbench.benchmarks.experiments.methods import NO_LEARNER
from pluralbench.benchmarks.figures.suite import (
    SuiteResults,
    learner_of,
    mean_success,
    read_suite,
    read_suites,
    seed_means,
)
from pluralbench.benchmarks.figures.sweep import sweep_name
from pluralbench.benchmarks.report import picture_names
from pluralbench.benchmarks.results.records import EXPERIMENT, sweep_path
from pluralbench.errors import InputError
from pluralbench.files import read_text, write_text

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

    Before them stands one line if there are references that cannot be read, made by another version for example.
    `reference_root` is a folder of reference suites, this repository's own by default.
    """
    suites = []
    for environment in results.environments_in(suite_folder):
        try:
            suites.append(read_suite(suite_folder, environment))
        except InputError:
            continue  # an experiment.json is damaged: said where the environment's own table would stand
    references, errors = [], []
    for folder in (path.parent for path in sorted((reference_root or REFERENCE_ROOT).rglob("success_rates.csv"))):
        if folder.resolve() != suite_folder.resolve():
            try:
                if _may_compare(suites, folder):
                    references += read_suites(folder)
            except InputError as error:
                errors.append(str(error))
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    lines = [f"reference left out: {error}{more}" for error in errors[:1]]
    for suite in suites:
        for reference in references:
            if reference.environment == suite.environment:
                lines += _compare(suite, reference)
    return lines


def keep_as_reference(folder: Path, reference_root: Path | None = None) -> Path:
    """Copies what a reference keeps of a suite, or of a sweep and the suites at its points.

    That is rates, report, pictures, experiment.json and one config of each method; a sweep's record, report and figure.

    Returns:
        The reference's folder, named as the suite's. What it holds of the suite's environments is replaced, other
        environments stay; of a reference that can no longer be read nothing stays.

    Raises:
        ResultsError: the suite is a reference itself or a point of a sweep, or there is no checkout.
    """
    root = reference_root or REFERENCE_ROOT
    target = root / folder.name
    if folder.resolve().is_relative_to(root.resolve()) or not root.parent.is_dir():
        raise results.ResultsError(f"{folder} cannot become a reference in {root}: give results/NAME of a clone")
    if any(folder.name in sweep["points"].values() for sweep in results.read_sweeps(folder.parent)):
        raise results.ResultsError(f"{folder} is a point of a sweep: give the whole one, {folder.parent}")
    sweeps = results.read_sweeps(folder)
    for suite in results.suite_folders(folder):
        _keep_suite(suite, target / suite.relative_to(folder))
    for sweep in sweeps:
        record = sweep_path(folder, sweep["environment"], sweep["sweep"]).relative_to(folder)
        _copy([folder / record, folder / f"{sweep_name(sweep)}.png"], folder, target)
    if sweeps:
        _join_reports(folder / "report.md", target / "report.md")
    return target


def _keep_suite(suite_folder: Path, target: Path) -> None:
    suites = read_suites(suite_folder)
    others = _cleared(target, [suite.environment for suite in suites])
    rates = [rate for suite in suites for rate in suite.rates]
    _copy(_kept(suites), suite_folder, target)
    results.write_success_rates(target, [*others, *rates])
    _join_reports(suite_folder / "report.md", target / "report.md")


def _copy(paths: Sequence[Path], source: Path, target: Path) -> None:
    """Copies those files of `source` that exist."""
    for path in paths:
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)


def _kept(suites: Sequence[SuiteResults]) -> list[Path]:
    """Files that a reference keeps as they are, whether or not they exist."""
    kept = []
    for suite in suites:
        folder = suite.folder / suite.environment
        kept += [suite.folder / name for name in picture_names(suite.environment)]
        kept.append(folder / "experiment.json")
        for method in suite.methods:
            kept += sorted((folder / method).glob("seed_*/config.json"))[:1]
    return kept


def _cleared(target: Path, environments: Collection[str]) -> list[results.SuccessRate]:
    """Removes what a reference holds of some environments; the rates of the others, which stay."""
    try:
        found = results.read_success_rates(target)
    except InputError:
        found = []
    others = [rate for rate in found if rate.environment not in environments]
    if not others:
        shutil.rmtree(target, ignore_errors=True)
    for environment in environments:
        shutil.rmtree(target / environment, ignore_errors=True)
        for name in picture_names(environment):
            (target / name).unlink(missing_ok=True)
    return others


def _join_reports(source: Path, target: Path) -> None:
    """Writes the sections of the report `source` into the report `target`, in the place of those of equal titles."""
    older = _sections(target)[1:] if target.is_file() else []
    target.unlink(missing_ok=True)
    if source.is_file():
        head, *sections = _sections(source)
        joined = {text.partition("\n")[0]: text for text in (*older, *sections)}
        write_text(target, "\n\n".join([head, *(joined[title] for title in sorted(joined))]) + "\n")


def _sections(report: Path) -> list[str]:
    """What stands before the first environment, then each environment's section from `## ` on."""
    parts = re.split(r"^(?=## )", read_text(report), flags=re.MULTILINE)
    return [part.strip("\n") for part in parts]


def _may_compare(suites: Sequence[SuiteResults], folder: Path) -> bool:
    """Whether a reference's rates, of which there may be very many, are worth reading: its records may rule it out."""
    if not any(folder.glob(f"*/{EXPERIMENT}")):
        return True  # of before, or damaged: reading says so
    pairs = [(_identity(suite.folder, suite.environment), _identity(folder, suite.environment)) for suite in suites]
    return any(own and other and settings_digest(own, []) == settings_digest(other, []) for own, other in pairs)


def _identity(folder: Path, environment: str) -> Mapping[str, Any]:
    return results.read_record(folder, environment).get("identity") or {}


def _compare(suite: SuiteResults, reference: SuiteResults) -> list[str]:
    identity, other = (_identity(each.folder, each.environment) for each in (suite, reference))
    if not identity or not other:
        return []
    lines = []
    for method in suite.methods:
        learner = NO_LEARNER if method in ASK_NOBODY else learner_of(method)
        known = all(learner in each.get("learners", {}) for each in (identity, other))
        same = known and settings_digest(identity, [learner]) == settings_digest(other, [learner])
        same = same and _beside_the_learner(identity, method) == _beside_the_learner(other, method)
        if method not in reference.methods or not same:
            continue
        rates, expected = (each.table_rates(method) for each in (suite, reference))
        here, there = float(np.mean(seed_means(rates))), mean_success(expected)
        within = round(there.low, 2) <= round(here, 2) <= round(there.high, 2)  # as printed
        interval = f"{there.estimate:.2f} [{there.low:.2f}, {there.high:.2f}]"
        lines.append(
            f"{suite.environment}, {suite.title_of(method)}: {here:.2f} here, {interval} in the reference (commit "
            f"{_commit(reference, method)}): {'within' if within else 'outside'} its interval"
        )
    return lines


def _beside_the_learner(identity: Mapping[str, Any], method: str) -> tuple[Any, Any]:
    """What an identity says of a method's scaling, None where nothing is learned for it, and of the policy it names."""
    reward, _, policy = method.partition("@")
    return identity.get("scalings", {}).get(reward.partition("+")[2]), identity.get("policies", {}).get(policy)


def _commit(reference: SuiteResults, method: str) -> str:
    """The commit that made a method's reference, short; from the first config that there is."""
    for config in reference.configs(method).values():
        return str(config["commit"])[:7]
    return "unknown"
