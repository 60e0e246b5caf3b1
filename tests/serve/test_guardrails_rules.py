"""Rules and their file: actions, order, required words, label, input, reload, and every slip with its line."""

import logging
import os
import threading

import pytest

from lora_scripts.assemble.serving.guardrails import open_guardrails, read_rule_file
from lora_scripts.errors import ConfigError
from lora_scripts.serve.guardrails import Guardrails, Rule, RuleSet
from lora_scripts.serve.guardrails.disguise import MARK

OUT = frozenset({"output"})


def answered(rules, text):
    guarded = (
        rules if isinstance(rules, Guardrails) else Guardrails(RuleSet(tuple(rules), refusal="不。"))
    ).open_output()
    return "".join([guarded.feed(char) for char in text]) + guarded.end(), guarded


def words(action, *listed, text="", name="words", sides=OUT):
    return Rule(name, "words", action, sides, text, words=listed)


def test_without_rules_everything_passes():
    guards = Guardrails()
    guarded = guards.open_output()
    assert guarded.feed("赌博") == "赌博"
    assert guarded.end() == "" and guarded.finish_reason is None and guarded.hits == []
    verdict = guards.check_input([("user", "赌博")])
    assert verdict.refused is None and verdict.messages == [("user", "赌博")]
    assert guards.label is None


def test_each_action_does_its_part():
    assert answered([words("mask", "坏词")], "有坏词啊")[0] == f"有{MARK * 2}啊"
    assert answered([words("replace", "坏词", text="好话")], "有坏词啊")[0] == "有好话啊"
    assert answered([words("replace", "坏词")], "有坏词啊")[0] == "有啊"
    assert answered([words("refuse", "坏词")], "有坏词啊")[0] == "有\n\n不。"
    assert answered([words("refuse", "坏词", text="换个话题吧")], "坏词啊")[0] == "换个话题吧"
    assert answered([words("append", "坏词", text="请注意。")], "有坏词、坏词啊")[0] == "有坏词、坏词啊\n\n请注意。"
    left, guarded = answered([words("log", "坏词")], "有坏词、坏词啊")
    assert left == "有坏词、坏词啊" and guarded.finish_reason is None
    assert [(h.rule, h.action, h.kind, h.where, h.count) for h in guarded.hits] == [
        ("words", "log", "words", "output", 2)
    ]


def test_hits_never_hold_what_was_said():
    _, guarded = answered([words("mask", "坏词")], "有坏词啊")
    assert "坏词" not in repr(guarded.hits)


def test_finish_reason_tells_whether_something_was_left_out():
    for action, reason in (("mask", "content_filter"), ("replace", "content_filter"), ("append", None)):
        assert answered([words(action, "坏词", text="另话")], "有坏词啊")[1].finish_reason == reason
        assert answered([words(action, "坏词", text="另话")], "没有啊")[1].finish_reason is None


def test_a_refusal_wins_over_a_mask_and_the_longer_replacement_over_the_shorter():
    both = [words("mask", "坏词", name="a"), words("refuse", "坏词语", name="b")]
    assert answered(both, "有坏词语啊")[0] == "有\n\n不。"
    swaps = [words("replace", "坏词", text="甲", name="a"), words("replace", "坏词语", text="乙", name="b")]
    assert answered(swaps, "有坏词语啊")[0] == "有乙啊"
    crossing = [words("replace", "甲乙", text="丙", name="a"), words("mask", "乙丁", name="b")]
    assert answered(crossing, "甲乙丁戊")[0] == f"丙{MARK}戊"


def test_a_replacement_makes_no_word_with_what_stands_beside_it():
    rules = [words("replace", "某词", text="坏", name="a"), words("mask", "坏词", name="b")]
    assert answered(rules, "某词词")[0] == MARK * 2
    assert answered([words("replace", "某词", name="a"), words("mask", "坏词", name="b")], "坏某词词")[0] == MARK * 2


def test_required_words_are_appended_where_they_are_missing():
    rule = Rule("disclaimer", "require", "append", OUT, "仅供参考。", require="仅供参考。")
    assert answered([rule], "可以。")[0] == "可以。\n\n仅供参考。"
    assert answered([rule], "可以。仅 供参考！好")[0] == "可以。仅 供参考！好"
    assert answered([rule], "")[0] == ""


def test_the_label_comes_last_and_not_after_a_refusal():
    guards = Guardrails(RuleSet((words("refuse", "坏词"),), refusal="不。", label="（AI生成）"))
    assert guards.label == "（AI生成）"
    assert answered(guards, "好的。")[0] == "好的。\n\n（AI生成）"
    assert answered(guards, "好的坏词。")[0] == "好的\n\n不。"


def test_lengths_are_bounded():
    most = Rule("long", "length", "refuse", OUT, most=5)
    assert answered([most], "一二三四五")[0] == "一二三四五"
    assert answered([most], "一二三四五六七")[0] == "一二三四五\n\n不。"
    least = Rule("short", "length", "refuse", OUT, least=3)
    assert answered([least], "一二")[0] == "不。"
    assert answered([least], "一二三")[0] == "一二三"
    note = Rule("short", "length", "append", OUT, "太短。", least=3)
    assert answered([note], "一二")[0] == "一二\n\n太短。"


def test_input_is_checked_but_for_the_words_of_the_operator():
    both = frozenset({"input"})
    guards = Guardrails(
        RuleSet((words("refuse", "坏词", sides=both), words("mask", "密语", name="m", sides=both)), refusal="不。")
    )
    verdict = guards.check_input([("system", "不谈坏词"), ("user", "说密 语"), ("assistant", "好")])
    assert verdict.refused is None
    assert verdict.messages == [("system", "不谈坏词"), ("user", f"说{MARK * 3}"), ("assistant", "好")]
    assert [(hit.rule, hit.where) for hit in verdict.hits] == [("m", "input")]
    for role in ("user", "assistant", "tool"):
        assert guards.check_input([(role, "谈坏\u200b词")]).refused == "不。"
    assert guards.open_output().feed("坏词啊") == "坏词啊"


# ---- the rule file


FILE = """\
refusal: 换个话题吧。
label: （本内容由人工智能生成）
rules:
  banned:
    word_list: words.txt
    words: [内联词]
    action: refuse
  personal:
    pii: [phone, email]
    on: output
    action: mask
  disclaimer:
    require: 仅供参考。
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "words.txt").write_text("# 注释\n网络赌博\n\n办假证\n", encoding="utf-8")
    path = tmp_path / "guardrails.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_a_rule_file_is_read(file):
    guards = open_guardrails(file)
    assert len(guards.version) == 12 and guards.label == "（本内容由人工智能生成）"
    for word in ("网络赌博", "办假证", "内联词"):
        assert guards.check_input([("user", word)]).refused == "换个话题吧。"
    assert guards.check_input([("user", "注释")]).refused is None
    assert answered(guards, "电话13812345678。")[0] == "电话[电话]。\n\n仅供参考。\n\n（本内容由人工智能生成）"


def test_the_example_of_the_checkout_is_read(project_root):
    rules = read_rule_file(project_root / "configs" / "serve" / "guardrails.yaml")
    assert len(rules.rules) >= 6 and not rules.notes


def test_the_version_follows_rules_and_lists(file):
    first = read_rule_file(file).version
    assert read_rule_file(file).version == first
    (file.parent / "words.txt").write_text("别的词\n", encoding="utf-8")
    second = read_rule_file(file).version
    file.write_text(FILE.replace("换个", "另选"), encoding="utf-8")
    assert len({first, second, read_rule_file(file).version}) == 3


@pytest.mark.parametrize(
    ("written", "line", "said"),
    [
        ("ruels:\n  a:\n    words: [x]\n    action: log\n", 1, "did you mean rules"),
        ("rules:\n  a:\n    words: [x]\n    acton: log\n    action: log\n", 4, "did you mean action"),
        ("rules:\n  a:\n    words: [x]\n    action: refus\n", 4, "did you mean refuse"),
        ("rules:\n  a:\n    words: [x]\n", 2, "does not say what to do"),
        ("rules:\n  a:\n    action: log\n", 2, "does not say what it looks for"),
        ("rules:\n  a:\n    words: [x]\n    pii: all\n    action: log\n", 2, "words, pii"),
        ("rules:\n  a:\n    pii: [phon]\n    action: log\n", 3, "did you mean phone"),
        ("rules:\n  a:\n    words: ['***']\n    action: log\n", 3, "nothing that could be looked for"),
        ("rules:\n  a:\n    pattern: '('\n    action: log\n", 3, "no regular expression"),
        ("rules:\n  a:\n    pattern: ['a', 'a*']\n    action: log\n", 3, "matches where nothing is"),
        ("rules:\n  a:\n    words: [x]\n    action: append\n", 2, "lacks the words"),
        ("rules:\n  a:\n    words: [x]\n    action: append\n    text: y\n    on: both\n", 6, "on: output"),
        ("rules:\n  a:\n    words: [x]\n    action: mask\n    text: y\n", 5, "no effect"),
        ("rules:\n  a:\n    words: [x]\n    action: log\n    on: out\n", 5, "did you mean output"),
        ("rules:\n  a:\n    length: {max: 0}\n    action: log\n", 3, "whole numbers"),
        ("rules:\n  a:\n    length: {max: 9}\n    action: mask\n", 4, "none of refuse, append, log"),
        ("rules:\n  a:\n    word_list: none.txt\n    action: log\n", 3, "no such file"),
        ("rules:\n  a: x\n", 2, "key: value"),
        ("label: x\nrules:\n", 2, "no rules"),
        ("refusal: 不谈赌博\nrules:\n  a:\n    words: [赌博]\n    action: mask\n", 1, "itself holds a word"),
        ("rules:\n  a:\n    words: [赌博]\n    action: replace\n    text: 赌*博\n", 5, "itself holds a word"),
        ("rules:\n  a:\n    words: [x]\n    words: [y]\n    action: log\n", 4, "second time"),
    ],
)
def test_every_slip_is_told_with_its_line(tmp_path, monkeypatch, written, line, said):
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "en")
    path = tmp_path / "rules.yaml"
    path.write_text(written, encoding="utf-8")
    with pytest.raises(ConfigError) as failed:
        open_guardrails(path)
    assert failed.value.exit_code == 2
    told = [str(one) for one in failed.value.problems]
    assert any(one.startswith(f"{path}:{line}: ") and said in one for one in told), told


def test_all_slips_are_told_at_once(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("lable: x\nrules:\n  a:\n    words: [x]\n    action: bad\n  b:\n    pii: [x]\n", encoding="utf-8")
    with pytest.raises(ConfigError) as failed:
        open_guardrails(path)
    assert [one.where for one in failed.value.problems] == [f"{path}:{n}" for n in (1, 5, 6)]


def test_a_bad_word_of_a_list_is_told_with_its_line(file):
    (file.parent / "words.txt").write_text("好\n—\n", encoding="utf-8")
    with pytest.raises(ConfigError) as failed:
        open_guardrails(file)
    assert failed.value.problems[0].where == f"{file.parent / 'words.txt'}:2"


def test_a_label_that_does_not_speak_of_ai_is_remarked_on(file):
    file.write_text(FILE.replace("人工智能生成", "本店提供"), encoding="utf-8")
    assert "GB 45438" in read_rule_file(file).notes[0]


# ---- reload


def test_a_changed_list_is_in_force_after_a_refresh(file):
    guards = open_guardrails(file)
    before = guards.version
    begun = guards.open_output()
    guards.refresh()
    assert guards.version == before
    stamp = file.parent.joinpath("words.txt").stat()
    (file.parent / "words.txt").write_text("# 注释\n新禁词语\n\n办假证\n", encoding="utf-8")
    os.utime(file.parent / "words.txt", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # same size, same time
    guards.refresh()
    assert guards.version != before
    assert guards.check_input([("user", "新禁词语")]).refused
    assert guards.check_input([("user", "网络赌博")]).refused is None
    assert "不" not in begun.feed("新禁词语啊")  # an answer goes by the rules that it began with


def test_a_broken_edit_keeps_the_old_rules_and_says_so_once(file, caplog, monkeypatch):
    guards = open_guardrails(file)
    monkeypatch.setattr("lora_scripts.serve.guardrails.live._RETRY_S", -1.0)
    before = guards.version
    file.write_text(FILE.replace("refuse", "refus"), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            guards.refresh()
    assert guards.version == before and guards.check_input([("user", "网络赌博")]).refused
    assert len(caplog.records) == 1 and f"{file}:7" in caplog.text and before in caplog.text
    file.write_text(FILE, encoding="utf-8")
    guards.refresh()
    file.unlink()
    guards.refresh()
    assert guards.check_input([("user", "网络赌博")]).refused


def test_a_list_that_comes_later_is_taken_up(file, monkeypatch):
    guards = open_guardrails(file)
    monkeypatch.setattr("lora_scripts.serve.guardrails.live._RETRY_S", -1.0)
    file.write_text(FILE.replace("words.txt", "later.txt"), encoding="utf-8")
    guards.refresh()
    (file.parent / "later.txt").write_text("后来的词\n", encoding="utf-8")
    guards.refresh()
    assert guards.check_input([("user", "后来的词")]).refused


def test_threads_check_while_rules_change(file):
    guards = open_guardrails(file)
    failures = []

    def check():
        for _ in range(200):
            if not guards.check_input([("user", "办假证")]).refused:
                failures.append(1)
            guards.refresh()

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(10):
        (file.parent / "new.txt").write_text(f"办假证\n词语{number}\n", encoding="utf-8")
        (file.parent / "new.txt").replace(file.parent / "words.txt")
    for thread in threads:
        thread.join()
    guards.refresh()
    assert not failures and guards.check_input([("user", "词语9")]).refused
