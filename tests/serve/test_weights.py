"""Every kind of bad adapter is refused in words when it is loaded, by the real server; the next good one is not."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.serve.conftest import BASE
from tests.serve.http_server import ADMIN, Server, serving, sha256

WEIGHTS, CONFIG, PROVENANCE = "adapter_model.safetensors", "adapter_config.json", "provenance.json"
A, B = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "lora_B.weight"
Spoil = Callable[[Path], object]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("root")
    with serving(root, admin_key_sha256=sha256(ADMIN), max_lora_rank=8, adapter_memory_gib=0.01) as made:
        yield made


def config(**more: Any) -> Spoil:
    """Change the config; ``...`` takes a key away."""

    def spoil(folder: Path) -> None:
        values = json.loads((folder / CONFIG).read_text()) | more
        (folder / CONFIG).write_text(json.dumps({k: v for k, v in values.items() if v is not ...}))

    return spoil


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Spoil:
    """Change the tensors in place."""

    def spoil(folder: Path) -> None:
        found = load_file(folder / WEIGHTS)
        change(found)
        save_file({name: value.contiguous() for name, value in found.items()}, folder / WEIGHTS)

    return spoil


def moved(module: str) -> Spoil:
    """Name the pair of one layer after another module."""

    def change(found: dict[str, torch.Tensor]) -> None:
        for part in ("lora_A.weight", B):
            value = found.pop(A.replace("lora_A.weight", part))
            found[f"base_model.model.{module}.{part}"] = value

    return tensors(change)


def with_rank(rank: int) -> Spoil:
    def spoil(folder: Path) -> None:
        found = load_file(folder / WEIGHTS)
        for name, value in found.items():
            shape = (rank, value.shape[1]) if "lora_A" in name else (value.shape[0], rank)
            found[name] = torch.ones(shape) * 0.01
        save_file(found, folder / WEIGHTS)
        config(r=rank)(folder)

    return spoil


def written(name: str, content: str | bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def provenance(**content: Any) -> Spoil:
    return written(PROVENANCE, json.dumps(content))


def pickled(folder: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {folder}/exploded",)

    (folder / WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps({"a": Bomb()}))


def truncated(folder: Path) -> None:
    raw = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(raw[: len(raw) // 2])


def linked_out(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        outside = folder.parents[1] / f"outside-{folder.name}"
        shutil.copy(folder / name, outside)
        (folder / name).unlink()
        (folder / name).symlink_to(outside)

    return spoil


def set_value(value: float) -> Spoil:
    return tensors(lambda found: found[A].view(-1).__setitem__(0, value))


def cut(found: dict[str, torch.Tensor]) -> None:
    found[A] = found[A][:, :-1].clone()


def header_only(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((1 << 62).to_bytes(8, "little") + b"{}")


BAD: dict[str, tuple[Spoil, str]] = {
    "a value that is no number": (set_value(float("nan")), "finite"),
    "a value without end": (set_value(float("inf")), "finite"),
    "another inner width": (tensors(cut), ""),
    "a tensor too few": (tensors(lambda found: found.pop(A)), ""),
    "a tensor with a strange name": (tensors(lambda found: found.update({"x": torch.ones(1)})), "x"),
    "no tensors": (tensors(lambda found: found.clear()), ""),
    "one dimension": (tensors(lambda found: found.update({A: found[A].flatten()})), ""),
    "three dimensions": (tensors(lambda found: found.update({A: found[A][None]})), ""),
    "no rank at all": (tensors(lambda found: found.update({A: found[A][:0]})), ""),
    "numbers of 8 bits": (tensors(lambda found: found.update({A: found[A].to(torch.float8_e4m3fn)})), ""),
    "a layer that is not there": (moved("model.layers.99.self_attn.q_proj"), "layers.99"),
    "a module that is a norm": (moved("model.norm"), "model.norm"),
    "a module that is a block": (moved("model.layers.0"), "model.layers.0"),
    "the embedding": (moved("model.embed_tokens"), "embed_tokens"),
    "a rank above the limit": (with_rank(9), "9"),
    "r of a billion": (config(r=10**9), ""),
    "r below zero": (config(r=-4), ""),
    "r of nothing": (config(r=0), ""),
    "r that is a word": (config(r="4"), ""),
    "no r": (config(r=...), ""),
    "alpha without end": (written(CONFIG, '{"peft_type": "LORA", "r": 4, "lora_alpha": 1e999}'), ""),
    "alpha that leaves no finite number": (config(lora_alpha=1e308), "finite"),
    "alpha that is a list": (config(lora_alpha=[1]), ""),
    "a pattern of ranks that is none": (config(rank_pattern=[1]), ""),
    "a pattern of alphas that runs": (config(alpha_pattern={"(a+)+$": 1}), ""),
    "another kind": (config(peft_type="LOHA"), "LOHA"),
    "no kind": (config(peft_type=...), ""),
    "a kind that is a list": (config(peft_type=["LORA"]), ""),
    "a bias": (config(bias="all"), "bias"),
    "modules that are trained whole": (config(modules_to_save=["lm_head"]), "modules_to_save"),
    "a base that is changed at the start": (config(init_lora_weights="pissa"), "pissa"),
    "a config that is a list": (written(CONFIG, "[]"), ""),
    "a config that is no JSON": (written(CONFIG, "{"), ""),
    "a config that is no text": (written(CONFIG, b"\xff\xfe\x00"), ""),
    "a config that is deep": (written(CONFIG, "[" * 200_000), ""),
    "a pickle": (pickled, "pickle"),
    "a pickle under the name of the weights": (written(WEIGHTS, pickle.dumps({"a": 1})), ""),
    "half of a file": (truncated, ""),
    "an empty file": (written(WEIGHTS, b""), ""),
    "a header of exabytes": (header_only, ""),
    "weights that are a folder": (lambda f: [(f / WEIGHTS).unlink(), (f / WEIGHTS).mkdir()], ""),
    "weights by a link out of the root": (linked_out(WEIGHTS), "root"),
    "a config by a link out of the root": (linked_out(CONFIG), "root"),
    "another base": (provenance(base={"fingerprint": "sha256:other"}), "base"),
    "another template": (
        lambda f: [
            (f / "chat_template.jinja").write_text("{{ messages[0]['content'] }}"),
            provenance(fingerprints={"template": "sha256:other"})(f),
        ],
        "template",
    ),
    "a template that is no template": (written("chat_template.jinja", "{% for x in %}"), ""),
    "a template that is no text": (written("chat_template.jinja", b"\xff\xfe\xff"), ""),
    "a provenance of other shapes": (provenance(base=[1], fingerprints="x", config=3), ""),
    "a fingerprint that is a number": (provenance(base={"fingerprint": 5}), ""),
    "a system prompt that is a list": (provenance(config={"system_prompt": ["x"]}), ""),
    "too much for the memory": (
        tensors(lambda found: found.update({f"x{i}": torch.zeros(1 << 20) for i in range(4)})), "",
    ),
}  # fmt: skip


def load(server: Server, name: str, path: str) -> Any:
    with server.http(ADMIN) as http:
        return http.post("/admin/adapters", json={"name": name, "path": path})


@pytest.fixture
def folder(server: Server, adapters_dir: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A good adapter below the root, to be spoilt."""
    made = server.root / f"n{abs(hash(request.node.name)) % 10**9}"
    shutil.copytree(adapters_dir / "a0", made)
    yield made
    server.opened.face.service.store.remove("bad")


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_adapter_is_refused_in_words(server: Server, folder: Path, kind: str) -> None:
    spoil, word = BAD[kind]
    spoil(folder)
    answered = load(server, "bad", folder.name)
    assert answered.status_code == 400, answered.text
    error = answered.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) > 12
    assert word in error["message"]
    assert "bad" not in server.opened.face.service.store
    assert not (folder / "exploded").exists()
    assert server.engine.is_ready


def test_the_untouched_adapter_is_taken_and_answers(server: Server, folder: Path) -> None:
    made = load(server, "bad", folder.name)
    assert made.status_code == 201, made.text
    assert (made.json()["method"], made.json()["rank"]) == ("lora", 4)
    said = server.openai().completions.create(model="bad", prompt="劳动合同", max_tokens=4, temperature=0)
    assert said.choices[0].text


WHOLE = tensors(lambda found: found.update({A: torch.ones(found[A].shape, dtype=torch.int64)}))


@pytest.mark.parametrize(
    "spoil", [with_rank(8), WHOLE, config(target_modules="(a+)+$"), config(base_model_name_or_path="/etc")]
)
def test_what_only_looks_bad_is_taken(server: Server, folder: Path, spoil: Spoil) -> None:
    spoil(folder)
    assert load(server, "bad", folder.name).status_code == 201


def test_an_adapter_is_loaded_from_its_file_too(server: Server, folder: Path) -> None:
    assert load(server, "bad", f"{folder.name}/{WEIGHTS}").status_code == 201


def test_an_adapter_that_fits_the_base_by_its_fingerprint_is_taken(server: Server, folder: Path) -> None:
    from lora_scripts.models.text import base_fingerprint

    provenance(base={"fingerprint": base_fingerprint(BASE)})(folder)
    assert load(server, "bad", folder.name).status_code == 201


ASKED: dict[str, Any] = {"prompt": "劳动合同的试用期最长可以约定多久？", "max_tokens": 12, "temperature": 0}


def overflowing(server: Server, folder: Path) -> None:
    """Load an adapter whose numbers are finite and whose products are not."""
    tensors(lambda found: [value.fill_(1e18) for value in found.values()])(folder)
    assert load(server, "bad", folder.name).status_code in (201, 400)


def test_numbers_that_overflow_under_way_spoil_no_other_answer(server: Server, folder: Path) -> None:
    client = server.openai()
    right = client.completions.create(model="tiny-zh", **ASKED).choices[0].text
    overflowing(server, folder)
    with server.http() as http:
        for temperature in (0, 1):
            http.post("/v1/completions", json=ASKED | {"model": "bad", "temperature": temperature})
    for _ in range(3):
        assert client.completions.create(model="tiny-zh", **ASKED).choices[0].text == right
    assert server.back_to_rest()


def test_an_answer_that_is_no_number_is_not_tried_again(server: Server, folder: Path) -> None:
    overflowing(server, folder)
    for temperature in (0, 1):
        with server.http() as http:
            answered = http.post("/v1/completions", json=ASKED | {"model": "bad", "temperature": temperature})
        assert 400 <= answered.status_code < 500, answered.text
