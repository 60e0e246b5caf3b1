"""The command that starts vLLM: its limits, its paths, and adapters that vLLM would serve wrongly."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lora_scripts.adapters.files import CONFIG_FILE, WEIGHTS_FILE
from lora_scripts.errors import ModelError
from lora_scripts.export.vllm import RANKS, allowed_rank


@pytest.mark.parametrize(("rank", "limit"), [(1, 8), (8, 8), (9, 16), (100, 128), (257, 320), (512, 512)])
def test_the_rank_limit_is_the_smallest_that_holds_the_rank(rank: int, limit: int) -> None:
    assert allowed_rank(rank) == limit


def test_the_script_starts_vllm_with_paths_that_exist(
    adapter_of: Callable[..., Path], base_of: Callable[..., Path], exported: Any, tmp_path: Path
) -> None:
    result, _ = exported(adapter_of("llama"), "vllm", output=tmp_path / "a place" / "vllm")
    fake = tmp_path / "bin" / "vllm"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done\n')
    fake.chmod(0o755)
    done = subprocess.run(
        [str(result.folder / "serve.sh"), "--port", "8001"],
        capture_output=True, text=True, check=True, env={**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    words = done.stdout.splitlines()
    assert words[:3] == ["serve", str(base_of("llama").resolve()), "--enable-lora"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    name, _, place = options.pop("--lora-modules").partition("=")
    assert name == "adapter" and (Path(place) / WEIGHTS_FILE).is_file()
    assert "im_start" in Path(options.pop("--chat-template")).read_text()
    assert options == {"--max-loras": "1", "--max-lora-rank": "8", "--max-model-len": "512", "--port": "8001"}
    assert int(options["--max-lora-rank"]) in RANKS


@pytest.mark.parametrize("method", ["dora", "ia3"])
def test_methods_that_vllm_lacks_are_refused(method: str, adapter_of: Callable[..., Path], exported: Any) -> None:
    with pytest.raises(ModelError, match="vLLM"):
        exported(adapter_of("llama", method), "vllm")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("alpha_pattern", {"q_proj": 16}, "alpha_pattern, which vLLM"),
        ("rank_pattern", {"q_proj": 4}, "rank_pattern, which vLLM"),
        ("r", 1024, "rank 1024 is above"),
        ("modules_to_save", ["lm_head"], "modules_to_save"),
    ],
)
def test_what_vllm_would_read_wrongly_is_refused(
    key: str, value: Any, said: str, adapter_of: Callable[..., Path], exported: Any
) -> None:
    adapter = adapter_of("llama")
    config = json.loads((adapter / CONFIG_FILE).read_text())
    config |= {"rank_pattern": {".*": 4}} if key == "r" else {}
    (adapter / CONFIG_FILE).write_text(json.dumps(config | {key: value}))
    with pytest.raises(ModelError, match=said if key != "r" else "rank_pattern"):
        exported(adapter, "vllm")
