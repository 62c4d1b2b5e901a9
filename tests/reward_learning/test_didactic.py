import numpy as np

from pluralbench.reward_learning.didactic import (
    CENTRES,
    gaussian_preferences,
    gaussian_utilities,
    hidden_context_borda,
    hidden_context_moments,
    hidden_context_preferences,
)


def test_gaussian_utilities_peak_at_their_centres():
    utilities = gaussian_utilities(np.array(CENTRES))
    np.testing.assert_allclose(np.diag(utilities), 1.0)
    np.testing.assert_allclose(utilities[0, 1], np.exp(-0.5 * (0.25 / 0.15) ** 2))


def test_gaussian_users_prefer_what_is_near_their_centre():
    preferences = gaussian_preferences(400, 16, np.random.default_rng(0))
    distance = np.abs(preferences.segments[..., 0, 0] - preferences.goals[:, None])
    clear = np.abs(distance[..., 0] - distance[..., 1]) > 0.3
    near = distance.min(-1) < 0.1
    nearer = distance[..., 0] < distance[..., 1]
    assert (preferences.labels == nearer)[clear & near].mean() > 0.98
    assert np.bincount(preferences.group_index, minlength=4).min() > 70
    again = gaussian_preferences(400, 16, np.random.default_rng(0))
    np.testing.assert_array_equal(preferences.labels, again.labels)


def test_borda_count_is_the_realised_share_of_wins():
    preferences = hidden_context_preferences(20_000, 8, np.random.default_rng(1))
    first = preferences.segments[:, :, 0, 0, 0].ravel()
    labels = preferences.labels.ravel()
    for low in np.arange(0, 1, 0.1):
        inside = (first >= low) & (first < low + 0.1)
        expected = hidden_context_borda(first[inside].astype(np.float64)).mean()
        assert abs(labels[inside].mean() - expected) < 0.015


def test_hidden_context_moments_by_hand():
    mean, std = hidden_context_moments(np.array([0.5, 0.9]))
    np.testing.assert_allclose(mean, [0.5, 0.9])
    np.testing.assert_allclose(std, [0.0, 0.9])  # half the time 1.8, half the time 0
