"""Base against adapter once more, on the held-out records of a finished run."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lora_scripts.adapters.files import load_adapter
from lora_scripts.assemble.start import state_of_run
from lora_scripts.assemble.text.compare import compare_answers, write_evaluation
from lora_scripts.assemble.text.increment import increment, read_origin
from lora_scripts.assemble.text.parts import gather, task_of
from lora_scripts.config import Config, load_config
from lora_scripts.errors import DataError, LoraScriptsError, UsageError
from lora_scripts.evaluate.preferences import preference_lines, read_sheet
from lora_scripts.messages import text
from lora_scripts.models.head import frozen_head
from lora_scripts.models.text import load_model
from lora_scripts.training.run_dir import RUN, write_whole
from lora_scripts.training.tasks import TextTask, mean_loss


def run_of(config_or_run: Path) -> tuple[Path, Config]:
    """The output folder of a run and its config, by either of them."""
    if config_or_run.is_dir():
        return config_or_run, load_config(config_or_run / RUN).config
    config = load_config(config_or_run).config
    return Path(config.output_dir).expanduser(), config


def evaluate_run(config_or_run: Path, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Measure the adapter of a run and write its eval.json; ``config_or_run`` is a config or an output folder.

    An incremental run is measured on the records that it was measured on at its end.

    Raises:
        DataError: There is no held-out record.
        ModelError: The adapter or the base cannot be used.
    """
    run_dir, config = run_of(config_or_run)
    inputs = gather(config)
    if origin := state_of_run(run_dir).origin:
        try:
            part = increment(config, inputs, read_origin(Path(origin)))
            inputs = part.inputs if part else inputs
        except LoraScriptsError as error:
            say(text("increment.not_reread", reason=error.problems[0].text))
    if not inputs.rendered.validation:
        raise DataError("run.nothing_held_out", where=run_dir / RUN)
    base = load_model(inputs.base, dtype=inputs.weights, device=inputs.device, quantization=config.quantization)
    attention = base.config._attn_implementation
    model = load_adapter(base, run_dir)
    pad_id = int(inputs.tokenizer.pad_token_id or 0)
    text_task = TextTask(
        model.get_base_model(), [], flat=False, head=frozen_head(base), pad_id=pad_id, autocast=inputs.autocast
    )
    task = task_of(config, model, text_task)

    def loss() -> float:
        found = mean_loss(task, inputs.rendered.validation, config.batch_size)
        model.eval()
        return found

    with model.disable_adapter():
        before = loss()
    evaluation = compare_answers(config, inputs, model, attention, {"base": before, "adapter": loss()})
    with suppress(OSError, ValueError, KeyError, TypeError):  # what training measured on the way stays
        before_it = json.loads((run_dir / "eval.json").read_text(encoding="utf-8"))
        evaluation["incremental"] = before_it["incremental"]
    for line in write_evaluation(run_dir, evaluation):
        say(line)
    return evaluation


def write_preferences(sheet: Path, target: Path) -> list[str]:
    """What an expert ticked in ``sheet`` as preference records in ``target``; lines for the user.

    Raises:
        DataError: The sheet cannot be read, or nothing in it is ticked.
        UsageError: ``target`` exists.
    """
    if target.exists():
        raise UsageError("augment.exists", where=target)
    lines: list[str] = []
    found = read_sheet(sheet, lines.append)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, preference_lines(found))
    return [*lines, text("cli.preferences_in", count=len(found), path=target)]
