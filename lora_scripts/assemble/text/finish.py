"""The end of a run: the best adapter into files, before and after, the proof."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from lora_scripts.adapters.files import WEIGHTS_FILE, adapter_tensors, config_text, restore_adapter, write_adapter
from lora_scripts.adapters.provenance import card
from lora_scripts.assemble.adapters import used_lines
from lora_scripts.assemble.outcome import Outcome, close, proven_line
from lora_scripts.assemble.start import Start
from lora_scripts.assemble.text.compare import (
    compare_answers,
    evaluation_lines,
    write_evaluation,
)
from lora_scripts.assemble.text.corrections import correct_lines, report_lines
from lora_scripts.assemble.text.increment import measure, result_of
from lora_scripts.assemble.text.parts import QUESTIONS_ASKED, Inputs, Parts
from lora_scripts.assemble.text.records import prompt_of
from lora_scripts.config import Config
from lora_scripts.data.render import Document, halves
from lora_scripts.data.split import TRAINING
from lora_scripts.evaluate.prove import Proof, logits_of, prove
from lora_scripts.invocation import command
from lora_scripts.messages import text
from lora_scripts.models.text import load_model, load_tokenizer
from lora_scripts.training.allocator import give_back_freed_memory
from lora_scripts.training.checkpoint import PREFIX, read_tensors
from lora_scripts.training.log import say
from lora_scripts.training.preference import PreferenceTask
from lora_scripts.training.state import RunState


def finish(
    config: Config, start: Start[Inputs], parts: Parts, state: RunState, run_dir: Path, console: Console
) -> Outcome:
    """Write the adapter of the best checkpoint, compare it with the base, prove it from the disk.

    Raises:
        ProofError: The adapter on the disk does not do what training did.
    """

    inputs, plan, held = start.inputs, parts.plan, parts.held
    write_best(start, parts, state, run_dir, console)
    evaluation = _evaluate(config, start, parts, state, run_dir, console)
    document = shortest(config, start)
    parts.base.set_attn_implementation(parts.attention)
    ours = logits_of(parts.model, document.input_ids)
    parts.model = parts.base = parts.task = None  # type: ignore[assignment]  # room for the fresh base
    gc.collect()
    give_back_freed_memory()
    say(console, text("run.proving"))
    proven = proof_checks(config, inputs, document, ours, run_dir)
    proof = close(
        config, inputs, plan, held, state, run_dir, proven,
        weights=WEIGHTS_FILE, first_loss=evaluation["base"].get("loss"), card=card, say=lambda line: say(console, line),
    )  # fmt: skip
    return Outcome(run_dir, evaluation, proof, _lines(evaluation, proof, run_dir))


def write_best(start: Start[Inputs], parts: Parts, state: RunState, run_dir: Path, console: Console) -> None:
    """Put the adapter of the best checkpoint into the model and into ``run_dir``, and say what it is."""
    if state.best_step not in (0, state.step):
        restore_adapter(parts.model, read_tensors(run_dir / f"{PREFIX}{state.best_step}", WEIGHTS_FILE))
        say(console, text("run.best_taken", step=state.best_step, steps=state.step, loss=state.best_loss))
    if state.best_loss is not None and state.first_loss is not None and state.best_loss >= state.first_loss:
        key = "run.no_gain_since" if start.increment else "run.no_gain"
        say(console, text(key, first=state.first_loss, best=state.best_loss))
    tensors, settings = adapter_tensors(parts.model), config_text(parts.model)
    write_adapter(run_dir, tensors, settings)
    for line in used_lines(tensors, json.loads(settings)):
        say(console, line)
    start.inputs.tokenizer.chat_template = start.inputs.rendered.form.template
    start.inputs.tokenizer.save_pretrained(run_dir)


def _evaluate(
    config: Config, start: Start[Inputs], parts: Parts, state: RunState, run_dir: Path, console: Console
) -> dict[str, Any]:
    """Base and adapter on the held-out questions, and what an incremental run kept and learned: eval.json."""
    if start.inputs.rendered.questions:
        say(console, text("run.comparing", count=min(QUESTIONS_ASKED, len(start.inputs.rendered.questions))))
    losses = {"base": state.before.get("base", state.first_loss), "adapter": state.best_loss}
    after = measure(config, parts, start.increment) if start.increment else {}
    evaluation = compare_answers(config, start.inputs, parts.model, parts.attention, losses)
    if start.increment:
        evaluation["incremental"] = result_of(start.increment, state.before, after)
    if isinstance(parts.task, PreferenceTask) and start.inputs.rendered.validation:
        parts.task.evaluate(start.inputs.rendered.validation, config.batch_size)
        evaluation["adapter"]["pairs_preferred"] = parts.task.accuracy
    for line in write_evaluation(run_dir, evaluation):
        say(console, line)
    return evaluation


def shortest(config: Config, start: Start[Inputs]) -> Document:
    """The shortest training document of the run's own rows; of a pair the one that is to be preferred."""
    own = start.inputs.rendered.training[: start.of_these_rows]
    document = min(own, key=lambda d: len(d.input_ids))
    return halves(document)[0] if config.task_type == "preference" else document


def proof_checks(config: Config, inputs: Inputs, document: Document, ours: torch.Tensor, run_dir: Path) -> Proof:
    """The checks of proof.json, with the tokenizer that a server would load from the adapter's folder."""
    chat_prompt = _chat_prompt(config, inputs, document, run_dir)
    give_back_freed_memory()  # a tokenizer of 262,144 words takes 0.5 GB
    return prove(
        run_dir,
        lambda: load_model(inputs.base, dtype=inputs.weights, device=inputs.device, quantization=config.quantization),
        document.input_ids,
        ours,
        tolerance=1e-4 if inputs.weights == torch.float32 else 5e-2,
        training_prompt=inputs.tokenizer.decode(document.input_ids[: _learned_from(document)]),
        chat_prompt=chat_prompt,
    )


def _chat_prompt(config: Config, inputs: Inputs, document: Document, run_dir: Path) -> str:
    """What the tokenizer in ``run_dir`` makes of the question of a document."""
    record = next(r for r in inputs.rows.of(TRAINING) if r.source == document.source)
    fresh = load_tokenizer(run_dir)
    prompt: str = fresh.decode(prompt_of(record, fresh, config.system_prompt))
    return prompt


def _learned_from(document: Document) -> int:
    """Index of the first token of the last learned stretch: the end of the last prompt."""
    mask = document.loss_mask
    end = len(mask) - mask[::-1].index(True)
    return next((i + 1 for i in range(end - 1, -1, -1) if not mask[i]), 0)


def _lines(evaluation: dict[str, Any], proof: dict[str, Any], run_dir: Path) -> list[str]:
    """What the user reads at the end: scores, answers before and after, where things are."""
    lines = [*evaluation_lines(evaluation), "", proven_line(proof), text("run.where", folder=run_dir)]
    lines += [*report_lines(run_dir), *correct_lines(run_dir)]
    return [*lines, text("run.try_it", command=command("chat", "--adapter", run_dir))]
