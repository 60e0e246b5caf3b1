"""The end of a run: the best adapter into files, before and after, the proof."""

from __future__ import annotations

import gc
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from rich.console import Console

from lora_scripts.adapters.files import WEIGHTS_FILE, adapter_tensors, config_text, restore_adapter, write_adapter
from lora_scripts.adapters.provenance import card, provenance
from lora_scripts.assemble.parts import Inputs, Parts
from lora_scripts.assemble.records import prompt_of
from lora_scripts.config import Config
from lora_scripts.data.render import Document
from lora_scripts.data.split import TRAINING
from lora_scripts.errors import ProofError
from lora_scripts.evaluate.answers import answer
from lora_scripts.evaluate.prove import Check, logits_of, proof_of, prove
from lora_scripts.evaluate.report import comparison
from lora_scripts.messages import text
from lora_scripts.models.text import load_model, load_tokenizer
from lora_scripts.training.checkpoint import PREFIX, read_tensors, sha256_of
from lora_scripts.training.log import peak_memory_bytes
from lora_scripts.training.run_dir import PROOF
from lora_scripts.training.state import RunState

QUESTIONS_ASKED = 30
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: its folder, eval.json's content, proof.json's content."""

    run_dir: Path
    evaluation: dict[str, Any]
    proof: dict[str, Any]


def finish(config: Config, inputs: Inputs, parts: Parts, state: RunState, run_dir: Path, console: Console) -> Outcome:
    """Write the adapter of the best checkpoint, compare it with the base, prove it from the disk.

    Raises:
        ProofError: The adapter on the disk does not do what training did.
    """

    def say(key: str, **values: object) -> None:
        console.print(text(key, **values), markup=False, highlight=False, soft_wrap=True)

    if state.best_step not in (0, state.step):
        restore_adapter(parts.model, read_tensors(run_dir / f"{PREFIX}{state.best_step}", WEIGHTS_FILE))
        say("run.best_taken", step=state.best_step, steps=state.step, loss=state.best_loss)
    if state.best_loss is not None and state.first_loss is not None and state.best_loss >= state.first_loss:
        say("run.no_gain", first=state.first_loss, best=state.best_loss)
    write_adapter(run_dir, adapter_tensors(parts.model), config_text(parts.model))
    inputs.tokenizer.chat_template = inputs.rendered.form.template
    inputs.tokenizer.save_pretrained(run_dir)

    if inputs.rendered.questions:
        say("run.comparing", count=min(QUESTIONS_ASKED, len(inputs.rendered.questions)))
    losses = {"base": state.first_loss, "adapter": state.best_loss}
    evaluation = compare_answers(config, inputs, parts.model, parts.attention, losses)
    write_json(run_dir / "eval.json", evaluation)

    document = min(inputs.rendered.training, key=lambda d: len(d.input_ids))
    parts.base.set_attn_implementation(parts.attention)
    ours = logits_of(parts.model, document.input_ids)
    peak = peak_memory_bytes()
    plan = parts.plan
    parts.model = parts.base = parts.task = None  # type: ignore[assignment]  # room for the fresh base
    gc.collect()
    say("run.proving")
    proof = proof_of(proof_checks(config, inputs, document, ours, run_dir))
    record = provenance(
        name=run_dir.name,
        base={"path": config.base_model, "fingerprint": inputs.fingerprints["base"]},
        fingerprints=inputs.fingerprints,
        weights_sha256=sha256_of(run_dir / WEIGHTS_FILE),
        config=config.model_dump(mode="json"),
        plan=plan.to_json(),
        result={
            "base validation loss": state.first_loss,
            "validation loss": state.best_loss,
            "steps taken": state.step,
            "step of this adapter": state.best_step or state.step,
            "peak memory bytes": peak,
        },
    )
    write_json(run_dir / "provenance.json", record)
    (run_dir / "README.md").write_text(card(record), encoding="utf-8")
    write_json(run_dir / PROOF, proof)
    if not proof["ok"]:
        failed = ", ".join(f"{c['name']} ({c['value']:.3g}, {c['bound']:.3g})" for c in proof["checks"] if not c["ok"])
        raise ProofError("run.not_proven", where=run_dir / PROOF, failed=failed)
    return Outcome(run_dir, evaluation, dict(proof))


def write_json(path: Path, values: Any) -> None:
    """Write JSON whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)


def compare_answers(
    config: Config, inputs: Inputs, model: PeftModel, attention: str, losses: dict[str, float | None]
) -> dict[str, Any]:
    """Base and adapter on the same held-out questions, the first ``QUESTIONS_ASKED``: the content of eval.json."""
    records = inputs.rendered.questions[:QUESTIONS_ASKED]
    prompts = [prompt_of(record, inputs.tokenizer, config.system_prompt) for record in records]
    longest = max((sum(d.loss_mask) for d in inputs.rendered.validation), default=0)
    settings: dict[str, Any] = {
        "attention": attention,
        "stop_ids": inputs.rendered.form.stop_ids,
        "max_new_tokens": min(256, max(8, longest * 5 // 4)),
    }
    base = model.get_base_model()
    after = answer(base, inputs.tokenizer, prompts, **settings)
    with model.disable_adapter():
        before = answer(base, inputs.tokenizer, prompts, **settings)
    return comparison(
        questions=[(r.source, r.question, r.answer) for r in records],
        base_answers=before,
        adapter_answers=after,
        losses=losses,
        rules={str(k): v for k, v in (config.answer_rules or {}).items()},
    )


def proof_checks(config: Config, inputs: Inputs, document: Document, ours: torch.Tensor, run_dir: Path) -> list[Check]:
    """The checks of proof.json, with the tokenizer that a server would load from the adapter's folder."""
    record = next(r for r in inputs.rows.of(TRAINING) if r.source == document.source)
    fresh = load_tokenizer(run_dir)
    sent = prompt_of(record, fresh, config.system_prompt)
    return prove(
        run_dir,
        lambda: load_model(inputs.base, dtype=inputs.weights, device=inputs.device),
        document.input_ids,
        ours,
        tolerance=1e-4 if inputs.weights == torch.float32 else 5e-2,
        training_prompt=inputs.tokenizer.decode(document.input_ids[: _learned_from(document)]),
        chat_prompt=fresh.decode(sent),
    )


def _learned_from(document: Document) -> int:
    """Index of the first token of the last learned stretch: the end of the last prompt."""
    mask = document.loss_mask
    end = len(mask) - mask[::-1].index(True)
    return next((i + 1 for i in range(end - 1, -1, -1) if not mask[i]), 0)


def evaluation_lines(evaluation: dict[str, Any]) -> list[str]:
    """Scores, and the first answers before and after."""
    before, after = evaluation["base"], evaluation["adapter"]
    lines = []
    if after.get("loss") is not None and before.get("loss"):
        change = (after["loss"] / before["loss"] - 1) * 100
        lines.append(text("run.result_loss", before=before["loss"], after=after["loss"], change=change))
    asked = evaluation["questions_asked"]
    if asked and "house_form" in after:
        lines.append(text("run.result_form", before=before["house_form"], after=after["house_form"], asked=asked))
    for shown in evaluation["answers"][:SHOWN]:
        lines += ["", text("run.asked", question=shown["question"])]
        before_words, after_words = (" ".join(shown[side].split()) for side in ("base", "adapter"))
        lines += [text("run.before", answer=before_words), text("run.after", answer=after_words)]
    return lines


def result_lines(outcome: Outcome) -> list[str]:
    """What the user reads at the end: scores, answers before and after, where things are."""
    proven = text("run.proven", count=len(outcome.proof["checks"]))
    lines = [*evaluation_lines(outcome.evaluation), "", proven, text("run.where", folder=outcome.run_dir)]
    return [*lines, text("run.try_it", folder=outcome.run_dir)]
