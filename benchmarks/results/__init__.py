"""The files that a benchmark writes, and reading them back.

<out>/<suite>/
success_rates.csv                    one row per environment, population, method, seed and test user
<env>-*.png, <env>-*.pdf             figures
<env>-reward-maps.npz, ...           what the figures draw (`figure_arrays`)
<env>/experiment.json                what experiment this is: identity, methods, seeds, groups (`experiments.identity`)
<env>/<method>/seed_<k>/
config.json                          every setting, the git commit, package versions, machine
metrics.csv                          long: stage,step,metric,value
summary.json                         by user: final success, whether reward and policy were right; diagnostics, seconds
policy/                              safetensors + JSON, not committed
users.npz                            whom it was scored on, their latents and answers (`served_users`), not committed
<env>/reward_models/<learner>/seed_<k>/   likewise
.lock                                says which process works here (`folder_lock`)

<out>/<sweep>/<point>/               a suite, laid out as above
<out>/<sweep>/<env>/sweep-<name>.json   what varies over these suites

Tables and JSON are checked whole by whoever reads them, and a damaged one is a ResultsError of one line; npz, models
and policies have checksums. `runs` says which runs of an experiment are missing or damaged.
"""

from pluralbench.benchmarks.results.metrics import read_metrics, write_metrics
from pluralbench.benchmarks.results.names import ResultsError
from pluralbench.benchmarks.results.records import read_config, read_record, read_summary, read_sweeps
from pluralbench.benchmarks.results.runs import seed_folder
from pluralbench.benchmarks.results.served_users import ServedUsers, load_served_users
from pluralbench.benchmarks.results.success_rates import (
    COLUMNS,
    SuccessRate,
    environments_in,
    merge_success_rates,
    read_rows,
    read_success_rates,
    suite_folders,
    write_success_rates,
)

__all__ = [
    "COLUMNS",
    "ResultsError",
    "ServedUsers",
    "SuccessRate",
    "environments_in",
    "load_served_users",
    "merge_success_rates",
    "read_config",
    "read_metrics",
    "read_record",
    "read_rows",
    "read_success_rates",
    "read_summary",
    "read_sweeps",
    "seed_folder",
    "suite_folders",
    "write_metrics",
    "write_success_rates",
]
