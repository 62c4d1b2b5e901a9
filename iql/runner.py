"""Runs updates one after another without waiting for the device; on a GPU as one CUDA graph."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from pluralbench.iql.data import draw_indices
from pluralbench.iql.offline_learner import Batch, OfflineLearner

CHUNK = 100
"""Updates whose batches are drawn and fetched at once; fixed, because a run's batches depend on it."""

_WARM_UPS = 3
_log = logging.getLogger(__name__)


class Runner:
    """Fetches the batches of a chunk of updates at once and runs the updates.

    On a GPU batches and step sizes lie on the device and a counter there says which is next, so that an update reads
    nothing from the host and can be captured once as a CUDA graph and replayed. Where the capture fails, or `graph` is
    False, the same updates are launched one kernel at a time.
    """

    def __init__(self, learner: OfflineLearner, seeds: list[int], graph: bool = True) -> None:
        self._learner = learner
        self._seeds = seeds
        self._chunk = -1
        self._batches: Batch | None = None  # of the chunk, with its updates in front
        self._rates: list[tuple[float, float]] = []
        self._device_rates = torch.zeros(CHUNK, 2, device=learner.device)
        self._next = torch.zeros(1, dtype=torch.int64, device=learner.device)
        self._wants_graph = graph and learner.capturable and learner.device.type == "cuda"
        self._graph: torch.cuda.CUDAGraph | None = None

    @property
    def captured(self) -> bool:
        """Whether updates are replayed from a CUDA graph."""
        return self._graph is not None

    def run(self, start: int, stop: int) -> None:
        """The updates start to stop - 1."""
        for step in range(start, stop):
            row, batches = step % CHUNK, self._load_chunk(step // CHUNK)
            if self._graph is None:
                self._learner.update(Batch(*(part[row] for part in batches)), *self._rates[row])
                continue
            if step == start or row == 0:
                self._next.fill_(row)
            self._graph.replay()

    def _load_chunk(self, chunk: int) -> Batch:
        if chunk == self._chunk and self._batches is not None:
            return self._batches
        learner, first = self._learner, chunk * CHUNK
        batch, num = learner.settings.batch_size, learner.num_transitions
        fetched = learner.fetch(draw_indices(self._seeds, chunk, CHUNK, batch, num, learner.device))
        self._rates = learner.settings.step_sizes(first, first + CHUNK)
        self._device_rates.copy_(torch.tensor(self._rates))
        if self._batches is None or self._graph is None:
            self._batches = fetched
        else:  # the graph reads from where the first chunk lay
            for kept, part in zip(self._batches, fetched, strict=True):
                kept.copy_(part)
        self._chunk = chunk
        if self._wants_graph:
            self._wants_graph = False
            self._graph = self._capture(self._batches)
        return self._batches

    @torch.inference_mode()
    def _update_from_device(self, batches: Batch) -> None:
        rates = self._device_rates.index_select(0, self._next)[0]
        batch = Batch(*(part.index_select(0, self._next)[0] for part in batches))
        self._learner.update(batch, rates[0], rates[1])
        self._next.add_(1)

    def _capture(self, batches: Batch) -> torch.cuda.CUDAGraph | None:
        """A graph of one update, or None where none can be had; the learner is afterwards as it was before."""
        before: dict[str, Tensor] = {name: tensor.clone() for name, tensor in self._learner.state().items()}
        graph = torch.cuda.CUDAGraph()
        try:
            self._next.zero_()
            side = torch.cuda.Stream()  # libraries set themselves up here, which a capture would forbid
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    self._update_from_device(batches)
            torch.cuda.current_stream().wait_stream(side)
            with torch.cuda.graph(graph):
                self._update_from_device(batches)
        except RuntimeError as error:
            _log.warning("no CUDA graph (%s); launching updates one kernel at a time", str(error).splitlines()[0])
            return None
        finally:
            torch.cuda.synchronize()
            self._learner.load_state(before)
            self._next.zero_()
        return graph
