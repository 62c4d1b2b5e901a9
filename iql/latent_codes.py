"""What the networks see of latents that are few and known exactly, as goals are: which of them it is, softly.

phi_k(z) = exp(-|z - c_k|^2 / 2 h^2) / sum_j exp(-|z - c_j|^2 / 2 h^2), normalised radial basis functions (Moody and
Darken, Neural Computation 1, 1989) around the K different latents c_k of the data; h^2 is their mean squared distance
times the square of `width`. Where h is well below the distance of neighbours, two goals one cell apart are as different
to a network as any two. Fed with the coordinates of fifteen goals themselves, one policy takes some of them for their
neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class LatentCodes:
    """Centres of E runs."""

    centres: Tensor
    """(E, K, Z); infinitely far where a run has fewer than K different latents."""
    precisions: Tensor
    """(E, 1, 1), 1 / 2 h^2."""

    @property
    def latent_size(self) -> int:
        """Z."""
        return self.centres.shape[2]

    @property
    def num_centres(self) -> int:
        """K."""
        return self.centres.shape[1]

    def __call__(self, latents: Tensor) -> Tensor:
        """Codes (E, B, K) of latents (E, B, Z); they are positive and sum to 1."""
        distances = torch.cdist(latents, self.centres, compute_mode="donot_use_mm_for_euclid_dist").square()
        return (-distances * self.precisions).softmax(-1)

    def of_run(self, run: int) -> LatentCodes:
        """Those of one run alone."""
        return LatentCodes(self.centres[run : run + 1], self.precisions[run : run + 1])


def fit_latent_codes(latents: Sequence[Tensor], num_centres: int, width: float) -> LatentCodes | None:
    """Codes for the latents, E of (M_e, Z), of which each run has few different ones: each of them is a centre.

    None where some run has more than `num_centres`: latents that a model infers lie where it learned to put them, a
    little apart for every user, and the networks do better with what they are.
    """
    found = [torch.unique(own, dim=0) for own in latents]
    if max(map(len, found)) > num_centres:
        return None
    missing = [own.new_full((num_centres - len(own), own.shape[1]), torch.inf) for own in found]
    centres = torch.stack([torch.cat(pair) for pair in zip(found, missing, strict=True)])
    # half the mean squared distance
    squares = torch.stack([(own - own.mean(0, keepdim=True)).square().sum(-1).mean() for own in latents])
    return LatentCodes(centres, 1 / (4 * squares * width**2).clamp_min(1e-12)[:, None, None])
