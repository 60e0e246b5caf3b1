"""The whole gateway in front of (fake) vLLM servers: what clients see, and what the config may say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from lora_scripts.assemble.serving import remote
from lora_scripts.assemble.serving.remote import SERVED, open_remote, served_folder
from lora_scripts.errors import ModelError, UsageError
from tests.serve.conftest import BASE
from tests.serve.fake_vllm import BASE_NAME, FakeVllm, eventually
from tests.serve.gateway import Gateway, config_of, open_gateway

RULES = "rules:\n  no_zz: {words: [zz], on: output, action: refuse}\n"


@pytest.fixture
def fake() -> Iterator[FakeVllm]:
    made = FakeVllm().start()
    yield made
    made.stop()


@pytest.fixture
def gateway(fake: FakeVllm, adapters_dir: Path, tmp_path: Path) -> Iterator[Gateway]:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    with open_gateway(adapters_dir, rules, vllm=(fake.url + "/v1",), device="cuda", max_lora_rank=16) as opened:
        yield opened


def test_base_adapter_and_stack_are_answered_as_what_they_are(gateway: Gateway, fake: FakeVllm) -> None:
    assert gateway.load("law", "a0").status_code == 201
    assert gateway.load("tax", "a1").status_code == 201
    for model in (BASE_NAME, "law", f"{BASE_NAME}:law"):
        assert gateway.ask(model).status_code == 200
    mixed = gateway.ask(BASE_NAME, adapters=[{"name": "law", "weight": 0.5}, {"name": "tax", "weight": 0.5}])
    assert mixed.status_code == 200 and mixed.json()["usage"]["completion_tokens"] == 4
    versions = [body["model"].partition("-")[0] for body in fake.bodies]
    assert versions == ["tiny", "law", "law", "stack"]
    prompts = {tuple(body["prompt"]) for body in fake.bodies}
    assert len(prompts) == 1 and prompts.pop()[0] == 1  # the template's first token, spelled here


def test_a_name_that_is_not_served_never_reaches_vllm(gateway: Gateway, fake: FakeVllm) -> None:
    fake.adapters["hidden"] = "/somewhere"
    for model in ("hidden", "../outside", "/etc/passwd", f"{BASE_NAME}:../x", ""):
        answer = gateway.ask(model)
        assert answer.status_code == 404 and answer.json()["error"]["param"] == "model", model
    assert gateway.load("../x", "a0").status_code == 400
    assert gateway.load("x", "../adapters").status_code == 400
    assert not fake.bodies and not fake.loads


def test_an_adapter_that_vllm_cannot_serve_is_a_client_error(gateway: Gateway, fake: FakeVllm) -> None:
    assert "dora" in gateway.load("d", "a6").json()["error"]["message"]
    fake.refuse = "something is off"
    answer = gateway.load("x", "a0")
    assert answer.status_code == 400 and "something is off" in answer.json()["error"]["message"]
    fake.refuse = ""
    gateway.load("one", "a2")
    gateway.load("two", "a1")
    answer = gateway.ask(BASE_NAME, adapters=[{"name": "one", "weight": 1}, {"name": "two", "weight": 1}])
    assert answer.status_code == 400 and "add up to 24, above the servers' 16" in answer.json()["error"]["message"]


def test_guardrails_and_stop_strings_act_on_what_vllm_says(gateway: Gateway, fake: FakeVllm, tokenizer: Any) -> None:
    fake.tokens_of = lambda _: tokenizer("ab zz cd", add_special_tokens=False)["input_ids"]  # type: ignore[method-assign]
    choice = gateway.ask(BASE_NAME, max_tokens=50).json()["choices"][0]
    assert choice["finish_reason"] == "content_filter" and "zz" not in choice["message"]["content"]
    choice = gateway.ask(BASE_NAME, max_tokens=50, stop="b").json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("a", "stop")


def test_a_json_schema_is_passed_on_and_a_bad_one_refused(gateway: Gateway, fake: FakeVllm) -> None:
    def wanted(schema: Any) -> Any:
        return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    assert gateway.ask(BASE_NAME, response_format=wanted({"type": "object"})).status_code == 200
    assert fake.bodies[-1]["structured_outputs"] == {"json": {"type": "object"}}
    assert gateway.ask(BASE_NAME, response_format=wanted({"type": "nonsense"})).status_code == 400


def test_where_servers_may_lack_cards_the_base_is_asked_for_as_an_adapter_of_zeros(
    fake: FakeVllm, adapters_dir: Path
) -> None:
    with open_gateway(adapters_dir, vllm=(fake.url,)) as gateway:
        assert any("through an adapter of zeros" in line for line in gateway.said)
        assert gateway.ask(BASE_NAME).status_code == 200
        (name,) = fake.adapters
        assert fake.bodies[0]["model"] == name
        with safe_open(f"{fake.adapters[name]}/adapter_model.safetensors", "pt") as file:
            assert not any(file.get_tensor(key).any() for key in file.keys())  # noqa: SIM118
    assert not fake.adapters
    fake.refuse = "no LoRA here"
    with pytest.raises(ModelError, match="no LoRA here"), open_gateway(adapters_dir, vllm=(fake.url,)):
        pass


def test_an_unloaded_adapter_is_unknown_at_once_and_leaves_vllm(gateway: Gateway, fake: FakeVllm) -> None:
    gateway.load("law", "a0")
    gone = gateway.unload("law")
    assert gone.status_code == 200
    assert gateway.ask("law").status_code == 404
    assert eventually(lambda: bool(fake.unloads) and not fake.adapters)


def test_readiness_and_figures_tell_of_the_servers(gateway: Gateway) -> None:
    assert gateway.client.get("/health/ready").json() == {"status": "ready", "engine": "remote"}
    assert "lora_engine_replicas_up 1.0" in gateway.client.get("/metrics").text
    gateway.service.engine.replicas[0].is_up = False  # type: ignore[attr-defined]
    assert gateway.client.get("/health/ready").status_code == 503
    assert gateway.ask(BASE_NAME).status_code == 503


def test_what_the_servers_are_and_where_adapters_go_is_said(
    gateway: Gateway, fake: FakeVllm, adapters_dir: Path
) -> None:
    assert any(fake.url in line and "up to 1024 tokens" in line for line in gateway.said)
    assert any(str(adapters_dir / SERVED) in line for line in gateway.said)


def test_keys_that_vllm_does_not_follow_are_named_or_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = FakeVllm().start()
    said: list[str] = []
    given = {"vllm": (fake.url,), "adapter_root": str(tmp_path)}
    engine, *_ = open_remote(config_of(**given, kv_cache_gib=2.0, host_memory_gib=1.0), BASE, said.append)
    engine.close()
    fake.stop()
    for key in ("host_memory_gib", "kv_cache_gib"):
        assert any(line.startswith(f"{key} has no effect") for line in said)
    with pytest.raises(UsageError, match="nf4 is not passed on"):
        open_remote(config_of(**given, quantization="nf4"), BASE, said.append)
    with pytest.raises(UsageError, match="no address"):
        open_remote(config_of(vllm=("localhost:8000",)), BASE, said.append)
    with pytest.raises(ModelError, match="no vLLM server answers"):
        open_remote(config_of(**given), BASE, said.append)
    monkeypatch.setenv("LORA_SCRIPTS_VLLM", "/nowhere/vllm")
    with pytest.raises(UsageError, match="vLLM is not installed"):
        open_remote(config_of(adapter_root=str(tmp_path)), BASE, said.append)
    with pytest.raises(UsageError, match="of rank 1024: 512 is the most"):
        open_remote(config_of(max_lora_rank=1024, device="cpu"), BASE, said.append)


def test_a_server_of_ours_reserves_the_rank_that_the_config_needs(
    adapters_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = FakeVllm(key="k").start()
    started: list[Any] = []

    @dataclass
    class Server:
        url: str = fake.url
        api_key: str = "k"
        ended: bool = False

        def stop(self) -> None:
            self.ended = True

    def start(program: str, arguments: list[str], more: dict[str, str], log: Path, say: Any) -> Server:
        started.append((arguments, more, Server()))
        return started[-1][2]

    monkeypatch.setattr(remote, "find_vllm", lambda _: "vllm")
    monkeypatch.setattr(remote, "start_vllm", start)
    adapters = {name: str(adapters_dir / name) for name in ("a1", "a2")}
    given = {"adapter_root": str(tmp_path), "device": "cpu", "kv_cache_gib": 1.5}
    for more, rank in (
        ({}, "64"),
        ({"adapters": adapters, "stacks": {"s": {"a1": 1.0, "a2": 1.0}}}, "64"),
        ({"max_lora_rank": 100}, "128"),
    ):
        engine, *_ = open_remote(config_of(**given, **more), BASE, lambda _: None)
        engine.close()
        arguments, environment, server = started[-1]
        assert arguments[arguments.index("--max-lora-rank") + 1] == rank
        assert arguments[arguments.index("--dtype") + 1] == "float32"
        assert environment == {"VLLM_CPU_KVCACHE_SPACE": "2"} and server.ended
    monkeypatch.setattr(remote, "LEAST_RANK", 1)
    engine, *_ = open_remote(config_of(**given, adapters=adapters, stacks={"s": {"a1": 1.0, "a2": 1.0}}), BASE, print)
    engine.close()
    assert started[-1][0][started[-1][0].index("--max-lora-rank") + 1] == "32"  # 8 + 16
    fake.stop()


def test_without_an_adapter_root_adapters_are_written_to_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert served_folder(config_of()) == Path("/c/lora-scripts/served")
