"""Every config key is read by somebody: changed alone, it changes the run, its plan, or what is refused."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from calling import SAMPLE, Said, command, digest, metrics, pairs, write_rows
from transformers.models.llama.modeling_llama import LlamaMLP

import lora_scripts.assemble.run as run_room
from lora_scripts.assemble.outcome import Outcome
from lora_scripts.config import Config
from lora_scripts.config.picture_keys import PictureKeys
from lora_scripts.training.tasks import TextTask

MakeConfig = Callable[..., Path]
QUICK: dict[str, Any] = {"max_steps": 3, "save_steps": 2, "eval_ratio": 0, "eval_steps": None, "sample_questions": None}


@dataclass(frozen=True)
class Case:
    """Key ``key`` set to ``value`` over ``given``; one of ``changes`` must differ from the run without it."""

    key: str
    value: Any
    changes: str
    given: dict[str, Any] = field(default_factory=dict)
    whole: bool = False


WITH_VALIDATION = {"eval_ratio": 0.2, "eval_steps": 1, "sample_questions": [SAMPLE]}
CASES = [
    Case("train_data_dir", "few", "weights"),
    Case("metadata_path", "rows.csv", "weights"),
    Case("eval_data", "held_out", "plan", WITH_VALIDATION),
    Case("eval_ratio", 0.5, "plan"),
    Case("columns", {"question": "b", "answer": "a"}, "weights",
         {"metadata_path": "odd.csv", "columns": {"question": "a", "answer": "b"}}),
    Case("roles", {"user": ["乙"], "assistant": ["甲"]}, "weights",
         {"train_data_dir": "dialogue", "roles": {"user": ["甲"], "assistant": ["乙"]}}),
    Case("desensitize", "off", "weights", {"train_data_dir": "private"}),
    Case("desensitize_types", ["email"], "weights", {"train_data_dir": "private"}),
    Case("system_prompt", "你是律师", "plan"),
    Case("max_seq_length", 8, "code"),
    Case("too_long", "drop", "plan", {"train_data_dir": "mixed", "max_seq_length": 70, "too_long": "cut_prompt"}),
    Case("base_model", "OTHER", "weights"),
    Case("task_type", "image-generation", "code"),
    Case("preference_beta", 5.0, "weights", {"task_type": "preference", "train_data_dir": "preferences"}),
    Case("method", "rslora", "weights"),
    Case("quantization", "int8", "weights"),
    Case("lora_rank", 2, "weights"),
    Case("lora_alpha", 64, "weights"),
    Case("lora_dropout", 0.5, "weights"),
    Case("target_modules", "mlp", "weights"),
    Case("batch_size", 4, "plan"),
    Case("gradient_accumulation_steps", 1, "weights"),
    Case("epochs", 2, "plan", {"max_steps": None, "epochs": 1}),
    Case("max_steps", 4, "plan"),
    Case("learning_rate", 2e-2, "weights"),
    Case("lr_schedule", "linear", "weights"),
    Case("warmup_ratio", 0.5, "weights"),
    Case("lora_plus_ratio", 8, "weights"),
    Case("weight_decay", 0.5, "weights"),
    Case("max_grad_norm", 1e-8, "weights"),
    Case("seed", 7, "weights"),
    Case("precision", "fp16", "said"),
    Case("device", "cuda", "said"),
    Case("gradient_checkpointing", True, "layer_calls"),
    Case("shard", True, "said"),
    Case("log_steps", 3, "metrics"),
    Case("eval_steps", 3, "metrics", WITH_VALIDATION),
    Case("early_stopping_patience", 1, "checkpoints",
         {**WITH_VALIDATION, "max_steps": 8}),
    Case("coach", "stop", "checkpoints", {**WITH_VALIDATION, "max_steps": 16, "coach": "off"}),
    Case("folds", 2, "said", {"eval_ratio": 0.2, "max_steps": 1}),
    Case("sample_questions", ["工伤怎么办？"], "metrics", WITH_VALIDATION),
    Case("answer_rules", {"opening": "."}, "evaluation", {"eval_ratio": 0.2}, whole=True),
    Case("output_dir", "elsewhere", "run_dir"),
    Case("save_steps", 1, "checkpoints"),
    Case("save_total_limit", 1, "checkpoints", {"save_steps": 1, "save_total_limit": 0}),
    Case("resume_from_checkpoint", "auto", "said"),
    Case("replay", 1.0, "plan", {"resume_from_checkpoint": "EARLIER", "train_data_dir": "grown", "replay": 0}),
    Case("overwrite", True, "code", {"output_dir": "done"}),
]  # fmt: skip


def test_every_key_stands_in_the_table() -> None:
    """Those of pictures stand in the table of test_flow_pictures.py."""
    assert sorted(case.key for case in CASES) == sorted(set(Config.model_fields) - set(PictureKeys.model_fields))


@pytest.fixture
def world(tmp_path: Path, config: MakeConfig) -> MakeConfig:
    """The files that the cases name, and a finished run in ``done``."""
    write_rows(tmp_path / "few/a.txt", pairs(0, 12))
    write_rows(tmp_path / "held_out/a.txt", [("仲裁要多久？", "四十五日。"), ("调解收费吗？", "不收费。")])
    write_rows(tmp_path / "dialogue/a.txt", pairs(), user="甲", lawyer="乙")
    write_rows(tmp_path / "mixed/a.txt", [*pairs(), ("我" * 200 + "？", "请看第一条。")])
    write_rows(tmp_path / "private/a.txt", [*pairs(), ("我的电话13800138000，能登记吗？", "可以登记。")])
    for name, head in (("rows.csv", "question,answer"), ("odd.csv", "a,b")):
        lines = [head, *(f"{q},{a}" for q, a in pairs(0, 16))]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_rows(tmp_path / "grown/a.txt", [*pairs(), *((q + "（新）", a) for q, a in pairs(0, 8))])
    better = [{"prompt": q, "chosen": a, "rejected": a[:6] + "不清楚。"} for q, a in pairs()]
    (tmp_path / "preferences").mkdir()
    (tmp_path / "preferences/a.jsonl").write_text("\n".join(map(json.dumps, better)), encoding="utf-8")
    (tmp_path / "done").mkdir()
    (tmp_path / "done/proof.json").write_text('{"ok": true}')
    return config


def observe(file: Path, patch: pytest.MonkeyPatch, *, whole: bool) -> dict[str, Any]:
    """What can be seen of a run; ``whole`` goes on after the last step, which most keys have nothing to do with."""
    calls = 0
    forward = LlamaMLP.forward

    def counting(self: LlamaMLP, x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return forward(self, x)

    with patch.context() as patched:
        patched.setattr(LlamaMLP, "forward", counting)
        if not whole:
            end = Outcome(Path("out"), {"base": {}, "adapter": {}}, {"checks": []}, [])
            patched.setattr(run_room, "finish", lambda *a: end)
        said = command("train", file)
    run_dir = next((p for p in map(Path, ("elsewhere", "done", "out")) if (p / "run.yaml").exists()), None)
    seen: dict[str, Any] = {"code": said.code, "said": said.err.replace(str(file), ""), "run_dir": run_dir}
    if run_dir is None:
        return seen
    steps = sorted(p.name for p in run_dir.glob("checkpoint-*"))
    seen |= {"plan": json.loads((run_dir / "plan.json").read_text()), "metrics": metrics(run_dir), "checkpoints": steps}
    seen |= {"weights": digest(run_dir / "last/adapter_model.safetensors"), "layer_calls": calls}
    if whole:
        figures = json.loads((run_dir / "eval.json").read_text())
        seen["evaluation"] = {side: figures[side] for side in ("base", "adapter")}
    for folder in {run_dir, Path("out")} - {Path("done")}:
        folder.exists() and folder.rename(f"{folder}-{len(list(Path.cwd().iterdir()))}")
    return seen


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_a_key_that_is_changed_changes_the_run(
    case: Case, world: MakeConfig, other_base: Path, finished: tuple[Path, Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    if case.key == "device" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA; what the key does there is tested there")
    if case.key in ("early_stopping_patience", "coach"):  # a validation that never gets better
        losses = itertools.count(1)
        monkeypatch.setattr(TextTask, "evaluate", lambda *a: (float(next(losses)), 1))
    value = str(other_base) if case.value == "OTHER" else case.value
    given = {key: str(finished[0]) if its == "EARLIER" else its for key, its in case.given.items()}
    before = observe(world(**QUICK | given), monkeypatch, whole=case.whole)
    after = observe(world(**QUICK | given | {case.key: value}), monkeypatch, whole=case.whole)
    assert before["code"] == (2 if case.key == "overwrite" else 0), before["said"]
    expected_code = {"task_type": 2, "max_seq_length": 3}.get(case.key, 0)
    assert after["code"] == expected_code, after["said"]
    assert before[case.changes] != after[case.changes]
    if case.key == "gradient_checkpointing":
        assert after["weights"] == before["weights"], "less memory, not another result"
        recomputed = 3 * 2 * 2  # steps, micro-batches, layers
        assert after["layer_calls"] == before["layer_calls"] + recomputed
    if case.key in ("save_steps", "log_steps", "eval_steps", "save_total_limit"):
        assert after["weights"] == before["weights"], "watching and saving change nothing of what is learned"
