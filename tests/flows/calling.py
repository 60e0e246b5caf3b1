"""The commands as users call them, but inside this process, which saves a start of Python and of torch each time."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lora_scripts.cli import run_command

TOPICS = ("试用期", "加班费", "年休假", "工伤认定", "合同续签", "社保缴纳", "离职证明", "竞业限制")
FORMS = ("{}是怎么规定的？", "公司不给{}怎么办？", "{}的期限有多长？")
SAMPLE = "加班费怎么算？"
SETTINGS: dict[str, Any] = {
    "task_type": "text-generation", "lora_rank": 4, "lora_alpha": 8, "lora_dropout": 0.1,
    "target_modules": "all-linear", "batch_size": 2, "gradient_accumulation_steps": 2, "max_steps": 8,
    "learning_rate": 1e-2, "save_steps": 2, "eval_steps": 4, "eval_ratio": 0.2, "log_steps": 1, "device": "cpu",
    "sample_questions": [SAMPLE], "answer_rules": {"opening": "依据《[^》]+》"},
}  # fmt: skip


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Both streams."""
        return self.out + self.err


def command(*words: object) -> Said:
    """Run ``lora-scripts WORDS`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("HF_HUB_OFFLINE", "0")  # set, so that the command does not set it for the tests that follow
        patch.setenv("TOKENIZERS_PARALLELISM", "true")
        patch.setenv("LORA_SCRIPTS_LANG", "en")
        code = run_command([str(word) for word in words])
    said = Said(code, out.getvalue(), err.getvalue())
    assert "Traceback" not in said.words
    return said


def refused(said: Said, code: int, *words: str) -> None:
    """It ended with ``code``, said all of ``words``, and what to do next."""
    assert said.code == code, said.words
    for word in words:
        assert word in said.err
    assert "fix:" in said.err


def pairs(first: int = 0, last: int = 24) -> list[tuple[str, str]]:
    """Short consultations, no question twice."""
    asked = [form.format(topic) for form in FORMS for topic in TOPICS]
    return [(q, f"依据《示例法》第{n}条，应当在{n}日内办理。") for n, q in enumerate(asked, 1)][first:last]


def write_rows(file: Path, rows: Iterable[tuple[str, str]], user: str = "用户", lawyer: str = "律师") -> Path:
    """The rows as a transcript."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{user}：{q}\n{lawyer}：{a}\n\n" for q, a in rows), encoding="utf-8")
    return file


def write_config(file: Path, settings: dict[str, Any]) -> Path:
    """A config file; keys whose value is ``None`` are left out."""
    given = {key: value for key, value in settings.items() if value is not None}
    file.write_text(yaml.safe_dump(given, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return file


def digest(file: Path) -> str:
    """sha256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def contents(folder: Path) -> dict[str, str]:
    """Every file below ``folder`` with its sha256."""
    return {str(p.relative_to(folder)): digest(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def metrics(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what depends on the machine's mood."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    moods = ("tokens_per_second", "pictures_per_second", "memory_bytes")
    return [{key: value for key, value in line.items() if key not in moods} for line in lines]


def process(*words: object) -> list[str]:
    """The words that start the command in a process of its own."""
    return [sys.executable, "-c", "from lora_scripts.cli import main; main()", *map(str, words)]
