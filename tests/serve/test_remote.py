"""The gateway in front of vLLM: answers, versioned adapters, stacks, replicas that come and go. vLLM itself is a fake
here; tests/serve/test_vllm.py asks the real one."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from transformers import AutoModelForCausalLM

from lora_scripts.adapters.files import load_adapter
from lora_scripts.errors import ModelError, UsageError
from lora_scripts.serve.generation import FAILED, LENGTH, STOP, EngineDown, Generation, Sampling
from lora_scripts.serve.remote import engine as remote
from lora_scripts.serve.remote.adapters import RemoteAdapter, outline_of, read_remote, served_name, write_served
from lora_scripts.serve.remote.engine import RemoteEngine
from lora_scripts.serve.remote.replicas import Replica, in_order
from lora_scripts.serve.remote.wire import (
    ForwardedSchema,
    LostReplica,
    events_of,
    remote_grammar,
    request_body,
)
from lora_scripts.serve.store import AdapterStore, StoreFull
from tests.serve.conftest import BASE, Ear
from tests.serve.fake_vllm import BASE_NAME, FakeVllm, eventually

SECONDS = 10


def generation(ear: Ear, **more: Any) -> Generation:
    given = {"id": f"g{id(ear)}", "prompt_ids": [5, 6, 7], "max_new_tokens": 4, "stop_ids": frozenset([2])}
    return Generation(**(given | {"sampling": Sampling(), "listen": ear} | more))


def ask(engine: RemoteEngine, pairs: Sequence[tuple[RemoteAdapter, float]] = (), **more: Any) -> Ear:
    ear = Ear()
    engine.submit(generation(ear, adapters=tuple(pairs), **more))
    return ear


@pytest.fixture(scope="module")
def adapters(adapters_dir: Path) -> dict[str, RemoteAdapter]:
    outline = outline_of(BASE)
    return {n: read_remote(n, adapters_dir / n, outline, largest_rank=64) for n in ("a0", "a1", "a2", "a4", "a5")}


@pytest.fixture
def fakes() -> Iterator[list[FakeVllm]]:
    made = [FakeVllm().start(), FakeVllm().start()]
    yield made
    for fake in made:
        fake.stop()


@pytest.fixture
def engine(fakes: list[FakeVllm], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteEngine]:
    monkeypatch.setattr(remote, "WATCH_SECONDS", 0.05)
    made = RemoteEngine([f.url for f in fakes], folder=tmp_path / "served", base=str(BASE), largest_rank=24)
    yield made
    made.close()


# what is said to vLLM and what is heard


def test_every_setting_reaches_vllm_under_its_name() -> None:
    settings = Sampling(0.7, 0.9, 40, 0.05, 11, 0.1, 0.2, 1.3, {8: -2.5}, 3)
    body = request_body(generation(Ear(), sampling=settings, stop_ids=frozenset([9, 2])), "x")
    assert body == {
        "model": "x", "prompt": [5, 6, 7], "max_tokens": 4, "stop_token_ids": [2, 9], "temperature": 0.7,
        "top_p": 0.9, "top_k": 40, "min_p": 0.05, "seed": 11, "presence_penalty": 0.1, "frequency_penalty": 0.2,
        "repetition_penalty": 1.3, "logit_bias": {"8": -2.5}, "logprobs": 3, "return_tokens_as_token_ids": True,
        "stream": True, "return_token_ids": True, "ignore_eos": True, "skip_special_tokens": False,
    }  # fmt: skip


def test_a_schema_is_checked_here_and_kept_to_there(tokenizer: Any) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    grammar = remote_grammar(tokenizer, frozenset([2]), schema)
    body = request_body(generation(Ear(), grammar=grammar), "x")
    assert body["structured_outputs"] == {"json": schema} and body["ignore_eos"] is False
    assert remote_grammar(tokenizer, frozenset([2]), {}).schema == {"type": "object"}
    with pytest.raises(UsageError):
        remote_grammar(tokenizer, frozenset([2]), {"type": "nonsense"})


def line(**choice: Any) -> str:
    return "data: " + json.dumps({"choices": [{"index": 0, "text": "", "finish_reason": None, **choice}]})


def test_several_tokens_of_one_line_are_heard_one_by_one_and_the_last_one_ends() -> None:
    heard = events_of(line(token_ids=[3, 4, 2], finish_reason="stop"), generation(Ear()))
    assert [(e.token, e.reason) for e in heard] == [(3, ""), (4, ""), (2, STOP)]


def test_logprobs_come_by_id_and_only_as_many_as_asked_for() -> None:
    said = {"token_logprobs": [-2.5], "top_logprobs": [{"token_id:3": -2.5, "token_id:8": -0.5, "token_id:9": -1.5}]}
    asked = generation(Ear(), sampling=Sampling(top_logprobs=2))
    (event,) = events_of(line(token_ids=[3], logprobs=said), asked)
    assert (event.logprob, event.top) == (-2.5, ((8, -0.5), (9, -1.5)))


@pytest.mark.parametrize(
    "words",
    ['data: {"error": {"message": "boom"}}', "data: {}", "data: [1]", "data: null", "data: x",
     line(token_ids=[1], finish_reason="abort"), line(token_ids=[], finish_reason="stop"),
     line(token_ids=["a"]), line(token_ids=[1], logprobs={"token_logprobs": []})],
)  # fmt: skip
def test_a_line_that_is_no_answer_is_told_as_a_failure(words: str) -> None:
    with pytest.raises(LostReplica):
        events_of(words, generation(Ear()))


KEYS = st.sampled_from(["choices", "token_ids", "error", "finish_reason", "logprobs"])
VALUES = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)
)


@given(st.text() | VALUES.map(json.dumps))
def test_no_line_breaks_the_reader(words: str) -> None:
    with contextlib.suppress(LostReplica):
        events_of(f"data:{words}", generation(Ear()))


def test_an_answer_is_heard_token_by_token_to_its_end(engine: RemoteEngine, fakes: list[FakeVllm]) -> None:
    ear = ask(engine)
    (body,) = fakes[0].bodies + fakes[1].bodies if ear.tokens() else []
    assert (body["model"], body["prompt"]) == (BASE_NAME, [5, 6, 7])
    assert ear.tokens() == fakes[0].tokens_of(body)
    assert [e.reason for e in ear.events] == ["", "", "", LENGTH]
    stopped = ask(engine, stop_ids=frozenset([ear.tokens()[1]]))
    assert stopped.tokens() == ear.tokens()[:2] and stopped.events[-1].reason == STOP


def test_a_grammar_of_another_engine_is_refused_by_name(engine: RemoteEngine) -> None:
    with pytest.raises(UsageError, match="response_format"):
        ask(engine, grammar=object())
    assert ask(engine, grammar=ForwardedSchema({})).tokens()


def test_a_cancelled_answer_closes_the_connection_and_is_not_heard_again(
    engine: RemoteEngine, fakes: list[FakeVllm]
) -> None:
    hold = threading.Event()
    for fake in fakes:
        fake.hold = hold
    ear = ask(engine, id="long", max_new_tokens=1000)
    assert eventually(lambda: len(ear.events) == 1)
    engine.cancel("long")
    assert eventually(lambda: any(fake.left.is_set() for fake in fakes))
    hold.set()
    assert eventually(lambda: not engine.figures()["running"])
    assert len(ear.events) == 1
    engine.cancel("long")
    engine.cancel("unknown")


def test_the_servers_key_is_sent(tmp_path: Path) -> None:
    fake = FakeVllm(key="s3cret").start()
    with pytest.raises(ModelError, match="no vLLM server answers"):
        RemoteEngine([fake.url], folder=tmp_path, base="b", largest_rank=8, api_key="other")
    engine = RemoteEngine([fake.url], folder=tmp_path, base="b", largest_rank=8, api_key="s3cret")
    assert engine.limit_tokens == fake.limit
    engine.close()
    fake.stop()


# adapters


@pytest.mark.parametrize("pairs", [(("a4", 1.0),), (("a5", 0.5),), (("a0", 0.7), ("a1", -0.5), ("a4", 2.0))])
def test_what_vllm_is_given_is_the_weighted_sum_by_stock_peft(
    pairs: Sequence[tuple[str, float]], adapters: dict[str, RemoteAdapter], adapters_dir: Path, tmp_path: Path
) -> None:
    write_served(tmp_path / "x", [(adapters[n], w) for n, w in pairs], str(BASE))
    config = json.loads((tmp_path / "x" / "adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] and not config["use_dora"]
    ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        served = PeftModel.from_pretrained(_base(), str(tmp_path / "x")).eval()(ids).logits
        stacked: Any = _base()
        for name, weight in pairs:
            stacked = load_adapter(stacked, adapters_dir / name, weight=weight)
        assert torch.allclose(served, stacked(ids).logits, atol=1e-3)
        assert not torch.allclose(served, _base()(ids).logits, atol=0.1)


def _base() -> Any:
    return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)


def test_an_adapter_is_loaded_everywhere_under_a_name_of_its_content(
    engine: RemoteEngine, fakes: list[FakeVllm], adapters: dict[str, RemoteAdapter]
) -> None:
    engine.take(adapters["a0"])
    name = f"a0-{adapters['a0'].digest[:12]}"
    assert [list(fake.adapters) for fake in fakes] == [[name], [name]]
    assert ask(engine, [(adapters["a0"], 1.0)]).tokens() != ask(engine).tokens()
    assert {b["model"] for fake in fakes for b in fake.bodies} == {name, BASE_NAME}


def test_a_dropped_adapter_is_unloaded_and_its_files_go(
    engine: RemoteEngine, fakes: list[FakeVllm], adapters: dict[str, RemoteAdapter], tmp_path: Path
) -> None:
    engine.take(adapters["a0"])
    engine.take(adapters["a0"])  # replaced by the same content
    engine.drop(adapters["a0"])
    assert ask(engine, [(adapters["a0"], 1.0)]).tokens()
    assert not fakes[0].unloads and len(list((tmp_path / "served").iterdir())) == 1
    engine.drop(adapters["a0"])
    assert eventually(lambda: not any(fake.adapters for fake in fakes))
    assert eventually(lambda: not list((tmp_path / "served").iterdir()))


def test_a_stack_is_loaded_once_and_used_again(
    engine: RemoteEngine, fakes: list[FakeVllm], adapters: dict[str, RemoteAdapter]
) -> None:
    pairs = [(adapters["a0"], 0.5), (adapters["a1"], -0.25)]
    first = ask(engine, pairs).tokens()
    assert ask(engine, pairs[::-1]).tokens() == first
    assert [name for fake in fakes for name in fake.loads] == [served_name(pairs)]
    assert served_name(pairs) != served_name([(adapters["a0"], 0.5), (adapters["a1"], 0.25)])


def test_the_stacks_not_asked_for_longest_are_unloaded(
    engine: RemoteEngine, fakes: list[FakeVllm], adapters: dict[str, RemoteAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MOST_STACKS", 2)
    stacks = [[(adapters["a0"], weight)] for weight in (0.1, 0.2, 0.3)]
    for stack in (stacks[0], stacks[1], stacks[0], stacks[2]):
        ask(engine, stack).tokens()
    unloaded = [served_name(stacks[1])]
    assert eventually(lambda: [name for fake in fakes for name in fake.unloads] == unloaded)


def test_a_dropped_adapter_takes_its_stacks_along(
    engine: RemoteEngine, fakes: list[FakeVllm], adapters: dict[str, RemoteAdapter]
) -> None:
    for name in ("a0", "a1"):
        engine.take(adapters[name])
    ask(engine, [(adapters["a0"], 0.5), (adapters["a1"], 0.5)]).tokens()
    ask(engine, [(adapters["a1"], 0.5)]).tokens()
    engine.drop(adapters["a0"])
    left = {served_name([(adapters["a1"], weight)]) for weight in (1.0, 0.5)}
    assert eventually(lambda: {name for fake in fakes for name in fake.adapters} == left)


def test_a_stack_of_too_high_a_rank_is_refused_before_it_begins(
    engine: RemoteEngine, adapters: dict[str, RemoteAdapter]
) -> None:
    with pytest.raises(UsageError, match="25, above the servers' 24"):
        ask(engine, [(adapters["a1"], 1.0), (adapters["a4"], 0.5), (adapters["a5"], 1.0)])
    # a2 and a1 meet on q and v only
    assert ask(engine, [(adapters["a1"], 1.0), (adapters["a2"], 0.5)]).tokens()


def test_what_vllm_cannot_apply_is_refused_here(adapters_dir: Path, tmp_path: Path) -> None:
    outline = outline_of(BASE)
    with pytest.raises(ModelError, match="LoRA and rsLoRA; this adapter is dora"):
        read_remote("a6", adapters_dir / "a6", outline, largest_rank=64)
    with pytest.raises(ModelError, match="above the server's limit of 8"):
        read_remote("a2", adapters_dir / "a2", outline, largest_rank=8)
    config = outline.config
    config.hidden_size, config.head_dim = 128, 16
    with pytest.raises(ModelError, match="does not fit its layer"):
        read_remote("a0", adapters_dir / "a0", type(outline)(config), largest_rank=64)


def test_an_adapter_that_one_server_refuses_is_left_on_none(
    engine: RemoteEngine, fakes: list[FakeVllm], adapters: dict[str, RemoteAdapter]
) -> None:
    fakes[1].refuse = "LoRA rank 8 is greater than max_lora_rank 4"
    with pytest.raises(ModelError, match="greater than max_lora_rank"):
        engine.take(adapters["a0"])
    assert not fakes[0].adapters and not fakes[1].adapters


def test_a_gateway_that_starts_anew_uses_what_is_loaded(
    fakes: list[FakeVllm], adapters: dict[str, RemoteAdapter], tmp_path: Path
) -> None:
    name = served_name([(adapters["a0"], 1.0)])
    write_served(tmp_path / name, [(adapters["a0"], 1.0)], "b")
    fakes[0].adapters[name] = str(tmp_path / name)
    fakes[1].adapters[name] = "/somewhere/else"  # not ours: no answer may come from it
    engine = RemoteEngine([fake.url for fake in fakes], folder=tmp_path, base="b", largest_rank=64)
    with pytest.raises(ModelError, match="already been loaded"):
        engine.take(adapters["a0"])
    assert not fakes[0].loads
    engine.close()


# servers that come and go


def test_a_server_that_is_down_is_left_out_until_it_is_back(
    engine: RemoteEngine, fakes: list[FakeVllm], adapters: dict[str, RemoteAdapter]
) -> None:
    pairs = [(adapters["a0"], 1.0)]
    engine.take(adapters["a0"])
    preferred = next(f for f in fakes if f.url == in_order(engine.replicas, served_name(pairs))[0].url)
    other = next(f for f in fakes if f is not preferred)
    said = ask(engine, pairs).tokens()
    assert preferred.bodies and not other.bodies
    preferred.stop()
    assert ask(engine, pairs).tokens() == said and other.bodies
    assert eventually(lambda: engine.figures()["replicas_up"] == 1)
    assert engine.is_ready
    before = len(preferred.bodies)
    preferred.start()
    assert eventually(lambda: engine.figures()["replicas_up"] == 2)
    assert ask(engine, pairs).tokens() == said  # loaded there once more
    assert len(preferred.bodies) == before + 1


def test_without_any_server_requests_are_refused(engine: RemoteEngine, fakes: list[FakeVllm]) -> None:
    for fake in fakes:
        fake.stop()
    assert eventually(lambda: not engine.is_ready)
    with pytest.raises(EngineDown):
        ask(engine)


def test_a_server_that_forgot_an_adapter_is_given_it_again(
    engine: RemoteEngine, fakes: list[FakeVllm], adapters: dict[str, RemoteAdapter]
) -> None:
    engine.take(adapters["a0"])
    said = ask(engine, [(adapters["a0"], 1.0)]).tokens()
    for fake in fakes:
        fake.adapters.clear()  # between two looks
    assert ask(engine, [(adapters["a0"], 1.0)]).tokens() == said


def test_an_answer_goes_to_another_server_before_its_first_token_but_not_after(
    engine: RemoteEngine, fakes: list[FakeVllm]
) -> None:
    first = next(f for f in fakes if f.url == in_order(engine.replicas, "")[0].url)
    first.status = 503
    assert len(ask(engine).tokens()) == 4
    assert engine.figures()["failed_tries"] == 1
    first.status, first.break_at = 200, 2
    ear = ask(engine)
    ear.ended.wait(SECONDS)
    assert [e.reason for e in ear.events] == ["", "", FAILED]
    first.break_at = 0
    assert len(ask(engine).tokens()) == 4


def test_closing_fails_what_runs_and_unloads(
    engine: RemoteEngine, fakes: list[FakeVllm], adapters: dict[str, RemoteAdapter]
) -> None:
    engine.take(adapters["a0"])
    for fake in fakes:
        fake.hold = threading.Event()
    ear = ask(engine)
    assert eventually(lambda: len(ear.events) == 1)
    engine.close()
    engine.close()
    assert ear.events[-1].reason == FAILED
    assert not any(fake.adapters for fake in fakes)
    assert not engine.is_ready
    with pytest.raises(EngineDown):
        ask(engine)
    engine.drop(adapters["a0"])
    engine.cancel("x")


def replicas(count: int) -> list[Replica]:
    return [Replica(f"http://host{i}", is_up=True) for i in range(count)]


def test_a_key_keeps_its_server_and_a_lost_server_moves_only_its_own() -> None:
    all_up = replicas(4)
    before = {f"k{i}": in_order(all_up, f"k{i}")[0] for i in range(400)}
    shares = [sum(r is replica for r in before.values()) for replica in all_up]
    assert min(shares) > 60
    all_up[2].is_up = False
    moved = [key for key, replica in before.items() if in_order(all_up, key)[0] is not replica]
    assert all(before[key] is all_up[2] for key in moved) and len(moved) == shares[2]


def test_a_key_that_everybody_asks_for_spreads() -> None:
    some = replicas(4)
    for _ in range(400):
        in_order(some, "hot")[0].open += 1
    assert max(r.open for r in some) <= 1.25 * 100 + 2 and min(r.open for r in some) > 0
    few = replicas(4)
    for _ in range(4):
        in_order(few, "hot")[0].open += 1
    assert sorted(r.open for r in few) == [0, 0, 0, 4]


# the adapter store tells what it drops


def test_the_store_tells_each_adapter_that_goes(adapters_dir: Path) -> None:
    class Loaded:
        def __init__(self, name: str) -> None:
            self.digest, self.nbytes = name, 60

    gone: list[str] = []
    store = AdapterStore(
        lambda name, _: Loaded(name), device_bytes=100, dropped=lambda loaded: gone.append(loaded.digest)
    )
    store.add("x", adapters_dir)
    store.add("y", adapters_dir)
    assert gone == ["x"]
    held = store.fetch("y")
    with pytest.raises(StoreFull):
        store.fetch("x")
    assert gone == ["x", "x"]  # it was loaded, and found no room
    store.remove("y")
    assert gone == ["x", "x"]
    store.release(held)
    assert gone == ["x", "x", "y"]
