"""Fetching from a hub, against a small server that speaks the Hugging Face hub's protocol on this machine."""

import hashlib
import json
import sys
import threading
import types
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lora_scripts.errors import LoraScriptsError, ModelError, UsageError
from lora_scripts.models import hub
from lora_scripts.models.hub import get_hub
from lora_scripts.models.text import load_model, load_tokenizer

COMMIT = "a" * 40


class Hub:
    """What the server holds, what it was asked for, and how it misbehaves."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []
        self.status = 200
        self.breaks: dict[str, list[int]] = {}  # file → after how many bytes its next connections break
        self.ranges: list[str] = []

    def handler(self) -> type[BaseHTTPRequestHandler]:
        hub_of_test = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def answer(self, body: bool) -> None:
                path = self.path.partition("?")[0]
                name = path.rpartition(f"/resolve/{COMMIT}/")[2] if "/resolve/" in path else ""
                if hub_of_test.status != 200 or not path.startswith(("/api/models/org/tiny", "/org/tiny/")):
                    code = {200: "RepoNotFound", 403: "GatedRepo"}.get(hub_of_test.status, "")
                    self.reply(404 if hub_of_test.status == 200 else hub_of_test.status, b"", {"X-Error-Code": code})
                elif name:
                    self.file(name, body)
                elif "/tree/" in path:
                    entries = [
                        {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                        for name, data in hub_of_test.files.items()
                    ]
                    self.reply(200, json.dumps(entries).encode())
                else:
                    siblings = [{"rfilename": name, "size": len(data)} for name, data in hub_of_test.files.items()]
                    card = {"license": "mit"}
                    info = {"id": "org/tiny", "sha": COMMIT, "siblings": siblings, "cardData": card}
                    self.reply(200, json.dumps(info).encode())

            def file(self, name: str, body: bool) -> None:
                data = hub_of_test.files[name]
                headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
                start = 0
                if body:
                    hub_of_test.asked.append(name)
                    if wanted := self.headers.get("Range"):
                        hub_of_test.ranges.append(wanted)
                        start = int(wanted.removeprefix("bytes=").partition("-")[0])
                        headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
                breaks = hub_of_test.breaks.get(name) if body else None
                cut = breaks.pop() if breaks else None
                self.reply(206 if start else 200, data[start:], headers, body, cut)

            def reply(
                self, status: int, data: bytes, headers: dict[str, str] | None = None, body: bool = True,
                cut: int | None = None,
            ) -> None:  # fmt: skip
                self.send_response(status)
                for key, value in ({"Content-Length": str(len(data))} | (headers or {})).items():
                    self.send_header(key, value)
                self.end_headers()
                if body:
                    self.wfile.write(data if cut is None else data[:cut])
                if cut is not None:
                    self.wfile.flush()
                    self.close_connection = True

            def log_message(self, *args: object) -> None:
                pass

        return Handler


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A whole small model, with what must not be fetched beside it."""
    folder = tmp_path_factory.mktemp("made")
    config = LlamaConfig(vocab_size=8, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
    LlamaForCausalLM(config).save_pretrained(folder)
    words = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(["a", "b", "c", "d", "e", "f", "<unk>", "</s>"])}, "<unk>")
    )
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", unk_token="<unk>").save_pretrained(folder)
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    unwanted = ["pytorch_model.bin", "modeling_evil.py", "consolidated.safetensors", "onnx/model.json", "tf_model.h5"]
    return found | dict.fromkeys(unwanted, b"never fetched")


@pytest.fixture
def server(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that HF_ENDPOINT points to, as users point to a mirror."""
    held = Hub(dict(files))
    http = ThreadingHTTPServer(("127.0.0.1", 0), held.handler())
    threading.Thread(target=http.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{http.server_port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # its pauses between tries
    yield held
    http.shutdown()
    http.server_close()


def get(models_dir: Path, **more: str) -> Path:
    return get_hub("org/tiny", models_dir, tell=lambda line: None, **more)


def refused(models_dir: Path, name: str = "org/tiny", kind: type[LoraScriptsError] = ModelError, **more: str) -> str:
    with pytest.raises(kind) as error:
        get_hub(name, models_dir, tell=lambda line: None, **more)
    assert error.value.exit_code == 2
    assert all(problem.fix for problem in error.value.problems)
    assert not (models_dir / name.rpartition("/")[2]).exists()
    return str(error.value)


def test_a_model_is_fetched_whole_without_pickles_and_code(
    server: Hub, files: dict[str, bytes], tmp_path: Path
) -> None:
    said: list[str] = []
    folder = get_hub("org/tiny", tmp_path, tell=said.append)
    assert folder == tmp_path / "tiny"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    got = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert got == {name: data for name, data in files.items() if data != b"never fetched"}
    assert sorted(server.asked) == sorted(got)
    assert "licence mit" in said[0]
    assert load_tokenizer(folder)("b").input_ids == [1]
    assert load_model(folder, dtype=torch.float32, device="cpu").config.hidden_size == 64
    with pytest.raises(UsageError, match="already there"):
        get(tmp_path)


def test_a_broken_connection_is_taken_up_where_it_broke(
    server: Hub, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # what it keeps is whole chunks
    server.breaks["model.safetensors"] = [5000]
    folder = get(tmp_path)
    assert server.ranges == ["bytes=5000-"]
    assert (folder / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_a_download_that_failed_goes_on_with_the_file_that_is_not_whole(
    server: Hub, files: dict[str, bytes], tmp_path: Path
) -> None:
    server.breaks["model.safetensors"] = [0] * 50
    assert "run it again: files that are whole are kept" in refused(tmp_path)
    server.breaks.clear()
    server.asked.clear()
    folder = get(tmp_path)
    assert server.asked == ["model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_model_with_pickles_only_is_refused_before_anything_is_fetched(server: Hub, tmp_path: Path) -> None:
    del server.files["model.safetensors"]
    assert "no safetensors weights on huggingface (found: .bin)" in refused(tmp_path)
    assert not server.asked
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"auto_map": {"AutoModel": "x.X"}, "model_type": "chatglm"}, "org/tiny: the model (chatglm) runs Python code"),
        ({"architectures": ["BertForMaskedLM"]}, "org/tiny/config.json: not a causal language model"),
    ],
)
def test_what_cannot_be_used_is_refused_before_its_weights_are_fetched(
    server: Hub, tmp_path: Path, values: dict[str, object], words: str
) -> None:
    server.files["config.json"] = json.dumps(json.loads(server.files["config.json"]) | values).encode()
    assert words in refused(tmp_path)
    assert "model.safetensors" not in server.asked
    assert not list(tmp_path.iterdir())


def test_damaged_weights_are_not_kept(server: Hub, tmp_path: Path) -> None:
    server.files["model.safetensors"] = server.files["model.safetensors"][:-50]
    assert "org/tiny/model.safetensors: the file is cut short" in refused(tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_unknown_model_a_gated_one_and_a_sick_server_are_told_apart(server: Hub, tmp_path: Path) -> None:
    assert "huggingface has no model org/other" in refused(tmp_path, "org/other")
    server.status = 403
    assert "accept its terms" in refused(tmp_path)
    server.status = 500
    assert "huggingface did not give org/tiny" in refused(tmp_path)


def test_without_a_network_it_is_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    words = refused(tmp_path)
    assert "huggingface did not give org/tiny" in words
    assert "HF_ENDPOINT" in words
    assert not list(tmp_path.iterdir())


def test_a_disk_too_small_stops_before_the_download(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "free_megabytes", lambda folder: -1)
    assert "disk is full" in refused(tmp_path)
    assert not server.asked


def test_wrong_names_and_sources_are_refused(tmp_path: Path) -> None:
    for name in ("../evil", "a/b/c", "org/..", "org", "/etc"):
        with pytest.raises(UsageError, match="ORG/NAME"):
            get_hub(name, tmp_path)
    with pytest.raises(UsageError, match="huggingface, modelscope"):
        get_hub("org/tiny", tmp_path, source="elsewhere")


def test_modelscope_is_asked_for_the_same_files(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its library is an optional one; this stands in for it and checks what it is asked for."""
    from fnmatch import fnmatch

    def snapshot_download(
        model_id: str, *, local_dir: str, allow_patterns: list[str], ignore_patterns: list[str]
    ) -> str:
        for name, data in files.items():
            wanted = any(fnmatch(name, pattern) for pattern in allow_patterns)
            if wanted and not any(fnmatch(name, pattern) for pattern in ignore_patterns):
                (Path(local_dir) / name).write_bytes(data)
        return local_dir

    module = types.ModuleType("modelscope")
    module.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "modelscope", module)
    folder = get(tmp_path, source="modelscope")
    assert {path.name for path in folder.iterdir()} == {n for n, data in files.items() if data != b"never fetched"}
    monkeypatch.setitem(sys.modules, "modelscope", None)
    assert "pip install 'lora-scripts[modelscope]'" in refused(tmp_path / "other", source="modelscope")
