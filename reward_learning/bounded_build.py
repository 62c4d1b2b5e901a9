"""Networks for the tensors of a file, whose settings could ask for any network.

What is built is first tried without memory, on PyTorch's device `meta`, and stopped as soon as it is larger than the
file; the real one is built when every tensor has its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from pluralbench.reward_learning.errors import LearnerError

_SPARE_PARTS, _SPARE_NUMBERS = 1_000, 1 << 20
"""Modules, and numbers that no file keeps (masks, for example), of any network."""


def build_to_fit(build: Callable[[], nn.Module], state: Mapping[str, Tensor]) -> nn.Module:
    """What `build` gives, whose parameters and buffers have the names and shapes of `state`.

    Args:
        build: called twice; of what it allocates before a module takes it, only the second call's is real.
        state: from a file.

    Raises:
        LearnerError: it is larger than `state`, or its tensors are others.
    """
    try:
        with _no_larger_than(state), torch.device("meta"):
            _compare(build(), state)
    except LearnerError:
        raise
    except RuntimeError:
        pass  # tensors without memory were asked for their numbers; the second call is limited all the same
    with _no_larger_than(state):
        network = build()
    _compare(network, state)
    return network


def _compare(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    own = network.state_dict()
    different = sorted(own.keys() ^ state.keys())
    if different:
        raise LearnerError(f"its tensors are others than the learner's: {', '.join(different[:3])}")
    for name, value in own.items():
        if value.shape != state[name].shape:
            raise LearnerError(f"{name} should be {tuple(value.shape)}, is {tuple(state[name].shape)}")


@contextmanager
def _no_larger_than(state: Mapping[str, Tensor]) -> Iterator[None]:
    """Stops whatever network is built meanwhile when it has more than twice what `state` has."""
    parts_left = 10 * len(state) + _SPARE_PARTS
    numbers_left = 2 * sum(value.numel() for value in state.values()) + _SPARE_NUMBERS

    def count(module: nn.Module, name: str, part: object) -> None:
        nonlocal parts_left, numbers_left
        parts_left -= 1
        numbers_left -= part.numel() if isinstance(part, Tensor) else 0
        if min(parts_left, numbers_left) < 0:
            raise LearnerError("its settings and sizes ask for a larger network than its tensors fill")

    handles = [
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count),
        register_module_module_registration_hook(count),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
