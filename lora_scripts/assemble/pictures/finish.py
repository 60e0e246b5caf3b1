"""The end of a picture run: the best adapter into its file, base and adapter side by side, the proof."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from lora_scripts.adapters.files import WEIGHTS_FILE as CHECKPOINT_WEIGHTS
from lora_scripts.adapters.picture_files import WEIGHTS_FILE, write_picture_adapter
from lora_scripts.adapters.provenance import picture_card
from lora_scripts.assemble.outcome import Outcome, close, proven_line
from lora_scripts.assemble.pictures.parts import PictureInputs, PictureParts
from lora_scripts.assemble.pictures.samples import Samples
from lora_scripts.assemble.text.corrections import report_lines
from lora_scripts.config import Config
from lora_scripts.data.pictures.captions import with_trigger
from lora_scripts.evaluate.prove_pictures import prove_pictures
from lora_scripts.invocation import command
from lora_scripts.messages import text
from lora_scripts.models.diffusion import noise_schedule, stock_pipeline
from lora_scripts.models.probe import Probe, denoised
from lora_scripts.training.allocator import give_back_freed_memory
from lora_scripts.training.checkpoint import PREFIX, read_tensors
from lora_scripts.training.log import say
from lora_scripts.training.pictures import Look, size_numbers
from lora_scripts.training.run_dir import write_json
from lora_scripts.training.state import RunState

LAST_SHEET = "samples/base-and-adapter.png"


def finish_pictures(
    config: Config, inputs: PictureInputs, parts: PictureParts, state: RunState, run_dir: Path, console: Console
) -> Outcome:
    """Write the adapter of the best checkpoint, draw it beside the base, prove it from the disk.

    Raises:
        ProofError: The adapter on the disk does not do what training did.
    """
    held, plan = parts.held, parts.plan
    if state.best_step not in (0, state.step):
        parts.restore(read_tensors(run_dir / f"{PREFIX}{state.best_step}", CHECKPOINT_WEIGHTS))
        say(console, text("run.best_taken", step=state.best_step, steps=state.step, loss=state.best_loss))
    if state.best_loss is not None and state.first_loss is not None and state.best_loss >= state.first_loss:
        say(console, text("run.no_gain", first=state.first_loss, best=state.best_loss))
    adapter = parts.adapter()
    write_picture_adapter(run_dir, adapter)
    samples = Samples(config, inputs, parts, run_dir, lambda line: say(console, line))
    samples.draw(run_dir / LAST_SHEET)
    evaluation: dict[str, Any] = {
        "base": {"loss": state.first_loss},
        "adapter": {"loss": state.best_loss},
        "samples": {"prompts": samples.prompts, "sheet": LAST_SHEET},
    }
    write_json(run_dir / "eval.json", evaluation)
    probe = probe_of(config, inputs, parts)
    encoders = {name: part for name, part in parts.model.items() if name != "unet"} or dict(parts.captions.load())
    ours = denoised(parts.model["unet"], encoders, inputs.tokenizers, probe)
    del encoders, samples
    parts.model = parts.task = parts.captions = parts.vae = None  # type: ignore[assignment]  # room for the fresh base
    gc.collect()
    give_back_freed_memory()
    say(console, text("picture_run.proving"))
    proven = prove_pictures(
        run_dir,
        lambda: stock_pipeline(inputs.base, dtype=inputs.weights, device=inputs.device),
        probe,
        ours,
        adapter,
        tolerance=1e-4 if inputs.weights == torch.float32 else 5e-2,
    )
    proof = close(
        config, inputs, plan, held, state, run_dir, proven,
        weights=WEIGHTS_FILE, first_loss=state.first_loss, card=picture_card, say=lambda line: say(console, line),
    )  # fmt: skip
    return Outcome(run_dir, evaluation, proof, _lines(evaluation, proof, run_dir))


def probe_of(config: Config, inputs: PictureInputs, parts: PictureParts) -> Probe:
    """A picture of the run, half gone in noise."""
    document = min((*inputs.validation, *inputs.training), key=lambda d: d.bucket[0] * d.bucket[1])
    look = Look(document)
    mean = parts.task.moments(look).chunk(2)[0][None] * inputs.base.scaling
    schedule = noise_schedule(inputs.base)
    level = len(schedule.alphas_cumprod) // 2
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(config.seed))
    noisy = schedule.add_noise(mean, noise, torch.tensor([level]))
    caption = document.caption if document.prior else with_trigger(document.caption, config.trigger_word or "")
    return Probe(noisy, level, caption, size_numbers(look))


def _lines(evaluation: dict[str, Any], proof: dict[str, Any], run_dir: Path) -> list[str]:
    """What the user reads at the end."""
    before, after = evaluation["base"]["loss"], evaluation["adapter"]["loss"]
    lines = []
    if before and after is not None:
        change = (after / before - 1) * 100
        lines.append(text("run.result_loss", before=before, after=after, change=change))
    sheet = run_dir / evaluation["samples"]["sheet"]
    lines.append(text("picture_run.sheet", file=sheet, count=len(evaluation["samples"]["prompts"])))
    prompt = evaluation["samples"]["prompts"][0]
    lines += ["", proven_line(proof), text("run.where", folder=run_dir)]
    lines += report_lines(run_dir)
    return [*lines, text("run.try_it", command=command("generate", "--adapter", run_dir, "--prompt", prompt))]
