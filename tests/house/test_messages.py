"""What users read: both languages say the same, every text that code names is filed, every filed text is named."""

import ast
import re
import string
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "lora_scripts"
ROOMS = sorted(p.stem for p in (PACKAGE / "messages").glob("*.py") if p.stem != "__init__")
SOURCES = [p for p in PACKAGE.rglob("*.py") if p.parent.name != "messages"]
# functions whose first argument is a key; those in WITH_FIX fill in the text's ``.fix`` too
TEXT_ONLY = {"text", "say"}
WITH_FIX = {"problem", "fix_for"}
FROM_ERROR = re.compile(r"^[A-Z]\w+Error$|^Interrupted$")


@cache
def filed() -> dict[str, tuple[str, str]]:
    return {f"{room}.{key}": pair for room in ROOMS for key, pair in texts(room).items()}


def texts(room: str) -> dict[str, tuple[str, str]]:
    return import_module(f"lora_scripts.messages.{room}").TEXTS


def holes(words: str) -> set[str]:
    """Names of the placeholders of a text."""
    return {re.split(r"[.\[!:]", name)[0] for _, name, _, _ in string.Formatter().parse(words) if name is not None}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def called(node: ast.Call) -> str:
    return ast.unparse(node.func).rpartition(".")[2]


def constants(node: ast.expr) -> list[str]:
    """The texts that an argument can be: a literal, or one of two."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    return constants(node.body) + constants(node.orelse) if isinstance(node, ast.IfExp) else []


def named_keys() -> list[tuple[str, ast.Call, str]]:
    """(key, call, place) of every call that names a text by a literal."""
    found = []
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            takes_key = isinstance(node, ast.Call) and node.args
            if takes_key and (called(node) in TEXT_ONLY | WITH_FIX or FROM_ERROR.match(called(node))):
                place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                found += [(key, node, place) for key in constants(node.args[0]) if key.partition(".")[0] in ROOMS]
    return found


def literals(room: str) -> set[str]:
    """Every text literal of a room's code; ``assemble`` and ``cli`` speak for all rooms."""
    speakers = [p for p in SOURCES if p.relative_to(PACKAGE).parts[0] in (room, "assemble", "cli")]
    nodes = (node for path in speakers for node in ast.walk(tree(path)))
    return {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}


@pytest.mark.parametrize("room", ROOMS)
def test_both_languages_say_the_same(room):
    for key, (english, chinese) in texts(room).items():
        assert english.strip(), key
        assert chinese.strip(), key
        assert holes(english) == holes(chinese), key


@pytest.mark.parametrize("room", ROOMS)
def test_english_is_english_and_chinese_is_chinese(room):
    han = re.compile("[\u4e00-\u9fff]")
    for key, (english, chinese) in texts(room).items():
        assert not han.search(english), key
        words_left = re.sub(r"`[^`]*`|\{[^}]*\}|[A-Za-z_.]+=\S+|--\S+", "", chinese)
        if len(re.findall(r"[A-Za-z]{2,}", words_left)) > 3:
            assert han.search(chinese) or english == chinese, key  # a command is the same in both


def test_a_fix_belongs_to_a_text():
    alone = {key for key in filed() if key.endswith(".fix") and key.removesuffix(".fix") not in filed()}
    assert alone == {"data.report.fix"}  # the head of a column


def test_every_text_that_code_names_is_filed():
    named = named_keys()
    assert len(named) > 100
    assert [f"{place} {key}" for key, _, place in named if key not in filed()] == []


def test_every_placeholder_is_filled_by_the_call():
    short = []
    for key, call, place in named_keys():
        if any(k.arg is None for k in call.keywords) or key not in filed():
            continue
        given = {k.arg for k in call.keywords}
        wanted = holes(filed()[key][0])
        if called(call) not in TEXT_ONLY:
            given -= {"where"}  # goes before the text, not into it
            wanted |= holes(filed().get(key + ".fix", ("", ""))[0])
        if wanted - given:
            short.append(f"{place} {key} lacks {sorted(wanted - given)}")
    assert short == []


def test_every_filed_text_is_named_by_code():
    patterns = []
    whole = set()
    for path in SOURCES:
        room = path.relative_to(PACKAGE).parts[0]
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                whole.add(node.value)
            elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                start = str(node.values[0].value)
                if start.partition(".")[0] in ROOMS and "." in start:
                    patterns.append((start, literals(room)))
    unnamed = []
    for key in filed():
        name = key.removesuffix(".fix") if key.removesuffix(".fix") in filed() else key
        put_together = any(name.startswith(start) and name[len(start) :] in words for start, words in patterns)
        if name not in whole and not put_together:
            unnamed.append(name)
    assert sorted(set(unnamed)) == []


def test_every_reason_for_leaving_out_has_words():
    """The ledger's bins, as ``Draft(reason=…)``, ``UnfitError(…)`` and ``leave_out(place, …)`` name them."""
    reasons = set()
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            if called(node) == "leave_out" and len(node.args) > 1:
                reasons.update(constants(node.args[1]))
            elif called(node) == "UnfitError":
                reasons.update(constants(node.args[0]))
            elif called(node) == "Draft":
                reasons.update(w for k in node.keywords if k.arg == "reason" for w in constants(k.value))
    assert {"exact_duplicate", "tool_calls", "unreadable"} <= reasons
    assert sorted(r for r in reasons if f"data.reason.{r}" not in filed()) == []


def test_every_finding_has_words():
    kinds = set()
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and called(node) == "finding":
                kinds.update(constants(node.args[1]))
            elif isinstance(node, ast.Tuple) and len(node.elts) == 4:
                severity = constants(node.elts[0])
                if severity and severity[0] in ("info", "warning", "danger"):
                    kinds.update(constants(node.elts[1]))
    assert {"hidden", "learned_roles", "near_duplicates"} <= kinds | set(literals("data"))
    assert sorted(k for k in kinds if not {f"data.finding.{k}", f"reading.finding.{k}"} & filed().keys()) == []


def test_the_language_follows_the_environment(monkeypatch):
    from lora_scripts.messages import language, text

    for value, wanted in (("zh_CN", "zh"), ("EN", "en")):
        monkeypatch.setenv("LORA_SCRIPTS_LANG", value)
        assert language() == wanted
    monkeypatch.delenv("LORA_SCRIPTS_LANG")
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert text("train.progress") == "训练"
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    assert text("train.progress") == "training"


def test_an_error_is_in_one_language_to_its_last_word(monkeypatch):
    from lora_scripts.errors import problem

    monkeypatch.setenv("LORA_SCRIPTS_LANG", "zh")
    assert (
        str(problem("cli.bad_weight", "a:b", weight="b")) == "a:b: b 不是有效的权重\n  办法：请写成 DIR:0.5，或只写 DIR"
    )
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "en")
    assert str(problem("cli.bad_weight", "a:b", weight="b")).endswith("fix: write DIR:0.5, or only DIR")
