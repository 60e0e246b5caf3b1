"""Adapters and stacks that come, change and go while the server answers, by our routes and by vLLM's."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.serve.http_server import ADMIN, Server, serving, sha256

PROMPT = "劳动合同的试用期最长"
COUNT = 12


@pytest.fixture(scope="module")
def server(adapters_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("root")
    for name in ("a0", "a1", "a2", "a6"):
        shutil.copytree(adapters_dir / name, root / name)
    with serving(root, adapters={"a0": str(root / "a0")}, admin_key_sha256=sha256(ADMIN)) as made:
        yield made


@pytest.fixture
def admin(server: Server) -> Iterator[httpx.Client]:
    with server.http(ADMIN) as http:
        yield http
    for name in server.opened.face.service.store.names():
        if name != "a0":
            server.opened.face.service.store.remove(name)
    server.opened.face.service.models.stacks.clear()


def says(server: Server, model: str) -> str:
    asked: Any = {"prompt": PROMPT, "max_tokens": COUNT, "temperature": 0}
    return server.openai().completions.create(model=model, **asked).choices[0].text


@pytest.fixture(scope="module")
def known(merged: Callable[..., list[int]], tokenizer: Any) -> Callable[..., str]:
    """What merged weights say."""

    def text(*pairs: tuple[str, float]) -> str:
        ids = tokenizer(PROMPT)["input_ids"]
        return str(tokenizer.decode(merged(pairs, ids, COUNT), skip_special_tokens=True))

    return text


def shown(admin: httpx.Client, name: str) -> dict[str, Any]:
    entries = admin.get("/admin/adapters").json()["adapters"]
    return next(entry for entry in entries if entry["name"] == name)


def test_an_adapter_is_loaded_asked_and_unloaded(
    server: Server, admin: httpx.Client, known: Callable[..., str]
) -> None:
    made = admin.post("/admin/adapters", json={"name": "new", "path": "a1"})
    assert made.status_code == 201
    assert made.json() == shown(admin, "new")
    assert made.json()["digest"].startswith("sha256:")
    assert (made.json()["tier"], made.json()["method"], made.json()["rank"]) == ("device", "lora", 8)
    assert says(server, "new") == known(("a1", 1.0)) != known()
    assert "new" in [model.id for model in server.openai().models.list()]
    assert admin.delete("/admin/adapters/new").json() == {"name": "new", "unloaded": True}
    with pytest.raises(openai.NotFoundError):
        says(server, "new")
    assert admin.delete("/admin/adapters/new").status_code == 404


def test_a_name_can_be_given_other_weights(server: Server, admin: httpx.Client, known: Callable[..., str]) -> None:
    for path in ("a1", "a2", "a1"):
        admin.post("/admin/adapters", json={"name": "new", "path": path}).raise_for_status()
        assert says(server, "new") == known((path, 1.0))
    assert len(admin.get("/admin/adapters").json()["adapters"]) == 2


def test_a_request_that_runs_keeps_the_weights_that_it_began_with(server: Server, admin: httpx.Client) -> None:
    admin.post("/admin/adapters", json={"name": "new", "path": "a1"}).raise_for_status()
    asked: Any = {"model": "new", "prompt": PROMPT, "max_tokens": 60, "temperature": 0}
    whole = server.openai().completions.create(**asked).choices[0].text
    stream = server.openai().completions.create(**asked, stream=True)
    said = next(iter(stream)).choices[0].text
    assert shown(admin, "new")["in_use"] == 1
    admin.post("/admin/adapters", json={"name": "new", "path": "a2"}).raise_for_status()
    admin.delete("/admin/adapters/new").raise_for_status()
    assert said + "".join(part.choices[0].text for part in stream) == whole
    assert server.back_to_rest()


def test_vllms_routes_do_the_same(server: Server, admin: httpx.Client, known: Callable[..., str]) -> None:
    made = admin.post("/v1/load_lora_adapter", json={"lora_name": "new", "lora_path": "a2"})
    assert (made.status_code, "new" in made.text) == (200, True)
    assert says(server, "new") == known(("a2", 1.0))
    gone = admin.post("/v1/unload_lora_adapter", json={"lora_name": "new"})
    assert (gone.status_code, "new" in gone.text) == (200, True)
    assert admin.post("/v1/unload_lora_adapter", json={"lora_name": "new"}).status_code == 404
    assert admin.post("/v1/load_lora_adapter", json={"lora_name": "new", "lora_path": "../a2"}).status_code == 400


def test_a_pinned_adapter_is_shown_as_one(server: Server, admin: httpx.Client) -> None:
    admin.post("/admin/adapters", json={"name": "new", "path": "a1", "pinned": True}).raise_for_status()
    assert shown(admin, "new")["pinned"] is True
    assert admin.post("/admin/adapters/new/pin", json={"pinned": False}).json() == {"name": "new", "pinned": False}
    assert shown(admin, "new")["pinned"] is False
    assert admin.post("/admin/adapters/new/pin", json={}).json()["pinned"] is True


def test_a_stack_is_named_asked_and_dropped(server: Server, admin: httpx.Client, known: Callable[..., str]) -> None:
    for name in ("a1", "a2"):
        admin.post("/admin/adapters", json={"name": name, "path": name}).raise_for_status()
    pairs = [{"name": "a0", "weight": 0.7}, {"name": "a1", "weight": 0.5}]
    made = admin.post("/admin/stacks", json={"name": "mix", "adapters": pairs})
    assert made.status_code == 201
    assert (made.json()["name"], made.json()["adapters"]) == ("mix", pairs)
    assert not [line for line in made.json()["warnings"] if line.startswith("WARNING")]
    assert admin.get("/admin/stacks").json() == {"stacks": [{"name": "mix", "adapters": pairs}]}
    assert says(server, "mix") == known(("a0", 0.7), ("a1", 0.5))
    assert "mix" in [model.id for model in server.openai().models.list()]
    admin.post("/admin/stacks", json={"name": "mix", "adapters": [{"name": "a2"}]}).raise_for_status()
    assert says(server, "mix") == known(("a2", 1.0))
    admin.delete("/admin/adapters/a2").raise_for_status()
    with pytest.raises(openai.NotFoundError):
        says(server, "mix")
    assert admin.delete("/admin/stacks/mix").json() == {"name": "mix", "deleted": True}
    assert admin.delete("/admin/stacks/mix").status_code == 404


def test_a_stack_of_adapters_that_push_the_same_way_is_warned_of(server: Server, admin: httpx.Client) -> None:
    admin.post("/admin/adapters", json={"name": "again", "path": "a0"}).raise_for_status()
    pairs = [{"name": "a0"}, {"name": "again"}]
    made = admin.post("/admin/stacks", json={"name": "mix", "adapters": pairs}).json()
    assert len(made["warnings"]) == 1
    assert "again" in made["warnings"][0]
    assert str(server.root) not in made["warnings"][0]


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/admin/adapters", {"name": "tiny-zh", "path": "a1"}, 409, "name"),
        ("/admin/adapters", {"name": "auto", "path": "a1"}, 409, "name"),
        ("/admin/adapters", {"name": "mix", "path": "a1"}, 409, "name"),
        ("/admin/adapters/a0/pin", {"pinned": "no"}, 400, "pinned"),
        ("/admin/adapters", {"name": "new"}, 400, "path"),
        ("/admin/adapters", {"name": "new", "path": "a1", "rank": 3}, 400, "rank"),
        ("/admin/adapters", {"name": "new", "path": "a1", "pinned": "yes"}, 400, "pinned"),
        (
            "/v1/load_lora_adapter",
            {"lora_name": "new", "lora_path": "a1", "base_model_name": "x"},
            400,
            "base_model_name",
        ),
        ("/admin/stacks", {"name": "a0", "adapters": [{"name": "a0"}]}, 400, None),
        ("/admin/stacks", {"name": "auto", "adapters": [{"name": "a0"}]}, 409, "name"),
        ("/admin/stacks", {"name": "s", "adapters": []}, 400, "adapters"),
        ("/admin/stacks", {"name": "s", "adapters": [{"name": "nobody"}]}, 404, "model"),
        ("/admin/stacks", {"name": "s", "adapters": [{"name": "a0", "weight": 17}]}, 400, None),
        ("/admin/stacks", {"name": "s", "adapters": {"a0": 1}}, 400, "adapters"),
    ],
)
def test_what_cannot_be_done_is_named(admin: httpx.Client, path: str, body: Any, status: int, param: Any) -> None:
    admin.post("/admin/stacks", json={"name": "mix", "adapters": [{"name": "a0", "weight": 2}]}).raise_for_status()
    answered = admin.post(path, json=body)
    assert (answered.status_code, answered.json()["error"]["param"]) == (status, param)
    assert [entry["name"] for entry in admin.get("/admin/adapters").json()["adapters"]] == ["a0"]
    assert len(admin.get("/admin/stacks").json()["stacks"]) == 1


def test_stacks_that_cannot_act_are_refused_when_they_are_named(admin: httpx.Client) -> None:
    admin.post("/admin/adapters", json={"name": "dora", "path": "a6"}).raise_for_status()
    half = {"name": "half", "adapters": [{"name": "dora", "weight": 0.5}]}
    assert admin.post("/admin/stacks", json=half).status_code == 400
    assert admin.get("/admin/stacks").json()["stacks"] == []


def test_answers_stay_right_while_their_adapter_is_loaded_anew(
    server: Server, admin: httpx.Client, known: Callable[..., str]
) -> None:
    admin.post("/admin/adapters", json={"name": "new", "path": "a1"}).raise_for_status()
    right = {known(("a1", 1.0)), known(("a2", 1.0))}
    statuses: list[int] = []
    wrong: list[str] = []
    stop = threading.Event()

    def churn() -> None:
        with server.http(ADMIN) as http:
            while not stop.is_set():
                for path in ("a1", "a2"):
                    statuses.append(http.post("/admin/adapters", json={"name": "new", "path": path}).status_code)

    def ask() -> None:
        for _ in range(8):
            if (said := says(server, "new")) not in right:
                wrong.append(said)

    threads = [threading.Thread(target=churn), *(threading.Thread(target=ask) for _ in range(4))]
    for thread in threads:
        thread.start()
    for thread in threads[1:]:
        thread.join(60)
    stop.set()
    threads[0].join(60)
    assert wrong == []
    assert len(statuses) > 4
    assert set(statuses) == {201}
    assert server.back_to_rest()


def test_an_adapter_that_was_put_out_of_memory_comes_back_when_it_is_asked_for(
    adapters_dir: Path, known: Callable[..., str]
) -> None:
    room = {"adapter_memory_gib": 0.35 / 1024}  # a2 alone
    with (
        serving(adapters_dir, adapters={}, admin_key_sha256=sha256(ADMIN), **room) as server,
        server.http(ADMIN) as admin,
    ):
        for name in ("a0", "a2"):
            admin.post("/admin/adapters", json={"name": name, "path": name}).raise_for_status()
        tiers = {e["name"]: e["tier"] for e in admin.get("/admin/adapters").json()["adapters"]}
        assert tiers == {"a0": "disk", "a2": "device"}
        for name in ("a0", "a2", "a0"):
            assert says(server, name) == known((name, 1.0))
        refused = admin.post("/admin/adapters", json={"name": "a1", "path": "a1"})
        assert (refused.status_code, "adapter_memory_gib" in refused.text or "MB" in refused.text) == (400, True)
        assert says(server, "a0") == known(("a0", 1.0))


def test_without_a_root_or_an_admin_key_nothing_is_loaded(adapters_dir: Path) -> None:
    with serving(adapters_dir) as server, server.http(ADMIN) as http:
        refused = http.post("/admin/adapters", json={"name": "new", "path": "a1"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "no_admin_key")
        assert http.post("/v1/load_lora_adapter", json={}).status_code == 403
        assert http.get("/admin/adapters").status_code == 403
        assert http.get("/v1/models").status_code == 200
    with serving(adapters_dir, adapter_root=None, admin_key_sha256=sha256(ADMIN)) as server, server.http(ADMIN) as http:
        refused = http.post("/admin/adapters", json={"name": "new", "path": str(adapters_dir / "a1")})
        assert refused.status_code == 400
        began = time.monotonic()
        assert http.get("/admin/adapters").json() == {"adapters": []}
        assert time.monotonic() - began < 10  # looking through the whole disk takes longer
