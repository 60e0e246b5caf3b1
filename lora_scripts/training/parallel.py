"""Several processes at one run, as ``torchrun`` starts them: each takes a part of every step.

All ranks hold all documents and the whole adapter; only the records of a step are dealt out. DDP is not used: it
averages gradients over ranks, so that a rank with few learned tokens would weigh as much as one with many, it wants
the same number of passes on each rank, and it hides a reduction in every one of them. Here each rank adds up
``1 / count`` × its losses, the adapter's gradients, which are small, are summed once a step, and every rank takes the
same optimiser step. So a step does not depend on the number of ranks.

Figures and texts go over gloo also where cards are used: a rank that died is noticed there at once, before a
collective on the cards would wait for it.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from lora_scripts.errors import LoraScriptsError, TrainError, UsageError

PATIENCE = timedelta(hours=2)  # the first rank may answer questions, save, or read a large file meanwhile
Figures = tuple[float, ...]


class LostRankError(Exception):
    """A rank is gone: nothing can be agreed with it any more. ``joined`` puts it into words."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among ``size`` of a run, the ``local_rank``-th of its machine.

    ``cards``: each computes on a card of its own. ``sharded``: the base lies in parts on all of them.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    cards: bool = False
    sharded: bool = False

    @property
    def first(self) -> bool:
        """Whether this is the rank that prints and writes."""
        return self.rank == 0

    def shares(self, records: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
        """``records`` dealt out to all ranks, each in the order given: the longest first, to who has the fewest tokens.

        ``lengths`` are the tokens of every record, by record. The same on all ranks; some may get none.
        """
        owner: dict[int, int] = {}
        loads = [0] * self.size
        for place in sorted(range(len(records)), key=lambda place: -lengths[records[place]]):
            owner[place] = loads.index(min(loads))
            loads[owner[place]] += lengths[records[place]]
        return [[r for place, r in enumerate(records) if owner[place] == rank] for rank in range(self.size)]

    def sums(self, work: Callable[[], Figures], width: int) -> Figures:
        """What ``work`` returns, ``width`` figures, summed over all ranks; a failure on one is one on all.

        Raises:
            LoraScriptsError: Its own failure; on the first rank also that of another.
            LostRankError: A rank is gone.
        """
        if self.size == 1:
            return work()
        failure: Exception | None = None
        figures: Figures = (0.0,) * width
        try:
            figures = work()
        except LostRankError:
            raise
        except Exception as error:
            if self.sharded:  # the others wait in the middle of a pass, and learn it when this process ends
                raise
            failure = error
        total = torch.tensor([float(failure is not None), *figures], dtype=torch.float64)
        _all_reduce(total)
        if total[0]:
            self._raise_first(failure)
        return tuple(total[1:].tolist())

    def together(self, work: Callable[[], Any]) -> Any:
        """``work()`` on this rank; where it fails on one, it fails on all."""
        results: list[Any] = []

        def noted() -> Figures:
            results.append(work())
            return ()

        self.sums(noted, 0)
        return results[0]

    def _raise_first(self, failure: Exception | None) -> None:
        """Raise on every rank: its own failure, else that of the lowest rank that failed."""
        mine = {"code": getattr(failure, "exit_code", 1), "text": _words(failure)} if failure else None
        said = [json.loads(words) for words in self.all_say(json.dumps(mine))]
        if failure:
            raise failure
        rank = next(rank for rank, words in enumerate(said) if words)
        error = TrainError("parallel.rank_failed", rank=rank, reason=said[rank]["text"])
        error.exit_code = said[rank]["code"]
        raise error

    def all_say(self, words: str) -> list[str]:
        """The words of every rank, in their order."""
        return [self.first_says(words.encode(), rank).decode() for rank in range(self.size)]

    def first_says(self, content: bytes, source: int = 0) -> bytes:
        """The ``content`` of rank ``source``, on every rank."""
        if self.size == 1:
            return content
        import torch.distributed as dist

        length = torch.tensor([len(content)])
        _collective(lambda: dist.broadcast(length, source))
        if self.rank == source:
            raw = torch.frombuffer(bytearray(content) or bytearray(1), dtype=torch.uint8)
        else:
            raw = torch.zeros(max(1, int(length)), dtype=torch.uint8)
        _collective(lambda: dist.broadcast(raw, source))
        return raw[: int(length)].numpy().tobytes()

    def sum_gradients(self, parameters: Sequence[Parameter]) -> None:
        """Put the sum over all ranks into every ``.grad``; each rank has one of each (``fit`` makes them)."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten().float() for gradient in gradients])
        wire = flat if self.cards else flat.cpu()
        _all_reduce(wire)
        parts = torch.split(wire.to(flat.device), [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def seed_step(self, seed: int, step: int) -> None:
        """Dropout's numbers for this step; on the first rank the generator goes on as it is, and is in checkpoints.

        So a run that resumes on the same number of ranks draws the same numbers.
        """
        if not self.first:
            torch.manual_seed(((seed * 1_000_003 + step) * 65_537 + self.rank) % 2**63)

    def own_device(self, wanted: str) -> str:
        """The device of this rank where the config wants ``wanted``: one card each.

        Raises:
            UsageError: One card is named for all, or there are fewer cards than ranks on this machine.
        """
        kind, _, number = wanted.partition(":")
        if self.size == 1 or kind == "cpu" or not torch.cuda.is_available():
            return wanted
        if number:
            raise UsageError("parallel.one_card", where="device", device=wanted, ranks=self.size)
        if self.local_rank >= torch.cuda.device_count():
            cards = torch.cuda.device_count()
            raise UsageError("parallel.too_few_cards", where="torchrun", cards=cards, needed=self.local_rank + 1)
        return f"cuda:{self.local_rank}"


ALONE = Ranks()


def ranks_of(environment: Mapping[str, str]) -> Ranks:
    """What ``torchrun`` says about this process; one rank where it says nothing.

    Raises:
        UsageError: What it says is not a rank.
    """
    size = environment.get("WORLD_SIZE", "1")
    if size == "1":
        return ALONE
    try:
        ranks = Ranks(int(environment["RANK"]), int(size), int(environment.get("LOCAL_RANK", "0")))
    except (KeyError, ValueError) as error:
        raise UsageError("parallel.no_rank", where="WORLD_SIZE", size=size) from error
    if not 0 <= ranks.rank < ranks.size:
        raise UsageError("parallel.no_rank", where="WORLD_SIZE", size=size)
    return ranks


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """The ranks of this run, met; ``device`` is the config's. Alone it does nothing.

    An error is told by the first rank; the others end with the same code and without a word.

    Raises:
        SystemExit: On other ranks, where the first one has told why.
    """
    ranks = ranks_of(os.environ)
    if ranks.size == 1:
        yield ranks
        return
    import torch.distributed as dist

    cards = device.partition(":")[0] in ("auto", "cuda") and torch.cuda.is_available()
    ranks = replace(ranks, cards=cards)
    try:
        _collective(lambda: dist.init_process_group("cpu:gloo,cuda:nccl" if cards else "gloo", timeout=PATIENCE))
        if cards:
            torch.cuda.set_device(ranks.together(lambda: ranks.own_device(device)))
        yield ranks
    except LostRankError as error:
        if ranks.first:
            raise TrainError("parallel.lost", reason=str(error)) from error
        raise SystemExit(TrainError.exit_code) from None
    except LoraScriptsError as error:
        if ranks.first:
            raise
        _wait_for_first(error.exit_code)
        raise SystemExit(error.exit_code) from None
    dist.destroy_process_group()


def _wait_for_first(code: int) -> None:
    """Until the first rank is gone: a launcher ends all others when one ends, and it must have told why by then.

    Where the launcher is quicker, this process ends with ``code`` all the same.
    """
    import torch.distributed as dist

    def listen() -> None:
        with suppress(RuntimeError):
            dist.recv(torch.zeros(1), 0)

    _end_on_request(code)
    listener = threading.Thread(target=listen, daemon=True)  # the main thread has to stay open for signals
    listener.start()
    listener.join()


def _end_on_request(code: int) -> None:
    def end(number: int, frame: FrameType | None) -> None:
        os._exit(code)

    signal.signal(signal.SIGTERM, end)


def wait_to_be_ended(code: int, seconds: float = 20) -> None:
    """On another rank: what failed here, before the ranks have met, fails on the first one too, which tells it.

    The launcher then ends this process, with ``code``. Returns where that does not happen.
    """
    _end_on_request(code)
    time.sleep(seconds)


def _words(failure: BaseException) -> str:
    """What a failure says, in one line, with its kind where it is none of ours."""
    lines = (str(failure).strip() or type(failure).__name__).splitlines()
    return lines[0] if isinstance(failure, LoraScriptsError) else f"{type(failure).__name__}: {lines[0]}"


def _all_reduce(values: Tensor) -> None:
    import torch.distributed as dist

    _collective(lambda: dist.all_reduce(values))


def _collective(call: Callable[[], Any]) -> None:
    """Run a collective.

    Raises:
        LostRankError: It failed: a process is gone, or the network.
    """
    try:
        call()
    except RuntimeError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise LostRankError(lines[0][:200]) from error
