"""`init`: look at the files, show what was understood, ask what cannot be seen in them, write a config that trains."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_scripts.assemble.dialogue import Dialogue
from lora_scripts.assemble.pictures.records import check_pictures
from lora_scripts.assemble.screen import Screen
from lora_scripts.assemble.text.corrections import following_folder
from lora_scripts.config import load_config
from lora_scripts.config.load import line_of
from lora_scripts.data.advice import advice, plain
from lora_scripts.data.findings import script
from lora_scripts.data.ledger import Ledger
from lora_scripts.data.pictures.reading import is_picture_folder
from lora_scripts.data.pii.find import DEFAULT_TYPES
from lora_scripts.data.reading.formats import Reading, read_records
from lora_scripts.data.records import Record
from lora_scripts.data.render import Rendering, iter_documents, iter_pairs
from lora_scripts.data.report import summary
from lora_scripts.errors import AmbiguousDataError, DataError, LoraScriptsError, ModelError, UsageError
from lora_scripts.messages import text
from lora_scripts.models.base_size import parameters_in
from lora_scripts.models.diffusion import check_picture_base
from lora_scripts.models.text import check_base, load_tokenizer
from lora_scripts.training.run_dir import write_whole

SHOWN = 2  # records that are shown as they will be learned
MOST_READINGS = 2  # questions about how to read the files
MODELS = (Path("models"), Path(__file__).parents[2] / "models")
ANY_ANSWER, CITATIONS, SERVICE = range(3)
"""What an adapter is for."""
SERVICE_PROMPTS = {
    "zh": "你是客服。回答要简短、礼貌，只说你确知的内容。",
    "en": "You are a customer service agent. Answer briefly and politely, and say only what you know for certain.",
}
"""By the language of the records, which need not be that of the user."""
_CITATION = r"(依据|根据|按照)《[^》]+》第[零一二三四五六七八九十百千\d]+条"
_SERVICE = re.compile(r"您好|亲[，,]|感谢您|客服|订单|退款|thank you|please contact|order|refund", re.IGNORECASE)
_KEEP_IT = 0.6  # share of the answers from which a form counts as theirs
_TRIES = 3  # paths of a base that may be mistyped
_STEP = 256  # max_seq_length is a multiple of it


@dataclass(slots=True)
class ConfigText:
    """The lines of a config to be: keys with their values, each with a comment."""

    lines: list[str] = field(default_factory=list)

    def comment(self, words: str) -> None:
        """A comment of its own, after an empty line."""
        self.lines += ["", *(f"# {line}" for line in words.splitlines())]

    def put(self, values: Mapping[str, Any], comment: str = "") -> None:
        """Keys and their values under a comment."""
        if comment:
            self.comment(comment)
        for key, value in values.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            self.lines.append(f"{key}: {plain(value)}" if number else line_of(key, value).rstrip("\n"))

    @property
    def content(self) -> str:
        """The whole text."""
        return "\n".join(self.lines) + "\n"


def write_starter_config(
    folder: Path, target: Path, dialogue: Dialogue, *, base_model: str | None = None, overwrite: bool = False
) -> None:
    """Write ``target``, a config that trains an adapter on the files of ``folder``.

    Raises:
        UsageError: ``target`` is there already, or no base model is.
        DataError: The files cannot be read, or none of the ways to read them is right.
        ModelError: The base cannot be used.
    """
    if target.exists() and not overwrite:
        raise UsageError("init.exists", where=target)
    if is_picture_folder(folder):
        config_text = _for_pictures(folder, dialogue, base_model)
    else:
        config_text = _for_texts(folder, dialogue, base_model)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, config_text.content)
    load_config(target)
    dialogue.say("")
    dialogue.say(text("init.written", path=target))


def _for_texts(folder: Path, dialogue: Dialogue, base_model: str | None) -> ConfigText:
    reading, settings, preference = _read(folder, dialogue)
    records = reading.records
    for label, value in summary(reading.ledger):
        dialogue.say(f"{label}: {value}")
    masked = list(Screen().records(iter(records), Ledger()))
    dialogue.say("")
    dialogue.say(text("init.as_learned"))
    for record in masked[:SHOWN]:
        for line in record.excerpt():
            dialogue.say(line)
    base = _choose_base(dialogue, base_model)
    purpose = _choose_purpose(dialogue, records)
    names = dialogue.choose(text("init.names"), [text("init.no"), text("init.yes_word")]) == 1
    parameters = parameters_in(Path(base).expanduser())
    chinese = _mostly_chinese(records)
    config_text = ConfigText([f"# {line}" for line in text("init.header", folder=folder).splitlines()])
    config_text.put({"train_data_dir": str(folder)}, text("init.data", count=len(records)))
    if settings:
        config_text.put(settings, text("init.reading"))
    if preference:
        config_text.put({"task_type": "preference"}, text("init.preference"))
    if names:
        config_text.put({"desensitize_types": [*DEFAULT_TYPES, "name", "address"]}, text("init.names_too"))
    size = f"{parameters / 1e6:,.0f}" if parameters else "?"
    config_text.put({"base_model": base}, text("init.base", millions=size))
    config_text.put({"output_dir": str(_output_for(folder))}, text("init.output_comment"))
    system_prompt = SERVICE_PROMPTS["zh" if chinese else "en"] if purpose == SERVICE else ""
    if system_prompt:
        config_text.put({"system_prompt": system_prompt}, text("init.system_prompt"))
    _put_answer_rules(config_text, records, purpose)
    advised = advice(len(records), parameters)
    config_text.put({key: advised[key] for key in ("lora_rank", "lora_alpha", "lora_dropout", "target_modules")},
              text("init.adapter"))  # fmt: skip
    config_text.put({"learning_rate": advised["learning_rate"]}, text("init.rate"))
    config_text.put({"batch_size": 4, "epochs": advised["epochs"]}, text("init.epochs", count=advised["epochs"]))
    patience = {key: advised[key] for key in ("early_stopping_patience",) if key in advised}
    share = f"{advised['eval_ratio']:.0%}"
    config_text.put({"eval_ratio": advised["eval_ratio"], **patience}, text("init.validation", share=share))
    _put_length(config_text, masked, base, system_prompt, preference, dialogue)
    return config_text


def _read(folder: Path, dialogue: Dialogue) -> tuple[Reading, dict[str, Any], bool]:
    """What is in the files, the settings that say how to read them, and whether it is preference data."""
    settings: dict[str, Any] = {}
    for asked in range(MOST_READINGS + 1):
        try:
            return read_records(folder, **settings), settings, False
        except AmbiguousDataError as error:
            if asked == MOST_READINGS or not error.alternatives:
                raise
            for key, value in _choose_reading(error, dialogue).items():
                settings[key] = {**settings.get(key, {}), **value}
        except DataError:
            with suppress(DataError):
                return read_records(folder, **settings, preference=True), settings, True
            raise
    raise AssertionError("the last reading returns or raises")


def _choose_reading(error: AmbiguousDataError, dialogue: Dialogue) -> dict[str, dict[str, Any]]:
    for problem in error.problems:
        dialogue.say(f"{problem.where}: {problem.text}" if problem.where else problem.text)
    options = []
    for alternative in error.alternatives:
        lines = [line for record in alternative.records for line in record.excerpt()]
        options.append("\n     ".join([alternative.config_lines(), *lines]))
    chosen = dialogue.choose(text("init.which_reading"), [*options, text("init.none_of_these")])
    if not isinstance(chosen, int) or chosen >= len(error.alternatives):
        raise error
    return dict(error.alternatives[chosen].settings)


def _choose_base(dialogue: Dialogue, given: str | None) -> str:
    """The folder of a text base: the one that was given, or one of those that lie here."""
    if given:
        check_base(given)
        return given
    there = [path for path in _folders(MODELS) if _is_text_base(path)]
    there.sort(key=lambda path: path.name == "tiny-zh")  # for trying the tool; any other base is there for use
    if not there:
        raise UsageError("init.no_base")
    options = [_base_words(path) for path in there]
    for _ in range(_TRIES):
        chosen = dialogue.choose(text("init.which_base"), options, written=True)
        if isinstance(chosen, int):
            return str(there[chosen])
        try:
            check_base(chosen)
            return chosen
        except ModelError as error:
            dialogue.say(str(error))
    raise UsageError("init.no_base")


def _folders(places: Sequence[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for place in places:
        for path in sorted(place.iterdir()) if place.is_dir() else []:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _is_text_base(path: Path) -> bool:
    with suppress(LoraScriptsError, OSError):
        check_base(str(path))
        return True
    return False


def _base_words(path: Path) -> str:
    parameters = parameters_in(path)
    millions = f"{parameters / 1e6:,.0f}" if parameters else "?"
    key = "init.base_for_trying" if path.name == "tiny-zh" else "init.base_option"
    return text(key, path=path, millions=millions)


def _choose_purpose(dialogue: Dialogue, records: Sequence[Record]) -> int:
    answers = [record.answer for record in records[:2000]]
    cites = sum(re.search(_CITATION, answer) is not None for answer in answers)
    serves = sum(_SERVICE.search(answer) is not None for answer in answers)
    default = CITATIONS if cites >= 0.5 * len(answers) else SERVICE if serves >= 0.5 * len(answers) else ANY_ANSWER
    options = [text(f"init.purpose.{name}") for name in ("any", "citations", "service")]
    chosen = dialogue.choose(text("init.what_for"), options, default=default)
    return chosen if isinstance(chosen, int) else default


def _put_answer_rules(config_text: ConfigText, records: Sequence[Record], purpose: int) -> None:
    """The form that the answers have already, as a rule that is measured before and after."""
    answers = [record.answer for record in records]
    citing = sum(re.match(_CITATION, answer) is not None for answer in answers)
    if purpose == CITATIONS and citing >= _KEEP_IT * len(answers):
        config_text.put(
            {"answer_rules": {"opening": _CITATION}}, text("init.rule_citation", share=f"{citing / len(answers):.0%}")
        )
    elif opening := shared_opening(answers):
        kept = sum(answer.startswith(opening) for answer in answers)
        rule = {"opening": re.escape(opening)}
        config_text.put(
            {"answer_rules": rule}, text("init.rule_opening", share=f"{kept / len(answers):.0%}", opening=opening)
        )
    else:
        config_text.comment(text("init.no_rule_citation" if purpose == CITATIONS else "init.no_rule"))


def shared_opening(answers: Sequence[str]) -> str:
    """The longest beginning of at least 3 letters that most answers share on their first line; empty where none is."""
    found = ""
    for length in range(3, 31):
        heads = Counter(a[:length] for a in answers if len(a) > length and "\n" not in a[:length])
        if not heads or heads.most_common(1)[0][1] < _KEEP_IT * len(answers):
            break
        found = heads.most_common(1)[0][0]
    words = found.rstrip()
    return words if words.isascii() is False or len(words) >= 8 else ""


def _mostly_chinese(records: Sequence[Record]) -> bool:
    return sum(script(record.answer) == "zh" for record in records[:500]) * 2 > min(500, len(records))


def _put_length(
    config_text: ConfigText,
    records: Sequence[Record],
    base: str,
    system_prompt: str,
    preference: bool,
    dialogue: Dialogue,
) -> None:
    """``max_seq_length`` for the longest record, and what happens to those that the base cannot hold."""
    tokenizer = load_tokenizer(base)
    most = _positions(Path(base).expanduser())
    account = Rendering()
    settings: dict[str, Any] = {"max_length": most, "too_long": "drop", "system_prompt": system_prompt}
    if preference:
        lengths = [max(len(d.input_ids) for d in pair) for pair in iter_pairs(records, tokenizer, account, **settings)]
    else:
        lengths = [len(document.input_ids) for document in iter_documents(records, tokenizer, account, **settings)]
    if not lengths:
        raise DataError("run.nothing_left", where=base, limit=most)
    longest = max(lengths)
    length = max(512, min(most, -(-longest // _STEP) * _STEP)) if most >= 512 else most
    config_text.put({"max_seq_length": length}, text("init.length", longest=longest))
    if account.too_long:
        words = text("init.too_long", count=len(account.too_long), most=most)
        dialogue.say(words)
        config_text.put({"too_long": "drop"}, words)


def _positions(base: Path) -> int:
    """Tokens that the base can hold; the most that a config allows where its config.json does not tell."""
    with suppress(OSError, ValueError):
        told = json.loads((base / "config.json").read_text(encoding="utf-8"))
        for part in (told, told.get("text_config") or {}):
            if isinstance(most := part.get("max_position_embeddings"), int) and most >= 2:
                return min(most, 1_048_576)
    return 1_048_576


def _output_for(folder: Path) -> Path:
    """A folder of its own below ``output``, outside of the data."""
    whole = folder.resolve()
    name = re.sub(r"[^\w.-]+", "_", whole.stem if whole.is_file() else whole.name).strip("._") or "adapter"
    target = Path("output") / name
    if whole.is_dir() and target.resolve().is_relative_to(whole):
        target = Path(os.path.relpath(whole.parent / "output" / name))
    return following_folder(target) if target.exists() else target


def _for_pictures(folder: Path, dialogue: Dialogue, base_model: str | None) -> ConfigText:
    ledger = check_pictures(folder)
    for label, value in summary(ledger):
        dialogue.say(f"{label}: {value}")
    there = [path for path in _folders(MODELS) if (path / "model_index.json").is_file()]
    if base_model is None:
        if not there:
            raise UsageError("init.no_picture_base")
        chosen = dialogue.choose(text("init.which_base"), [str(path) for path in there], written=True)
        base_model = str(there[chosen]) if isinstance(chosen, int) else chosen
    check_picture_base(base_model)
    trigger = dialogue.free_text(text("init.trigger"))
    tiny = Path(base_model).name == "tiny-sd"
    config_text = ConfigText([f"# {line}" for line in text("init.header", folder=folder).splitlines()])
    config_text.put(
        {"task_type": "image-generation", "train_data_dir": str(folder)}, text("init.pictures", count=ledger.kept)
    )
    config_text.put({"base_model": base_model, "output_dir": str(_output_for(folder))}, text("init.output_comment"))
    if trigger:
        config_text.put({"trigger_word": trigger}, text("init.trigger_word"))
    config_text.put({"lora_rank": 16, "lora_alpha": 32, "lora_dropout": 0}, text("init.adapter"))
    config_text.put(
        {"learning_rate": 5e-4 if tiny else 1e-4, "batch_size": 4, "max_steps": 600}, text("init.picture_rate")
    )
    return config_text
