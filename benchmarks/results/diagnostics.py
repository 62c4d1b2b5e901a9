"""What summary.json holds of a reward model: the shape of `reward_learning.diagnostics.diagnose`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Share = Annotated[float, Field(ge=0, le=1 + 1e-6)]
Correlation = Annotated[float, Field(ge=-1 - 1e-6, le=1 + 1e-6)]
Count = Annotated[int, Field(ge=0)]
Answers = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,8}$")]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Bin(_Part):
    """A bin of the reliability diagram."""

    low: Share
    high: Share
    count: Count
    confidence: Share | None
    accuracy: Share | None


class Calibration(_Part):
    """How well confidence tells accuracy."""

    ece: Share | None
    bins: Annotated[list[Bin], Field(min_length=1)]


class RankCorrelation(_Part):
    """Of learned rewards with the truth."""

    mean: Correlation | None
    worst_group: Correlation | None
    by_group: dict[str, Correlation | None] = {}


class Latents(_Part):
    """Whether latents tell users apart."""

    size: Count = 0
    kl: float | None
    active_units: Count | None
    std: float | None = None
    probe: Share | None
    cluster_recovery: float | None


class Diagnostics(_Part):
    """All of it; nothing at all (`{}`) of a method that asks nobody."""

    num_answers: Count = 0
    accuracy: Share | None
    nll: float | None
    accuracy_conflicting: Share | None
    conflicting_share: Share | None = None
    accuracy_by_group: dict[str, Share | None] = {}
    accuracy_by_answers: dict[Answers, Share | None]
    calibration: Calibration
    rank_correlation: RankCorrelation
    latents: Latents
