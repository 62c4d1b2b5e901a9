"""What the networks see of an observation."""

import pytest
import torch

from pluralbench.errors import InputError
from pluralbench.feature_map import FeatureMap
from pluralbench.features import InputFeatures


def test_feature_map() -> None:
    observations = torch.tensor([[0.0, 10.0, 3.0], [2.0, 30.0, 3.0]])
    features = InputFeatures(sinusoid_columns=(0,), wavelengths=(8.0, 4.0), differences=(((0, 1), (2, 0)),))
    mapped = FeatureMap(features, 3).normalize_by(observations)(observations)
    assert mapped.shape == (2, 9)
    # normalised columns, then column 0 - column 2 and column 1 - column 0, also normalised; column 2 never changes
    assert torch.allclose(mapped[:, :5], torch.tensor([[-1.0, -1, 0, -1, -1], [1, 1, 0, 1, 1]]))
    assert torch.allclose(mapped[1, 5:], torch.tensor([1.0, 0, 0, -1]), atol=1e-6)  # sines, then cosines, of 2


def test_features_that_make_no_sense_are_named() -> None:
    with pytest.raises(InputError, match="give both or neither"):
        InputFeatures(sinusoid_columns=(0,))
    with pytest.raises(InputError, match="column groups of equal length"):
        InputFeatures(differences=(((0, 1), (2,)),))
    with pytest.raises(InputError, match="columns 0 to 2"):
        FeatureMap(InputFeatures(differences=(((0,), (3,)),)), 3)
