"""Several ranks at one step, as processes over gloo: what may not depend on their number, and what may not hang."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from test_loop import Heard, _documents, _plan, _task

from lora_scripts.errors import Interrupted, TrainError, UsageError
from lora_scripts.training.loop import fit
from lora_scripts.training.optim import make_optimizer
from lora_scripts.training.parallel import ALONE, LostRankError, Ranks, joined, ranks_of
from lora_scripts.training.state import RunState, random_states
from lora_scripts.training.tasks import TextTask

Work = Callable[[Ranks], object]
PRELOADED = ["lora_scripts.training.loop", "lora_scripts.adapters.inject", "transformers.models.llama.modeling_llama",
             "torch.distributed.fsdp", "pytest"]  # fmt: skip


def _child(work: Work, rank: int, size: int, port: int, folder: Path) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank),
                   "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LORA_SCRIPTS_LANG": "en"}  # fmt: skip
    torch.set_num_threads(1)
    code: int = 0
    try:
        with joined("cpu") as ranks:
            result = work(ranks)
        (folder / f"{rank}.json").write_text(json.dumps(result))
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException as error:
        (folder / f"{rank}.error").write_text(f"{type(error).__name__}: {error}")
        traceback.print_exc()
        code = getattr(error, "exit_code", 99)
    sys.stderr.flush()
    os._exit(code)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def run(work: Work, size: int, folder: Path) -> tuple[list[object], list[int | None]]:
    """``work`` on ``size`` ranks: what each returned (None where it failed) and their exit codes."""
    folder = folder / f"{getattr(work, '__name__', 'work')}-{size}"
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")  # torch is imported once, by the server
    context.set_forkserver_preload(PRELOADED)
    port = _free_port()
    children = [context.Process(target=_child, args=(work, rank, size, port, folder)) for rank in range(size)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert not child.is_alive(), "a rank hangs"
    files = [folder / f"{rank}.json" for rank in range(size)]
    return [json.loads(f.read_text()) if f.exists() else None for f in files], [child.exitcode for child in children]


def _train(
    ranks: Ranks, *, dropout: float = 0.0, steps: int = 4, size: int = 5, state: RunState | None = None,
    save: Callable[[RunState], None] = lambda s: None, stop: Callable[[], bool] = lambda: False,
    prepare: Callable[[TextTask, Sequence[torch.nn.Parameter]], None] = lambda t, p: None,
) -> tuple[list[float], float]:  # fmt: skip
    """Losses, and a sum over the adapter that no permutation leaves alone."""
    task, parameters = _task(dropout)
    prepare(task, parameters)
    torch.manual_seed(3)
    heard, plan = Heard(), _plan(_documents(), batch_size=size, max_steps=steps)
    fit(task, plan, state or RunState(), make_optimizer(parameters, weight_decay=0.0), parameters,
        log=heard, save=save, evaluate=None, stop_wanted=stop, ranks=ranks)  # fmt: skip
    weights = torch.cat([p.detach().flatten() for p in parameters]).double()
    return heard.losses, float((weights * torch.arange(len(weights))).sum())


def same_step(ranks: Ranks) -> object:
    return _train(ranks)


def few_records(ranks: Ranks) -> object:
    """Two records a step: with three ranks one has nothing to do."""
    return _train(ranks, size=2)


def with_dropout(ranks: Ranks) -> object:
    return [_train(ranks, dropout=0.5)[0] for _ in range(2)]


def sharded(ranks: Ranks) -> object:
    from dataclasses import replace

    from lora_scripts.training.shard import shard_base

    return _train(
        replace(ranks, sharded=True), size=3, prepare=lambda task, p: shard_base(task.model, p, "cpu", ranks.size)
    )


def unsharded(ranks: Ranks) -> object:
    return _train(ranks, size=3)


def little_memory_on_one(ranks: Ranks) -> object:
    if ranks.rank == 1:
        whole = TextTask.loss_sum

        def loss_sum(self, documents):
            if len(documents) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return whole(self, documents)

        TextTask.loss_sum = loss_sum  # type: ignore[method-assign]
    return _train(ranks)


def one_fails(ranks: Ranks) -> object:
    if ranks.rank == 1:
        TextTask.loss_sum = lambda self, documents: {}["nothing"]  # type: ignore[method-assign]
    return _train(ranks)


def refused_at_the_first(ranks: Ranks) -> object:
    def work() -> None:
        if ranks.first:
            raise UsageError("train.held", where="out")

    return ranks.together(work)


def refused_everywhere(ranks: Ranks) -> object:
    raise UsageError("train.held", where="out")


def one_is_asked_to_stop(ranks: Ranks) -> object:
    saved: list[int] = []
    try:
        _train(ranks, steps=9, stop=lambda: ranks.rank == 1, save=lambda s: saved.append(s.step))
    except Interrupted:
        return saved
    return None


def one_dies(ranks: Ranks) -> object:
    _train(ranks, dropout=0.5, steps=2)
    whole, seen = random_states()["cpu"], []
    if ranks.rank == 1:
        backward, calls = TextTask.backward, iter(range(100))

        def dying(self, micro_batch, weight):
            if next(calls) == 2:
                os._exit(9)
            return backward(self, micro_batch, weight)

        TextTask.backward = dying  # type: ignore[method-assign]
    try:
        _train(ranks, dropout=0.5, save=lambda s: seen.append((s.step, torch.equal(random_states()["cpu"], whole))))
    except LostRankError:
        return seen
    return None


def one_is_gone(ranks: Ranks) -> object:
    if ranks.rank == 1:
        os._exit(9)
    return ranks.together(lambda: None)


def sent_around(ranks: Ranks) -> object:
    gradient = torch.nn.Parameter(torch.zeros(2, 3))
    at_one = torch.nn.Parameter(torch.zeros(1))
    gradient.grad = torch.full((2, 3), float(ranks.rank + 1))
    at_one.grad = torch.full((1,), float(ranks.rank == 1))
    ranks.sum_gradients([gradient, at_one])
    grads = [p.grad.tolist() for p in (gradient, at_one) if p.grad is not None]
    return [ranks.all_say(f"我是 {ranks.rank}"), list(ranks.first_says(bytes([7, 0, ranks.rank]))), grads,
            ranks.first_says(b"").decode()]  # fmt: skip


def test_the_same_step_on_one_two_and_three_ranks(tmp_path: Path) -> None:
    alone = json.loads(json.dumps(_train(ALONE)))
    for size in (2, 3):
        results, codes = run(same_step, size, tmp_path)
        assert codes == [0] * size
        for losses, weights in results:
            assert losses == pytest.approx(alone[0], rel=1e-5)
            assert weights == pytest.approx(alone[1], rel=1e-4)
        assert all(result == results[0] for result in results)  # bit by bit: no rank drifts away


def test_a_rank_without_a_record_takes_part(tmp_path: Path) -> None:
    results, _ = run(few_records, 3, tmp_path)
    assert results[2][0] == pytest.approx(_train(ALONE, size=2)[0], rel=1e-5)


def test_dropout_on_two_ranks_is_the_same_each_time(tmp_path: Path) -> None:
    (first, second), _ = run(with_dropout, 2, tmp_path)
    assert first[0] == first[1] == second[0]


def test_a_sharded_base_changes_nothing(tmp_path: Path) -> None:
    (shards, other), codes = run(sharded, 2, tmp_path)
    assert codes == [0, 0]
    assert shards == other
    assert shards[0] == pytest.approx(_train(ALONE, size=3)[0], rel=1e-5)
    assert shards[1] == pytest.approx(_train(ALONE, size=3)[1], rel=1e-4)


def test_memory_may_run_out_on_one_rank(tmp_path: Path) -> None:
    results, codes = run(little_memory_on_one, 2, tmp_path)
    assert codes == [0, 0]
    assert results[0][0] == pytest.approx(_train(ALONE)[0], rel=1e-5)


def test_a_failure_on_another_rank_is_told_by_the_first(tmp_path: Path) -> None:
    _, codes = run(one_fails, 2, tmp_path)
    assert codes[0] == 1
    assert "rank 1 failed: KeyError: 'nothing'" in (tmp_path / "one_fails-2/0.error").read_text()


@pytest.mark.parametrize("work", [refused_at_the_first, refused_everywhere])
def test_what_is_refused_ends_all_ranks_with_one_code_and_one_message(work: Work, tmp_path: Path) -> None:
    _, codes = run(work, 3, tmp_path)
    assert codes == [2, 2, 2]
    assert [p.name for p in tmp_path.rglob("*.error")] == ["0.error"]


def test_all_ranks_stop_after_the_same_step_where_one_is_asked_to(tmp_path: Path) -> None:
    results, codes = run(one_is_asked_to_stop, 2, tmp_path)
    assert (results, codes) == ([[1], [1]], [0, 0])


def test_a_rank_that_dies_leaves_the_last_whole_step_to_save(tmp_path: Path) -> None:
    results, codes = run(one_dies, 2, tmp_path)
    assert codes == [0, 9]
    assert results[0] == [[2, True]]  # step 2, and dropout of the step that was not taken does not count


def test_a_rank_that_is_gone_is_told_by_the_first_and_ends_all(tmp_path: Path) -> None:
    _, codes = run(one_is_gone, 3, tmp_path)
    assert codes == [1, 9, 1]
    (told,) = tmp_path.rglob("*.error")
    assert "a rank is gone" in told.read_text() and "resume_from_checkpoint=auto" in told.read_text()


def test_words_bytes_and_gradients_go_around(tmp_path: Path) -> None:
    results, _ = run(sent_around, 2, tmp_path)
    assert results[0] == results[1] == [["我是 0", "我是 1"], [7, 0, 0], [[[3.0] * 3] * 2, [1.0]], ""]


def test_records_are_dealt_out_by_tokens_and_none_is_lost() -> None:
    lengths = [100, 10, 10, 10, 10, 10, 50, 60]
    shares = Ranks(0, 2).shares([7, 6, 5, 4, 3, 2, 1, 0], lengths)
    assert sorted(shares[0] + shares[1]) == list(range(8))
    assert [sum(lengths[i] for i in share) for share in shares] == [130, 130]
    assert ALONE.shares([3, 1, 2], lengths) == [[3, 1, 2]]


def test_without_a_launcher_there_is_one_rank_and_no_process_group() -> None:
    assert ranks_of({}) == ranks_of({"RANK": "0", "WORLD_SIZE": "1"}) == ALONE
    assert ranks_of({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}) == Ranks(3, 4, 1)
    with joined("cpu") as ranks:
        assert ranks is ALONE
        assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("wrong", [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "2", "RANK": "2"}, {"WORLD_SIZE": "x"}])
def test_a_launcher_that_says_half_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="torchrun"):
        ranks_of(wrong)


def test_each_rank_has_a_card_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Ranks(3, 4, 1).own_device("auto") == "cuda:1"
    assert Ranks(3, 4, 1).own_device("cpu") == "cpu"
    assert ALONE.own_device("auto") == "auto"
    with pytest.raises(UsageError, match="--nproc-per-node"):
        Ranks(2, 3, 2).own_device("cuda")
    with pytest.raises(UsageError, match="CUDA_VISIBLE_DEVICES"):
        Ranks(0, 2, 0).own_device("cuda:1")


def test_a_figure_of_one_rank_is_returned_as_it_is() -> None:
    assert ALONE.sums(lambda: (0.1, 2.0), 2) == (0.1, 2.0)
    with pytest.raises(TrainError):
        ALONE.together(lambda: (_ for _ in ()).throw(TrainError("train.out_of_memory", reason="x")))
