"""Masks and pseudonyms: idempotent, consistent, keyed, and no value in counts, findings or notes."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.data.ledger import Ledger
from lora_scripts.data.pii.desensitize import MARKS, desensitize_records, desensitize_text
from lora_scripts.data.pii.find import PII_TYPES, find_pii
from lora_scripts.data.pii.stand_ins import is_stand_in, stand_in
from lora_scripts.data.records import Message, Record
from lora_scripts.errors import ConfigError

VALUES = {
    "id_card": "11010519491231002X",
    "phone": "13800138000",
    "landline": "010-65551234",
    "email": "li.lei_secret@example.com",
    "bank_card": "6222021234567890128",
    "passport": "E12345678",
    "permit": "H12345678",
    "plate": "京A12345",
    "uscc": "91110000600037341L",
    "case_no": "（2023）京0108民初12345号",
    "medical_no": "0012345678",
    "wechat": "wx_lilei88",
    "qq": "123456789",
    "ip": "192.168.31.7",
    "mac": "00:1A:2B:3C:4D:5E",
    "amount": "3.5万元",
    "name": "李雷",
    "address": "北京市朝阳区建国路88号",
}
FRAMES = {
    "passport": "护照号码{}，",
    "permit": "港澳通行证{}，",
    "medical_no": "病历号：{}，",
    "wechat": "微信号 {}，",
    "qq": "QQ：{}，",
    "name": "我叫{}，",
    "address": "我住在{}，",
}
ALL = "".join(FRAMES.get(kind, "有{}，").format(value) for kind, value in VALUES.items())


def record(question, answer, line=1):
    return Record((Message("user", question), Message("assistant", answer)), f"a.txt:{line}")


def test_each_type_gets_its_mark():
    masked, counts = desensitize_text(ALL, types=None)
    assert counts == dict.fromkeys(PII_TYPES, 1)
    assert [masked.count(mark) for mark in MARKS.values()] == [1] * len(MARKS)
    assert [v for v in VALUES.values() if v in masked] == []


def test_text_around_stays_as_it_is():
    assert desensitize_text("问：我的手机 138 0013 8000，\r\n 可以吗？")[0] == "问：我的手机 [电话]，\r\n 可以吗？"


@pytest.mark.parametrize("kind", [k for k in PII_TYPES if k != "amount"])
def test_a_pseudonym_is_the_same_for_one_value_and_key_and_other_for_others(kind):
    made = stand_in(kind, VALUES[kind], "key")
    assert made == stand_in(kind, VALUES[kind], "key")
    assert made != VALUES[kind]
    assert made != stand_in(kind, VALUES[kind], "other key")
    many = {stand_in(kind, VALUES[kind] + str(i), "key") for i in range(50)}
    assert len(many) > 45


@pytest.mark.parametrize("kind", ["id_card", "bank_card", "uscc"])
def test_a_stand_in_with_a_check_digit_passes_its_own_detector(kind):
    for index in range(200):
        made = stand_in(kind, f"{VALUES[kind]}{index}", "k")
        assert [(s.type, s.value) for s in find_pii(f"号码{made}。")] == [(kind, made)]
        assert is_stand_in(kind, made)
    assert not is_stand_in(kind, VALUES[kind])


def test_the_same_number_in_other_dress_gets_the_same_pseudonym():
    forms = [
        "13800138000",
        "138 0013 8000",
        "１３８００１３８０００",
        "+86 138-0013-8000",
        "一三八〇〇一三八〇〇〇",
        "138\u200b00138000",
    ]
    made = {desensitize_text(f"打{form}", mode="pseudonym", key="k")[0] for form in forms}
    assert len(made) == 1 and re.fullmatch(r"打100\d{8}", made.pop())


@pytest.mark.parametrize("mode", ["mask", "pseudonym"])
def test_a_second_pass_changes_nothing(mode):
    once, counts = desensitize_text(ALL, mode=mode, types=None, key="k")
    assert len(counts) == len(PII_TYPES)
    assert [v for v in VALUES.values() if v in once] == []
    assert desensitize_text(once, mode=mode, types=None, key="k") == (once, {})


PIECES = st.lists(
    st.sampled_from(
        [
            *VALUES.values(),
            *(f.format(VALUES[k]) for k, f in FRAMES.items()),
            "，",
            " ",
            "和",
            "王",
            "1",
            "号",
            "-",
            "\n",
            "微信",
        ]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(st.one_of(PIECES, st.text(max_size=80)), st.sampled_from(["mask", "pseudonym"]))
def test_a_second_pass_changes_nothing_on_any_text(text, mode):
    once, _ = desensitize_text(text, mode=mode, types=None, key="k")
    assert desensitize_text(once, mode=mode, types=None, key="k")[0] == once


def test_mode_drop_counts_and_changes_nothing():
    assert desensitize_text("打13800138000", mode="drop") == ("打13800138000", {"phone": 1})


@pytest.mark.parametrize(("mode", "key"), [("hide", "k"), ("pseudonym", "")])
def test_an_unknown_mode_and_a_pseudonym_without_key_are_refused_at_once(mode, key):
    with pytest.raises(ConfigError):
        desensitize_text("x", mode=mode, key=key)
    with pytest.raises(ConfigError):
        desensitize_records([], Ledger(), mode=mode, key=key)


def test_records_are_masked_counted_and_one_finding_says_so():
    rows = [record("打13800138000行吗", "行", 1), record("无事", "好", 3), record("写a@b.cn", "打13900139000", 5)]
    ledger = Ledger(kept=3)
    got = list(desensitize_records(rows, ledger))
    assert [[m.content for m in r.messages] for r in got] == [
        ["打[电话]行吗", "行"],
        ["无事", "好"],
        ["写[邮箱]", "打[电话]"],
    ]
    assert ledger.personal_counts == {"phone": 2, "email": 1}
    assert ledger.personal_data == {"phone": ["a.txt:1", "a.txt:5"], "email": ["a.txt:5"]}
    assert [(f.severity, "phone 2, email 1" in f.text) for f in ledger.findings] == [("info", True)]
    assert ledger.kept == 3


def test_mode_drop_puts_the_record_into_the_bin_with_types_only():
    ledger = Ledger(read=2, kept=2)
    got = list(desensitize_records([record("打13800138000", "行"), record("好", "行")], ledger, mode="drop"))
    assert [r.question for r in got] == ["好"]
    assert (ledger.kept, ledger.reasons()) == (1, {"masked": 1})
    ledger.check_sum()
    assert "phone" in ledger.left_out[0].note and "138" not in ledger.left_out[0].note


def test_an_answer_of_nothing_but_marks_goes_into_the_bin():
    ledger = Ledger(read=2, kept=2)
    rows = [record("号码多少", "13800138000。", 1), record("打给谁", "打13800138000", 4)]
    assert [r.answer for r in desensitize_records(rows, ledger)] == ["打[电话]"]
    assert [entry.source for entry in ledger.left_out] == ["a.txt:1"]


def test_clean_records_pass_through_untouched_and_without_a_finding():
    ledger, row = Ledger(kept=1), record("无事", "好")
    assert next(desensitize_records([row], ledger)) is row
    assert ledger.findings == []


@pytest.mark.parametrize("mode", ["mask", "pseudonym", "drop"])
def test_no_value_is_left_in_records_counts_findings_or_notes(mode):
    ledger = Ledger(kept=1)
    rows = list(desensitize_records([record(ALL, "答：" + ALL)], ledger, mode=mode, types=None, key="k"))
    seen = repr((rows, ledger))
    assert [v for v in VALUES.values() if v in seen] == []
    assert sum(ledger.personal_counts.values()) >= 2 * len(PII_TYPES)
