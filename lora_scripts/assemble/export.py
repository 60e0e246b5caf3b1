"""A run written in the layout of another program, and verified before it stands under its name."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lora_scripts.adapters.files import find_weights, read_adapter
from lora_scripts.adapters.picture_files import is_picture_adapter
from lora_scripts.assemble.adapters import weighed
from lora_scripts.assemble.exporting import Exporting
from lora_scripts.assemble.pictures.export import open_pictures
from lora_scripts.assemble.text.records import question_prompt
from lora_scripts.data.chat_format import template_of
from lora_scripts.data.records import Message
from lora_scripts.errors import ModelError, ProofError, UsageError
from lora_scripts.export.card import export_card
from lora_scripts.export.folders import Written
from lora_scripts.export.layouts import LAYOUTS, OPTIONS, PICTURE_LAYOUTS
from lora_scripts.export.source import Source, plain_name
from lora_scripts.export.verify import MOST_QUESTIONS
from lora_scripts.messages import text
from lora_scripts.models.gguf_unpack import disk_error
from lora_scripts.models.text import base_fingerprint, check_base, load_tokenizer, resolve_device, resolve_precision
from lora_scripts.training.checkpoint import sha256_of
from lora_scripts.training.run_dir import write_json

REPORT = "export.json"
NOT_VERIFIED = ".not_verified"
GENERAL_QUESTIONS = ("你好，请介绍一下你自己。", "合同到期了怎么办？", "What is the capital of France?")


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export came to: where it stands, and the content of its export.json."""

    folder: Path
    report: dict[str, Any]

    def refuse_if_wrong(self) -> None:
        """Raises ProofError where a check failed."""
        failed = [check["name"] for check in self.report["checks"] if not check["ok"]]
        if failed:
            raise ProofError("export.not_verified", folder=self.folder, failed=", ".join(failed))


def export_run(
    run: Path,
    layout: str,
    *,
    output: Path | None = None,
    base_model: str | None = None,
    overwrite: bool = False,
    also: Sequence[str] = (),
    dtype: str | None = None,
    adapter_only: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Exported:
    """Write ``run`` into ``output`` as ``layout``, and compare it with the adapter.

    The folder appears whole. Where a check fails it stands beside its place, with ``.not_verified`` at the end of its
    name, and an earlier export stays as it was.

    Args:
        run: An output folder, a PEFT folder, or a weight file; of pictures ``PATH:WEIGHT`` too.
        layout: One of ``LAYOUTS``, or of ``PICTURE_LAYOUTS``.
        output: ``RUN/export/LAYOUT`` by default.
        base_model: Folder of the base, in place of the one that the run names.
        overwrite: Replace an earlier export.
        also: More picture adapters, ``PATH:WEIGHT``, that go into the same export.
        dtype: Numbers of a GGUF file.
        adapter_only: The adapter as a GGUF of its own.
        say: Takes lines on the way.

    Raises:
        UsageError: No such layout, an option without effect, or the place is taken.
        ModelError: The adapter or its base cannot be used, or not in this layout.
    """
    path, _ = weighed(str(run))
    draws = is_picture_adapter(path)
    if not draws and layout in PICTURE_LAYOUTS and layout not in LAYOUTS:
        find_weights(run)  # a wrong path is no text model
    options = _options(layout, draws, dtype=dtype, adapter_only=adapter_only, adapter=also)
    options.pop("adapter", None)
    folder = (path if path.is_dir() else path.parent) if draws else find_weights(run).parent
    target = output or folder / "export" / layout
    _refuse_to_replace(target, overwrite)
    if draws:
        exporting = open_pictures([str(run), *also], base_model, say)
    else:
        exporting = _open_text(folder, run, base_model, say)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as holder:
            staged = Path(holder) / target.name
            staged.mkdir()
            make = (PICTURE_LAYOUTS if draws else LAYOUTS)[layout]
            written = make(exporting.source, staged, **options)
            report = _report(exporting, layout, options, written)
            write_json(staged / REPORT, report)
            named = str(exporting.record.get("base", {}).get("path") or exporting.base)
            card = export_card(
                exporting.name, named, exporting.method, exporting.record, layout, written, exporting.verified
            )
            (staged / "README.md").write_text(card, encoding="utf-8")
            _share(staged)
            wrong = target.with_name(target.name + NOT_VERIFIED)
            _put(staged, place := target if report["ok"] else wrong, Path(holder) / "earlier")
            if report["ok"] and (wrong / REPORT).is_file():
                shutil.rmtree(wrong)
    except OSError as error:
        raise disk_error(error, target, _megabytes(exporting.base)) from error
    return Exported(place, report)


def _options(layout: str, draws: bool, **given: Any) -> dict[str, Any]:
    """Those of the layout function; one that it has no use for is refused."""
    known, others = (PICTURE_LAYOUTS, LAYOUTS) if draws else (LAYOUTS, PICTURE_LAYOUTS)
    names = ", ".join(known)
    if layout not in known and layout in others:
        key = "export.text_layout" if draws else "export.picture_layout"
        raise UsageError(key, where="--to", layout=layout, names=names)
    if layout not in known:
        raise UsageError("export.unknown_layout", where="--to", layout=layout, names=names)
    taken = {name: value for name, value in given.items() if value}
    for name in taken:
        if name not in (("adapter",) if draws else OPTIONS.get(layout, ())):
            if name == "adapter":
                raise UsageError("export.adapter_of_texts", where="--adapter")
            named = ", ".join(other for other, takes in OPTIONS.items() if other in known and name in takes) or "-"
            option = f"--{name.replace('_', '-')}"
            raise UsageError("export.no_effect", option=option, layout=layout, names=named)
    if layout == "gguf" and len(taken) == 2:
        raise UsageError("export.no_effect", option="--dtype", layout="gguf --adapter-only", names="gguf")
    return taken


def _refuse_to_replace(target: Path, overwrite: bool) -> None:
    if not (target.exists() or target.is_symlink()):
        return
    if not overwrite:
        raise UsageError("export.exists", where=target)
    if not (target / REPORT).is_file():
        raise UsageError("export.not_an_export", where=target)


def _open_text(folder: Path, run: Path, base_model: str | None, say: Callable[[str], None]) -> Exporting:
    source = _source(folder, run, base_model, say)
    say(text("export.asking", count=len(source.questions)))
    return Exporting(
        source=source,
        name=source.name,
        method=source.method,
        weights=find_weights(source.adapter),
        base=source.base,
        fingerprint=base_fingerprint(source.base),
        record=source.record,
        verified=f"{len(source.questions)} questions",
    )


def _source(folder: Path, run: Path, base_model: str | None, say: Callable[[str], None]) -> Source:
    """Everything that a layout needs, checked: the base is the one that the adapter was trained on."""
    config, tensors = read_adapter(run)
    record = _json_of(folder / "provenance.json")
    named = base_model or record.get("base", {}).get("path") or config.get("base_model_name_or_path")
    if not named:
        raise UsageError("export.no_base", where=folder)
    base = check_base(str(named))
    trained_on = record.get("base", {}).get("fingerprint")
    if trained_on is None:
        say(text("export.no_provenance", folder=folder, base=base))
    elif trained_on != base_fingerprint(base):
        raise ModelError("cli.other_base", where=folder, base=base)
    device, notes = resolve_device("auto")
    dtype, _, more = resolve_precision("auto", device)
    tokenizer = load_tokenizer(folder if (folder / "tokenizer_config.json").exists() else base)
    form = template_of(tokenizer)
    system_prompt = record.get("config", {}).get("system_prompt") or ""
    questions = _questions(folder, record)
    if not questions:
        more.append(text("export.own_questions"))
        questions = GENERAL_QUESTIONS
    for note in [*notes, *more]:
        say(note)
    prompts = tuple(tuple(question_prompt([Message("user", q)], tokenizer, system_prompt)) for q in questions)
    return Source(
        name=plain_name(str(record.get("name") or folder.resolve().name)),
        adapter=folder,
        base=base,
        config=config,
        tensors=tensors,
        tokenizer=tokenizer,
        form=form,
        system_prompt=system_prompt.strip(),
        questions=tuple(q.strip() for q in questions),
        prompts=prompts,
        record=record,
        device=device,
        dtype=dtype,
    )


def _questions(folder: Path, record: dict[str, Any]) -> tuple[str, ...]:
    """The run's sample questions, or the first ones that it was evaluated with."""
    asked = list(record.get("config", {}).get("sample_questions") or [])
    asked += [str(row.get("question", "")) for row in _json_of(folder / "eval.json").get("answers", [])]
    return tuple(dict.fromkeys(question for question in asked if question.strip()))[:MOST_QUESTIONS]


def _json_of(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _report(exporting: Exporting, layout: str, options: dict[str, Any], written: Written) -> dict[str, Any]:
    """The content of export.json."""
    return {
        "ok": all(check.ok for check in written.checks),
        "layout": layout,
        "options": {**options, **written.kind},
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "adapter": {"path": str(exporting.weights.parent), "weights_sha256": sha256_of(exporting.weights)},
        "base": {"path": str(exporting.base), "fingerprint": exporting.fingerprint},
        "checks": [asdict(check) for check in written.checks],
        "notes": written.notes,
    }


def _share(folder: Path) -> None:
    """Weights are written for their owner alone; give them the mode of the other files, and scripts leave to run."""
    mode = (folder / REPORT).stat().st_mode
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(mode | 0o111 if file.suffix == ".sh" else mode)


def _put(staged: Path, place: Path, aside: Path) -> None:
    """Rename ``staged`` to ``place``; what was there waits in ``aside`` until that is done."""
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.exists():
        place.rename(aside)
    staged.rename(place)
    shutil.rmtree(aside, ignore_errors=True)


def _megabytes(base: Path) -> int:
    return sum(file.stat().st_size for file in base.glob("*.safetensors")) >> 20


def export_lines(exported: Exported) -> list[str]:
    """What the user reads at the end: notes, a line a check, where it is."""
    lines = list(exported.report["notes"])
    for check in exported.report["checks"]:
        verdict = text("export.ok") if check["ok"] else text("export.failed")
        lines.append(
            text("export.check", name=check["name"], value=check["value"], bound=check["bound"], verdict=verdict)
        )
    if exported.report["ok"]:
        lines.append(text("export.done", folder=exported.folder))
    return lines
