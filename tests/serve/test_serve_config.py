"""serve.yaml: what is wrong is told with its line, all at once, and the command ends with 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_scripts.config.serving import ServeConfig, load_serve_config
from lora_scripts.errors import ConfigError, LoraScriptsError
from tests.flows.calling import command
from tests.serve.conftest import BASE

GOOD = f"base_model: {BASE}\n"
WRONG: dict[str, tuple[str, int, str]] = {
    "an unknown key": ("prot: 8000", 2, "port"),
    "a key twice": ("port: 1\nport: 2", 3, "port"),
    "a port beyond": ("port: 65536", 2, "port"),
    "a port below": ("port: -1", 2, "port"),
    "a port in words": ("port: http", 2, "port"),
    "a quoted port": ('port: "8000"', 2, "port"),
    "a port that is true": ("port: true", 2, "port"),
    "another engine": ("engine: fast", 2, "paged"),
    "another device": ("device: tpu", 2, "device"),
    "another quantisation": ("quantization: int3", 2, "nf4"),
    "no memory": ("kv_cache_gib: 0", 2, "kv_cache_gib"),
    "memory below zero": ("adapter_memory_gib: -1", 2, "adapter_memory_gib"),
    "memory without end": ("kv_cache_gib: .inf", 2, "kv_cache_gib"),
    "memory that is no number": ("kv_cache_gib: .nan", 2, "kv_cache_gib"),
    "a rank of nothing": ("max_lora_rank: 0", 2, "max_lora_rank"),
    "a rank beyond": ("max_lora_rank: 1000000000", 2, "max_lora_rank"),
    "no requests": ("max_requests: 0", 2, "max_requests"),
    "half a request": ("max_requests: 1.5", 2, "max_requests"),
    "adapters as a list": ("adapters: [a, b]", 2, "adapters"),
    "adapters as a word": ("adapters: ./a", 2, "adapters"),
    "an adapter that is a mapping": ("adapters:\n  a: {path: x}", 3, "a"),
    "an adapter twice": ("adapters:\n  a: x\n  a: y", 4, "a"),
    "stacks as a list": ("stacks:\n  mix: [a, b]", 3, "mix"),
    "a weight in words": ("stacks:\n  mix:\n    a: heavy", 3, "heavy"),
    "a client without a key": ("api_keys:\n  a: {adapters: [x]}", 3, "key"),
    "a client with two keys": (f"api_keys:\n  a: {{key: x, sha256: {'0' * 64}}}", 3, "key"),
    "a client that is a word": ("api_keys:\n  a: secret", 3, "a"),
    "a client with an unknown key": ("api_keys:\n  a: {key: x, rpm: 3}", 3, "rpm"),
    "a hash that is none": ("api_keys:\n  a: {sha256: abc}", 3, "sha256"),
    "a limit of nothing": ("api_keys:\n  a: {key: x, requests_per_minute: 0}", 3, "requests_per_minute"),
    "adapters of a client as a word": ("api_keys:\n  a: {key: x, adapters: a0}", 3, "adapters"),
    "an admin key itself": ("admin_key: secret", 2, "admin_key_sha256"),
    "an admin hash that is none": ("admin_key_sha256: secret", 2, "admin_key_sha256"),
    "a wide colon": ("port：8000", 2, "port"),
    "a tab": ("adapters:\n\ta: x", 3, ""),
    "an anchor": ("adapters: &a {x: y}", 2, "&a"),
    "a tag": ("host: !!python/object:os.system x", 2, "python"),
    "brackets": ("routes: " + "[" * 20, 2, ""),
    "words that are not kept without a log": ("audit_raw_text: true", 2, "audit_log"),
    "servers of another engine": ("vllm: [http://127.0.0.1:9]", 2, "vllm"),
}


def problems(tmp_path: Path, source: str | bytes, **values: Any) -> list[Any]:
    file = tmp_path / "serve.yaml"
    file.write_bytes(source.encode() if isinstance(source, str) else source)
    with pytest.raises(ConfigError) as caught:
        load_serve_config(file, values)
    assert caught.value.exit_code == 2
    return list(caught.value.problems)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, name: str) -> None:
    source, line, word = WRONG[name]
    found, *more = problems(tmp_path, GOOD + source + "\n")
    assert not more or name == "a tab"  # behind it, what the line without it names is looked at too
    assert found.where == f"{tmp_path}/serve.yaml:{line}"
    assert word in found.text + found.fix
    assert found.fix


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    source = "prot: 1\nengine: fast\nmax_requests: 0\napi_keys:\n  a: {adapters: [x]}\n  b: {key: x, rpm: 1}\nprot: 2\n"
    lines = [int(p.where.rpartition(":")[2]) for p in problems(tmp_path, GOOD + source)]
    assert sorted(lines) == [2, 3, 4, 6, 7, 8]


def test_a_missing_base_hides_nothing_else(tmp_path: Path) -> None:
    found = problems(tmp_path, "prot: 1\nengine: fast\n")
    assert len(found) == 3
    assert any("base_model" in p.text for p in found)


@pytest.mark.parametrize(
    "source",
    ["", "# nothing\n", "- a\n", "words", b"\x00\x01", b"\xff" * 10, "a: 1\n---\nb: 2\n", "x: " + "y" * 70_000],
)
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, source: str | bytes) -> None:
    assert problems(tmp_path, source)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for missing in (tmp_path / "nowhere.yaml", tmp_path):
        with pytest.raises(ConfigError):
            load_serve_config(missing, {})


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"engine": "fast"}, "engine"),
        ({"device": "tpu"}, "device"),
        ({"port": 70_000}, "port"),
        ({"base_model": ""}, "base_model"),
        ({"adapters": {"": "x"}}, "adapters"),
        ({"host": ""}, "host"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_told_too(tmp_path: Path, values: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_serve_config(None, {"base_model": str(BASE)} | values)
    assert word in str(caught.value)
    assert any(word in str(p) for p in problems(tmp_path, GOOD, **values))


def test_the_command_line_wins_and_adds_adapters(tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(GOOD + "port: 1\nadapters:\n  a: x\n  b: y\nhost: 127.0.0.1\nengine:\n", encoding="utf-8")
    loaded = load_serve_config(file, {"port": 2, "adapters": {"b": "z", "c": "w"}, "host": None})
    config = loaded.config
    assert (config.port, config.host, config.engine) == (2, "127.0.0.1", "auto")
    assert config.adapters == {"a": "x", "b": "z", "c": "w"}
    assert loaded.where["port"] == f"{file}:2"


def test_numbers_are_numbers_and_words_stay_words(tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(
        "base_model: 2024\nkv_cache_gib: 1e-1\nstacks:\n  mix: {a: 1, b: -5e-1}\nadapters:\n  a: 007\n",
        encoding="utf-8",
    )
    config = load_serve_config(file, {}).config
    assert (config.base_model, config.kv_cache_gib) == ("2024", 0.1)
    assert config.stacks == {"mix": {"a": 1.0, "b": -0.5}}
    assert config.adapters == {"a": "007"}


LINES = st.lists(
    st.tuples(
        st.sampled_from([*ServeConfig.model_fields, "x", ""]),
        st.sampled_from(["", "1", "-1", "true", "a", "[a]", "{a: b}", "{a: {key: b}}", "null", "'", "[", "1e999", "~"]),
    ),
    max_size=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES)
def test_any_file_is_read_or_refused_in_words(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text("".join(f"{key}: {value}\n" for key, value in rows), encoding="utf-8")
    try:
        load_serve_config(file, {})
    except LoraScriptsError as error:
        told = error
        assert told.problems


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("serve",), "base_model"),
        (("serve", "--base-model", "./nowhere"), "nowhere"),
        (("serve", "--base-model", BASE, "--adapter", "a0"), "a0"),
        (("serve", "--base-model", BASE, "--adapter", "a0=./nowhere", "--adapter", "a1=./nothing"), "nothing"),
        (("serve", "--base-model", BASE, "--adapter", "a/b=./nowhere"), "a/b"),
        (("serve", "--base-model", BASE, "--host", "0.0.0.0"), "LORA_SCRIPTS_API_KEY"),
        (("serve", "--base-model", BASE, "--engine", "fast"), "engine"),
        (("serve", "--base-model", BASE, "--port", "99999"), "65535"),
        (("serve", "./nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_the_command_refuses_with_2(words: tuple[Any, ...], told: str) -> None:
    said = command(*words)
    assert said.code == 2, said.words
    assert told in said.err


def test_the_command_tells_the_line(tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(GOOD + "adapters: {}\nstacks:\n  mix: {nobody: 1}\n", encoding="utf-8")
    said = command("serve", file)
    assert said.code == 2, said.words
    assert "nobody" in said.err
    assert f"{file}:4" in said.err
