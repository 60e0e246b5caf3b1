"""Base and adapter on the same questions: eval.json, and the sheet that an expert ticks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from peft import PeftModel

from lora_scripts.assemble.text import increment
from lora_scripts.assemble.text.corrections import keep_edited_sheet
from lora_scripts.assemble.text.parts import QUESTIONS_ASKED, Inputs
from lora_scripts.assemble.text.records import question_prompt
from lora_scripts.assemble.text.survey import LARGE, masked_pairs
from lora_scripts.config import Config
from lora_scripts.data.records import Message, Record
from lora_scripts.data.split import TRAINING
from lora_scripts.evaluate.answers import answer
from lora_scripts.evaluate.copying import training_text
from lora_scripts.evaluate.leak import leaks, probes
from lora_scripts.evaluate.report import comparison
from lora_scripts.evaluate.sheet import figure_rows, markdown_sheet, rule_words
from lora_scripts.evaluate.sheet_page import html_sheet
from lora_scripts.messages import text
from lora_scripts.training.run_dir import write_json, write_whole

PROBES = 30
PROBE_TOKENS = 48
SHOWN = 3


def compare_answers(
    config: Config, inputs: Inputs, model: PeftModel, attention: str, losses: dict[str, float | None]
) -> dict[str, Any]:
    """Base and adapter on the same held-out questions, the first ``QUESTIONS_ASKED``: the content of eval.json."""
    records = inputs.rendered.questions[:QUESTIONS_ASKED]
    asked = [_conversation(record) for record in records]
    longest = max((sum(d.loss_mask) for d in inputs.rendered.validation), default=0)
    probed = probes(_masked(config, inputs), PROBES, config.seed)

    def ask(messages: Sequence[Message], prefix: str = "") -> list[int]:
        opening = inputs.tokenizer(prefix, add_special_tokens=False)["input_ids"] if prefix else []
        return [*question_prompt(messages, inputs.tokenizer, config.system_prompt), *opening]

    def answers() -> tuple[list[str], list[str]]:
        settings: dict[str, Any] = {"attention": attention, "stop_ids": inputs.rendered.form.stop_ids}
        base = model.get_base_model()
        most = min(256, max(8, longest * 5 // 4))
        given = answer(base, inputs.tokenizer, [ask(m) for m in asked], max_new_tokens=most, **settings)
        prompts = [ask(probe.messages, probe.prefix) for probe in probed]
        return given, answer(base, inputs.tokenizer, prompts, max_new_tokens=PROBE_TOKENS, **settings)

    after, after_probes = answers()
    with model.disable_adapter():
        before, before_probes = answers()
    found = {"base": leaks(probed, before_probes), "adapter": leaks(probed, after_probes)}
    evaluation = comparison(
        questions=[(r.source, r.question, r.answer) for r in records],
        base_answers=before,
        adapter_answers=after,
        losses=losses,
        rules=config.house_rules,
        prompts=asked,
        training=training_text(_answers(inputs)) if records else None,
        leaks=found if probed else None,
    )
    if config.task_type == "preference":  # its loss is of pairs, not of tokens
        for side in ("base", "adapter"):
            evaluation[side].pop("perplexity", None)
    return evaluation


def _conversation(record: Record) -> tuple[Message, ...]:
    last = max(i for i, message in enumerate(record.messages) if message.role == "assistant")
    return record.messages[:last]


def _answers(inputs: Inputs) -> Iterator[str]:
    return (m.content for record in inputs.rows.of(TRAINING) for m in record.messages if m.role == "assistant")


def _masked(config: Config, inputs: Inputs) -> Iterator[tuple[Record, Record]]:
    """Records as read and as trained, where personal data were masked; of a large set the first ones."""
    if not inputs.rows.ledger.personal_counts or config.desensitize not in ("mask", "pseudonym"):
        return iter(())
    return islice(masked_pairs(config), LARGE)


def write_evaluation(run_dir: Path, evaluation: dict[str, Any]) -> list[str]:
    """eval.json, and the same as a sheet for the expert to tick: eval.md and eval.html; lines for the user."""
    kept = keep_edited_sheet(run_dir)
    write_json(run_dir / "eval.json", evaluation)
    write_whole(run_dir / "eval.md", markdown_sheet(evaluation))
    write_whole(run_dir / "eval.html", html_sheet(evaluation))
    return [kept] if kept else []


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
    told = {text("evaluate.figure.loss"), text("evaluate.figure.perplexity"), rule_words("opening")}
    for name, base, adapter in figure_rows(evaluation) if asked else ():
        if name not in told:
            lines.append(text("run.result_figure", name=name, before=base, after=adapter))
    if after.get("pairs_preferred") is not None:
        lines.append(text("run.result_pairs", share=after["pairs_preferred"]))
    if "incremental" in evaluation:
        lines += increment.result_lines(evaluation["incremental"])
    for shown in evaluation["answers"][:SHOWN]:
        lines += ["", text("run.asked", question=shown["question"])]
        before_words, after_words = (" ".join(shown[side].split()) for side in ("base", "adapter"))
        lines += [text("run.before", answer=before_words), text("run.after", answer=after_words)]
    return lines
