import math

import pytest
import torch

from pluralbench.feature_map import FeatureMap
from pluralbench.features import InputFeatures
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.networks import (
    NEGATIVE_SLOPE,
    FlatEncoder,
    RewardNetwork,
    SetEncoder,
    initialise,
)

U, K, T, S, Z = 5, 6, 3, 2, 4


def feature_map(observation_size):
    return FeatureMap(InputFeatures(), observation_size)


def answers(seed=0, length=T):
    generator = torch.Generator().manual_seed(seed)
    segments = torch.randn(U, K, 2, length, S, generator=generator)
    labels = torch.tensor([0.0, 0.5, 1.0])[torch.randint(3, (U, K), generator=generator)]
    mask = torch.rand(U, K, generator=generator) < 0.7
    mask[:, 0] = True
    return segments, labels, mask


def set_encoder(pooling):
    encoder = SetEncoder(feature_map(S), hidden_size=16, latent_size=Z, pooling=pooling)
    initialise(encoder, torch.Generator().manual_seed(1))
    return encoder.double()


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_set_encoder_does_not_see_the_order_of_answers(pooling):
    segments, labels, mask = answers()
    encoder = set_encoder(pooling)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    mean, log_var = encoder(segments.double(), labels.double(), mask)
    turned = encoder(segments[:, order].double(), labels[:, order].double(), mask[:, order])
    torch.testing.assert_close((mean, log_var), turned, rtol=1e-10, atol=1e-12)
    assert mean.std(0).min() > 1e-3  # and yet it tells users apart


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_set_encoder_does_not_see_which_segment_was_shown_first(pooling):
    segments, labels, mask = answers()
    encoder = set_encoder(pooling)
    swapped = encoder(segments.flip(2).double(), 1 - labels.double(), mask)
    torch.testing.assert_close(encoder(segments.double(), labels.double(), mask), swapped, rtol=1e-10, atol=1e-12)
    answered_otherwise, _ = encoder(segments.double(), 1 - labels.double(), mask)
    assert (answered_otherwise - swapped[0]).abs().max() > 1e-3


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_set_encoder_ignores_skipped_answers_exactly(pooling):
    segments, labels, mask = answers()
    encoder = set_encoder(pooling).float()
    before = encoder(segments, labels, mask)
    garbage = torch.where(mask[..., None, None, None], segments, torch.tensor(math.nan))
    after = encoder(garbage, torch.where(mask, labels, torch.tensor(7.0)), mask)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_a_skipped_answer_is_as_good_as_none(pooling):
    segments, labels, _ = answers()
    mask = torch.ones(U, K, dtype=torch.bool)
    mask[:, 4:] = False
    encoder = set_encoder(pooling)
    with_skips = encoder(segments.double(), labels.double(), mask)
    without = encoder(segments[:, :4].double(), labels[:, :4].double(), mask[:, :4])
    torch.testing.assert_close(with_skips, without, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_a_user_who_skipped_everything_gets_numbers(pooling):
    segments, labels, mask = answers()
    mask[0] = False
    mean, log_var = set_encoder(pooling)(segments.double(), labels.double(), mask)
    assert mean.isfinite().all()
    assert log_var.isfinite().all()


def test_set_encoder_knows_how_many_answers_there_were():
    segments, labels, _ = answers()
    once = segments[:, :1].double(), labels[:, :1].double(), torch.ones(U, 1, dtype=torch.bool)
    thrice = tuple(torch.cat([part] * 3, dim=1) for part in once)
    encoder = set_encoder("mean")
    assert (encoder(*once)[1] - encoder(*thrice)[1]).abs().max() > 1e-3


def test_flat_encoder_takes_fewer_answers_as_skips_and_refuses_more():
    segments, labels, _ = answers()
    mask = torch.ones(U, K, dtype=torch.bool)
    encoder = FlatEncoder(feature_map(S), K, T, hidden_size=16, num_layers=2, latent_size=Z)
    initialise(encoder, torch.Generator().manual_seed(1))
    mean, _ = encoder(segments, labels, mask)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert (encoder(segments[:, order], labels[:, order], mask)[0] - mean).abs().max() > 1e-3
    mask[:, 4:] = False
    fewer = encoder(segments[:, :4], labels[:, :4], mask[:, :4])
    torch.testing.assert_close(encoder(segments, labels, mask), fewer)
    with pytest.raises(LearnerError, match="up to 6 comparisons of 3 steps, got 7 of 3"):
        encoder(segments[:, [0, 1, 2, 3, 4, 5, 0]], labels, mask)


def test_first_layer_equals_one_on_the_concatenation():
    network = RewardNetwork(feature_map(S), Z, hidden_size=8, num_layers=1)
    observations, latents = torch.randn(7, S), torch.randn(7, Z)
    weight = torch.cat([network.layers[0].weight, network.latent_layers[0].weight], dim=1)
    hidden = torch.cat([observations, latents], dim=1) @ weight.T + network.layers[0].bias
    expected = network.output(torch.nn.functional.leaky_relu(hidden, NEGATIVE_SLOPE))
    torch.testing.assert_close(network(observations, latents), expected)


@pytest.mark.parametrize("conditioning", ["concat", "film"])
def test_many_latents_can_be_asked_about_many_observations(conditioning):
    network = RewardNetwork(feature_map(S), Z, hidden_size=8, num_layers=3, conditioning=conditioning)
    observations, latents = torch.randn(9, S), torch.randn(4, Z)
    table = network(observations[None], latents[:, None])
    assert table.shape == (4, 9, 1)
    for row, latent in enumerate(latents):
        torch.testing.assert_close(table[row], network(observations, latent.expand(9, Z)))
    assert (table[0] - table[1]).abs().max() > 1e-4


def test_weights_come_from_the_generator_alone():
    networks = []
    for global_seed in (0, 1):
        torch.manual_seed(global_seed)
        network = RewardNetwork(feature_map(S), Z, hidden_size=8, num_layers=2, output_scale=0.01)
        initialise(network, torch.Generator().manual_seed(3))
        networks.append(network.state_dict())
    for name, tensor in networks[0].items():
        assert torch.equal(tensor, networks[1][name])
    assert networks[0]["output.weight"].abs().max() <= 0.01 / math.sqrt(8)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SetEncoder(feature_map(2), 8, 2, pooling="max"), "unknown pooling 'max'"),
        (lambda: RewardNetwork(feature_map(2), 2, 8, 2, conditioning="sum"), "unknown conditioning 'sum'"),
    ],
)
def test_impossible_networks_are_refused(build, message):
    with pytest.raises(LearnerError, match=message):
        build()
