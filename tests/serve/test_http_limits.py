"""Whose key opens what and how often, the full queue, and the end of a server that still answers."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from lora_scripts.assemble.serving.server import keys_of
from lora_scripts.config.serving import load_serve_config
from lora_scripts.errors import UsageError
from tests.serve.conftest import BASE
from tests.serve.http_server import ADMIN, Server, serving, sha256

PROMPT = "劳动合同的试用期最长"
MOST = 4
KEYS: dict[str, Any] = {
    "wide": {"key": "k-wide"},
    "hashed": {"sha256": sha256("k-hashed")},
    "narrow": {"key": "k-narrow", "adapters": ["a0", "mix"]},
    "base only": {"key": "k-base", "adapters": [BASE.name]},
    "both": {"key": "k-both", "adapters": [BASE.name, "a0", "a1"]},
    "few": {"key": "k-few", "requests_per_minute": 2},
    "short": {"key": "k-short", "tokens_per_minute": 20},
    "single": {"key": "k-single", "concurrent_requests": 1},
}


@pytest.fixture(scope="module")
def server(adapters_dir: Path) -> Iterator[Server]:
    adapters = {name: str(adapters_dir / name) for name in ("a0", "a1")}
    with serving(
        adapters_dir,
        adapters=adapters,
        stacks={"mix": {"a0": 1.0, "a1": 0.5}},
        api_keys=KEYS,
        admin_key_sha256=sha256(ADMIN),
        max_requests=MOST,
    ) as made:
        yield made


def ask(server: Server, key: str, model: str = "a0", **more: Any) -> httpx.Response:
    with server.http(key) as http:
        body = {"model": model, "prompt": PROMPT, "max_tokens": 2, "temperature": 0} | more
        return http.post("/v1/completions", json=body)


class Busy:
    """Long answers that run until the block ends."""

    def __init__(self, server: Server, key: str, count: int) -> None:
        self.server, self.key, self.count = server, key, count

    def __enter__(self) -> Busy:
        asked: Any = {
            "model": "a0",
            "prompt": PROMPT,
            "max_tokens": 900,
            "stream": True,
            "logit_bias": {"0": -100, "2": -100},
        }
        self.streams = [self.server.openai(self.key).completions.create(**asked) for _ in range(self.count)]
        for stream in self.streams:
            next(iter(stream))
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self.streams:
            stream.close()
        assert self.server.back_to_rest()


# keys


@pytest.mark.parametrize(
    ("key", "model", "more", "status"),
    [
        ("k-wide", "a0", {}, 200),
        ("k-wide", "mix", {}, 200),
        ("k-hashed", "tiny-zh", {}, 200),
        ("k-narrow", "a0", {}, 200),
        ("k-narrow", "tiny-zh:a0", {}, 200),
        ("k-narrow", "mix", {}, 200),
        ("k-narrow", "a1", {}, 403),
        ("k-narrow", "tiny-zh", {}, 403),
        ("k-narrow", "tiny-zh", {"adapters": [{"name": "a1"}]}, 403),
        ("k-narrow", "tiny-zh", {"adapters": [{"name": "a0", "weight": 0}]}, 403),
        ("k-base", "tiny-zh", {}, 200),
        ("k-base", "a0", {}, 403),
        ("k-base", "mix", {}, 403),
        ("k-base", "tiny-zh", {"adapters": [{"name": "a0"}]}, 403),
        ("k-both", "tiny-zh", {"adapters": [{"name": "a0"}, {"name": "a1"}]}, 200),
        ("k-both", "mix", {}, 403),
        ("k-nobody", "a0", {}, 401),
        (sha256("k-hashed"), "a0", {}, 401),
        (ADMIN, "a0", {}, 401),
    ],
)
def test_a_key_opens_what_it_may(server: Server, key: str, model: str, more: dict[str, Any], status: int) -> None:
    answered = ask(server, key, model, **more)
    assert answered.status_code == status, answered.text
    if status == 403:
        assert answered.json()["error"]["code"] == "model_not_allowed"


def test_the_official_client_knows_what_the_key_lacks(server: Server) -> None:
    with pytest.raises(openai.AuthenticationError):
        server.openai("k-nobody").models.list()
    with pytest.raises(openai.PermissionDeniedError):
        server.openai("k-narrow").completions.create(model="a1", prompt="x")


def test_figures_are_for_clients_and_the_admin(server: Server) -> None:
    for key, status in (("k-wide", 200), (ADMIN, 200), ("k-nobody", 401)):
        with server.http(key) as http:
            assert http.get("/metrics").status_code == status
    with server.http() as http:
        assert http.get("/metrics").status_code == 401
        assert http.get("/health/live").status_code == http.get("/health/ready").status_code == 200


# limits


def test_requests_above_the_minutes_limit_are_told_when_to_come_back(server: Server) -> None:
    assert [ask(server, "k-few").status_code for _ in range(2)] == [200, 200]
    refused = ask(server, "k-few")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "key_requests")
    assert 25 <= int(refused.headers["retry-after"]) <= 31
    with pytest.raises(openai.RateLimitError):
        server.openai("k-few").completions.create(model="a0", prompt="x")
    assert ask(server, "k-wide").status_code == 200


def test_tokens_above_the_minutes_limit_are_told_too(server: Server) -> None:
    assert ask(server, "k-short", max_tokens=40).status_code == 200
    refused = ask(server, "k-short")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "key_tokens")
    assert int(refused.headers["retry-after"]) > 30


def test_a_client_runs_as_many_at_once_as_it_may(server: Server) -> None:
    with Busy(server, "k-single", 1):
        refused = ask(server, "k-single")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "key_concurrent")
        assert ask(server, "k-wide").status_code == 200
    assert ask(server, "k-single").status_code == 200


def test_a_full_queue_says_so_and_takes_again(server: Server) -> None:
    with Busy(server, "k-wide", MOST):
        refused = ask(server, "k-wide")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        with server.http("k-wide") as http:
            assert http.get("/health/ready").status_code == 200
            assert http.get("/v1/models").status_code == 200
    assert ask(server, "k-wide", n=MOST).status_code == 200
    assert ask(server, "k-wide", n=MOST + 1).status_code == 400


# keys at the start


def test_another_address_wants_a_key_and_the_admin_one_of_his_own() -> None:
    def keys(environment: dict[str, str], **more: Any) -> Any:
        return keys_of(load_serve_config(None, {"base_model": str(BASE)} | more).config, environment)

    with pytest.raises(UsageError):
        keys({}, host="0.0.0.0")
    with pytest.raises(UsageError):
        keys({"LORA_SCRIPTS_ADMIN_KEY": "x"}, host="::")
    with pytest.raises(UsageError):
        keys({"LORA_SCRIPTS_API_KEY": "x", "LORA_SCRIPTS_ADMIN_KEY": "x"})
    with pytest.raises(UsageError):
        keys({}, api_keys={"a": {"key": "x"}}, admin_key_sha256=sha256("x"))
    found, admin = keys({"LORA_SCRIPTS_API_KEY": "x", "LORA_SCRIPTS_ADMIN_KEY": "y"}, host="0.0.0.0")
    assert (len(found), admin is not None) == (1, True)
    assert keys({}) == ([], None)


# the end


def test_a_server_that_goes_down_lets_answers_end_and_takes_no_more(adapters_dir: Path) -> None:
    with serving(adapters_dir, adapters={"a0": str(adapters_dir / "a0")}, drain_seconds=30) as server:
        asked: Any = {
            "model": "a0",
            "prompt": PROMPT,
            "max_tokens": 200,
            "temperature": 0,
            "logit_bias": {"0": -100, "2": -100},
        }
        stream = server.openai().completions.create(**asked, stream=True)
        said = [next(iter(stream))]
        with server.http() as http:
            assert http.get("/health/ready").status_code == 200
            server.terminate()
            time.sleep(0.2)
            ready = http.get("/health/ready")
            assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
            assert http.get("/health/live").status_code == 200
            refused = http.post("/v1/completions", json=asked)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        assert int(refused.headers["retry-after"]) >= 1
        said += list(stream)
        assert said[-1].choices[0].finish_reason == "length"
        server.thread.join(10)
        assert not server.thread.is_alive()


def test_answers_that_take_too_long_at_the_end_are_cut_off_in_words(adapters_dir: Path) -> None:
    with serving(adapters_dir, adapters={"a0": str(adapters_dir / "a0")}, drain_seconds=0) as server:
        asked: Any = {"model": "a0", "prompt": PROMPT, "max_tokens": 900, "logit_bias": {"0": -100, "2": -100}}
        with ThreadPoolExecutor(4) as pool:
            whole = [pool.submit(ask, server, "", **asked | {"n": 1}) for _ in range(2)]
            stream = server.openai().completions.create(**asked, stream=True)
            next(iter(stream))
            time.sleep(0.3)
            server.terminate()
            with pytest.raises(openai.APIError) as caught:
                list(stream)
            assert caught.value.code == "engine_down"
            answers = [done.result(timeout=30) for done in whole]
        assert [answer.status_code for answer in answers] == [503, 503]
        assert all(answer.headers["retry-after"] for answer in answers)
        server.thread.join(10)
        assert not server.thread.is_alive()
        assert any("3" in line for line in server.said[1:])


@pytest.mark.slow
def test_sigterm_under_load_loses_no_request_and_ends_with_0(adapters_dir: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [str(Path(sys.executable).with_name("lora-scripts")), "serve", "--base-model", str(BASE), "--port", "0"]
    command += ["--adapter", f"a0={adapters_dir / 'a0'}", "--device", "cpu"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LORA_SCRIPTS")} | {
        "LORA_SCRIPTS_LANG": "en"
    }
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=environment)
    try:
        url = address(log, process)
        results: list[str] = []
        threads = [threading.Thread(target=until_refused, args=(url, number, results)) for number in range(6)]
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads), "a request hangs"
        assert process.wait(30) == 0, log.read_text()
        assert len(results) > 6
        assert set(results) <= {"answered", "told", "not taken"}, results
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()


def address(log: Path, process: subprocess.Popen[bytes], seconds: float = 90) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"http://[^/\s]+", log.read_text()):
            return found[0]
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def until_refused(url: str, number: int, results: list[str]) -> None:
    """Ask again and again until the server takes no more; note how each request ended."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
        while True:
            body = {"model": "a0", "prompt": PROMPT, "max_tokens": 60, "stream": number % 2 == 0}
            try:
                answered = http.post("/v1/completions", json=body)
            except httpx.ConnectError:
                return results.append("not taken")
            except httpx.TransportError as error:
                with contextlib.suppress(httpx.HTTPError):
                    if http.get("/health/live").status_code:
                        return results.append(f"lost: {error!r}")
                return results.append("not taken" if "disconnected without" in str(error) else f"lost: {error!r}")
            if answered.status_code == 503:
                return results.append("told" if answered.json()["error"]["message"] else "503")
            whole = answered.text.endswith("[DONE]\n\n") if body["stream"] else bool(answered.json()["choices"])
            results.append("answered" if answered.status_code == 200 and whole else f"half: {answered.text[-100:]}")
