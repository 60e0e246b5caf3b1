"""`label`, `generate`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from lora_scripts.cli.verbs import app, next_step, next_words, say, teller
from lora_scripts.errors import UsageError
from lora_scripts.messages import text

FOR_TAGS = ("clip_model", "tags", "threshold", "undesired", "replace", "chinese")
"""Options that say which tags are given and how."""


@app.command(help=text("cli.label"))
def label(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=text("cli.label_folder"))],
    output: Annotated[Path | None, typer.Option(metavar="FILE.csv", help=text("cli.label_output"))] = None,
    clip_model: Annotated[Path, typer.Option(metavar="DIR", help=text("cli.clip_model"))] = Path("models/tiny-clip"),
    captioner: Annotated[Path | None, typer.Option(metavar="DIR", help=text("pictures.captioner"))] = None,
    tags: Annotated[list[Path] | None, typer.Option(metavar="FILE", help=text("cli.label_tags"))] = None,
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help=text("cli.label_threshold"))] = 0.25,
    most_tags: Annotated[int, typer.Option("--max-tags", min=0, help=text("cli.label_max_tags"))] = 8,
    undesired: Annotated[str | None, typer.Option(metavar="TAG,TAG", help=text("cli.label_undesired"))] = None,
    replace: Annotated[list[str] | None, typer.Option(metavar="OLD=NEW", help=text("cli.label_replace"))] = None,
    prefix: Annotated[str, typer.Option(help=text("cli.label_prefix"))] = "",
    chinese: Annotated[bool, typer.Option("--chinese", help=text("cli.label_chinese"))] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=text("cli.label_overwrite"))] = False,
    device: Annotated[str, typer.Option(help=text("cli.device"))] = "auto",
) -> None:
    from lora_scripts.assemble.pictures.label import Wishes, label_folder
    from lora_scripts.data.pictures.reading import tables_in
    from lora_scripts.data.report_page import reason_words

    pairs = [word.partition("=") for word in replace or []]
    if wrong := next(("".join(pair) for pair in pairs if not (pair[0].strip() and pair[1])), None):
        raise UsageError("pictures.bad_replacement", where="--replace", word=wrong)
    never = frozenset(word.strip() for word in (undesired or "").split(",") if word.strip())
    olds = [old.strip() for old, _, _ in pairs]
    if twice := next(
        (o for o, p in zip(olds, pairs, strict=True) if olds.count(o) > 1 or {o, p[2].strip()} & never), None
    ):
        raise UsageError("pictures.replaced_twice", where="--replace", word=twice)
    if idle := _given(context, FOR_TAGS) if captioner and not most_tags else []:
        raise UsageError("pictures.idle_options", where=", ".join(idle))
    place = folder if folder.is_dir() else folder.parent
    table = output or next((t for t in tables_in(place) if t.suffix.lower() == ".csv"), place / "metadata.csv")
    done = label_folder(
        folder,
        table,
        clip_model=clip_model,
        captioner=captioner,
        tags_files=tags or [],
        wishes=Wishes(
            threshold=threshold,
            most_tags=most_tags,
            language="zh" if chinese else "en",
            prefix=prefix.strip(),
            undesired=never,
            replaced={old.strip(): new.strip() for old, _, new in pairs},
        ),
        overwrite=overwrite,
        device=device,
        say=teller(),
    )
    say(text("pictures.labelled", count=len(done.captions), kept=done.kept, path=table))
    if done.left_out:
        reasons = ", ".join(f"{reason_words(reason)} {count}" for reason, count in done.left_out.items())
        say(text("pictures.left_out_count", count=sum(done.left_out.values()), reasons=reasons))
    say(text("pictures.sheet_at", path=done.sheet))
    next_step("init", folder)


@app.command(help=text("picture_run.generate"))
def generate(
    prompt: Annotated[list[str] | None, typer.Option(help=text("picture_run.prompt"))] = None,
    adapter: Annotated[list[str] | None, typer.Option(metavar="DIR[:WEIGHT]", help=text("picture_run.adapter"))] = None,
    base_model: Annotated[str | None, typer.Option(metavar="DIR", help=text("picture_run.base_model"))] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help=text("picture_run.output"))] = Path("output/pictures"),
    count: Annotated[int, typer.Option(min=1, max=1000, help=text("picture_run.count"))] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1001, help=text("picture_run.seed"))] = 0,
    steps: Annotated[int, typer.Option(min=1, max=1000, help=text("picture_run.steps"))] = 20,
    guidance: Annotated[float, typer.Option(min=1.0, max=100.0, help=text("picture_run.guidance"))] = 5.0,
    negative: Annotated[str, typer.Option(help=text("picture_run.negative"))] = "",
    width: Annotated[int, typer.Option(min=0, max=8192, help=text("picture_run.width"))] = 0,
    height: Annotated[int, typer.Option(min=0, max=8192, help=text("picture_run.height"))] = 0,
    mark: Annotated[bool, typer.Option("--mark", help=text("picture_run.mark"))] = False,
    producer: Annotated[str, typer.Option(help=text("picture_run.producer"))] = "lora-scripts",
    device: Annotated[str, typer.Option(help=text("cli.device"))] = "auto",
) -> None:
    prompts = prompt or []
    if not prompts or not all(words.strip() for words in prompts):
        raise UsageError("picture_run.no_prompt", where="--prompt")
    if negative.strip() and guidance == 1:
        raise UsageError("picture_run.idle_negative", where="--negative")
    from lora_scripts.assemble.pictures.generate import Order
    from lora_scripts.assemble.pictures.generate import generate as drawn
    from lora_scripts.models.drawing import Strokes

    order = Order(prompts, count, seed, Strokes(steps, guidance, (width, height)), negative, mark, producer)
    for file in drawn(adapter or [], order, output, base_model=base_model, device=device, say=teller()):
        say(str(file))
    if adapter:
        next_step("export", adapter[0].partition(":")[0], "--to", "diffusers")
    else:
        next_words(text("cli.after_pictures"))


def _given(context: typer.Context, names: Collection[str]) -> list[str]:
    """The options among ``names`` that stand on the command line, as they are spelt there."""
    given = [p for p in context.command.params if p.name in names]
    return [p.opts[0] for p in given if (s := context.get_parameter_source(p.name or "")) and s.name == "COMMANDLINE"]
