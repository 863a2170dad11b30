"""Several processes that train one model (data parallelism), as ``torchrun`` starts them.

Every process draws the same batch, as many times the recipe's size as there are processes, and works on its own
share of it; the gradients are averaged. So n processes take the steps that one process with the n-fold batch
would take, up to the order of summation. Only the first process writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

__all__ = ["ALONE", "Ranks", "join"]


@dataclass(frozen=True)
class Ranks:
    """This process's number, 0 to size - 1, and how many there are."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def share(self, x: Tensor) -> Tensor:
        """This process's part of a batch (batch, ...), whose size the number of processes divides."""
        return x.chunk(self.size)[self.rank]

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over all processes, in one exchange."""
        tensors = list(tensors)
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        parts = (flat / self.size).split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def agree(self, stop: bool, seconds: float, loss: float) -> tuple[bool, float, float]:
        """Whether any process is to stop, the first one's clock, and the mean loss: the same in every process."""
        if self.size == 1:
            return stop, seconds, loss
        told = [float(stop), seconds if self.first else 0.0, loss / self.size]
        values = torch.tensor(told, dtype=torch.float64, device=self.device)
        distributed.all_reduce(values)
        stops, seconds, loss = values.tolist()
        return stops > 0, seconds, loss

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            distributed.barrier()


ALONE = Ranks()


def join(device: str = "cpu") -> Ranks:
    """Join the processes that ``torchrun`` started, over gloo on the CPU and NCCL on GPUs; without it, be alone.

    ``device``: ``"cuda"`` becomes the GPU that the process's ``LOCAL_RANK`` names, in the result's ``device``.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Ranks(device=device)
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Ranks(distributed.get_rank(), distributed.get_world_size(), device)
