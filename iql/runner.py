"""Runs updates one after another without waiting for the device; on a GPU as one CUDA graph."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from iql.data import draw_indices
from iql.learner import Learner

CHUNK = 250
"""Updates whose batches are drawn at once; fixed, because a run's batches depend on it."""

_WARM_UPS = 3
_log = logging.getLogger(__name__)


class Runner:
    """Batches and step sizes of a chunk of updates lie on the device; a counter there says which is next.

    So an update reads nothing from the host, and on a GPU it is captured once as a CUDA graph and replayed. Where the
    capture fails, the same updates are launched one kernel at a time.

    Args:
        learner: what is updated.
        seeds: of its runs.
        graph: whether to capture on a GPU; without effect on a CPU.
    """

    def __init__(self, learner: Learner, seeds: list[int], graph: bool = True) -> None:
        device, settings = learner.device, learner.settings
        self._learner = learner
        self._seeds = seeds
        self._chunk = -1
        self._indices = torch.zeros(CHUNK, learner.num_runs, settings.batch_size, dtype=torch.int64, device=device)
        self._rates = torch.zeros(CHUNK, 2, device=device)
        self._next = torch.zeros(1, dtype=torch.int64, device=device)
        self._wants_graph = graph and device.type == "cuda"
        self._graph: torch.cuda.CUDAGraph | None = None

    @property
    def captured(self) -> bool:
        """Whether updates are replayed from a CUDA graph."""
        return self._graph is not None

    def run(self, start: int, stop: int) -> None:
        """The updates start to stop - 1."""
        while start < stop:
            self._load_chunk(start // CHUNK)  # before the counter is set: a capture moves it
            self._next.fill_(start % CHUNK)
            upto = min(stop, (start // CHUNK + 1) * CHUNK)
            for _ in range(start, upto):
                if self._graph is not None:
                    self._graph.replay()
                else:
                    self._update()
            start = upto

    def _load_chunk(self, chunk: int) -> None:
        if chunk == self._chunk:
            return
        learner, first = self._learner, chunk * CHUNK
        batch, num = learner.settings.batch_size, learner.num_transitions
        self._indices.copy_(draw_indices(self._seeds, chunk, CHUNK, batch, num, learner.device))
        self._rates.copy_(torch.tensor(learner.rates(first, first + CHUNK)))
        self._chunk = chunk
        if self._wants_graph:
            self._wants_graph = False
            self._graph = self._capture()

    @torch.inference_mode()
    def _update(self) -> None:
        rates = self._rates.index_select(0, self._next)[0]
        self._learner.update(self._indices.index_select(0, self._next)[0], rates[0], rates[1])
        self._next.add_(1)

    def _capture(self) -> torch.cuda.CUDAGraph | None:
        """A graph of one update, or None where none can be had; the learner is afterwards as it was before."""
        before: dict[str, Tensor] = {name: tensor.clone() for name, tensor in self._learner.state().items()}
        graph = torch.cuda.CUDAGraph()
        try:
            self._next.zero_()
            side = torch.cuda.Stream()  # libraries set themselves up here, which a capture would forbid
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    self._update()
            torch.cuda.current_stream().wait_stream(side)
            with torch.cuda.graph(graph):
                self._update()
        except RuntimeError as error:
            _log.warning("no CUDA graph (%s); launching updates one kernel at a time", str(error).splitlines()[0])
            return None
        finally:
            torch.cuda.synchronize()
            self._learner.load_state(before)
            self._next.zero_()
        return graph
