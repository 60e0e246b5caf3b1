"""Variants by rules: other words, the same facts, the same answer, and an account of it."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.data.augment.rules import (
    Growth,
    Variant,
    augment_records,
    summary_lines,
    unfaithful,
    write_augmented,
)
from lora_scripts.data.augment.wordings import asks, language_of
from lora_scripts.data.clean import normal
from lora_scripts.data.reading.formats import read_records
from lora_scripts.data.records import Message, Record
from lora_scripts.errors import DataError, UsageError

DIGITS = re.compile(r"\d+")
CITED = re.compile(r"《[^》]+》|第[零一二三四五六七八九十百\d]+[条款项]")
A_NOT_A = re.compile(r"(.)[不没]\1|是否|能否|可否")


def pair(question: str, answer: str = "答", source: str = "a.txt:1") -> Record:
    return Record((Message("user", question), Message("assistant", answer)), source)


def grown(question: str, per_record: int = 40, **more: object) -> list[str]:
    return [v.messages[0].content for v in augment_records([pair(question)], per_record=per_record, **more)]


@pytest.fixture(scope="module")
def law(project_root: Path) -> list[Record]:
    return read_records(project_root / "data" / "law_train" / "train.txt").records


@pytest.fixture(scope="module")
def support(project_root: Path) -> list[Record]:
    return read_records(project_root / "data" / "support_train" / "train.csv").records


def test_each_law_question_gets_the_wanted_number_of_new_questions_and_keeps_its_answer(law):
    growth = Growth()
    variants = list(augment_records(law, per_record=4, seed=1, growth=growth))
    assert len(variants) == 4 * len(law) == growth.made["rules"]
    answers = {record.source: record.answer for record in law}
    assert all(v.messages[-1].content == answers[v.source] for v in variants)
    assert Counter(v.source for v in variants) == Counter({record.source: 4 for record in law})
    keys = [normal(v.messages[0].content) for v in variants]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {normal(record.question) for record in law}
    assert {v.by for v in variants} == {"rules"}


def test_numbers_citations_and_negations_stand_in_every_variant(law, support):
    checked = 0
    for record in law + support:
        question = record.question
        for words in (v.messages[0].content for v in augment_records([record], per_record=12)):
            assert sorted(DIGITS.findall(words)) == sorted(DIGITS.findall(question)), words
            assert sorted(CITED.findall(words)) == sorted(CITED.findall(question)), words
            bare, before = A_NOT_A.sub("", words), A_NOT_A.sub("", question)
            # an opening of the writer's own has none of these
            assert [bare.count(c) for c in "没未无不"] == [before.count(c) for c in "没未无不"], words
            checked += 1
    assert checked > 2000


def test_the_last_clause_comes_first_where_it_stands_on_its_own():
    moved = "能要求赔偿吗？公司一直没跟我签合同"
    assert any(moved in words for words in grown("公司一直没跟我签合同，能要求赔偿吗？", 80))
    assert any("What is going on? My tracking page" in w.replace("What's", "What is") or "what is going on? My" in w
               for w in grown("My tracking page has not moved for days. What is going on?", 80))  # fmt: skip


@pytest.mark.parametrize(
    "question",
    ["我在民办学校当老师，这种单位也归劳动法管吗？", "如果公司一直不给，我该怎么催？", "合同写着“干满两年，能走吗？”"],
)
def test_a_clause_that_leans_on_the_one_before_stays_behind_it(question):
    head = question[:4]
    assert all(words.index(head) < 14 for words in grown(question, 60))


@pytest.mark.parametrize(
    ("question", "never"),
    [
        ("被辞退了只能一直等吗？", "能不能"),
        ("工会会计能兼任吗？", "会不会"),
        ("没多久就离职怎么算工龄？", "没多长"),
        ("公司能开的证明有效吗？", "能不能"),
        ("《怎么计算工资的规定》第三条说了什么？", "如何"),
        ("怎么会这样？", "如何"),
    ],
)
def test_a_swap_that_would_change_the_sense_is_not_made(question, never):
    variants = grown(question, 60)
    assert variants
    assert not [words for words in variants if never in words]


def test_tone_changes_by_known_pairs_of_words():
    assert any("能否要求赔偿" in words for words in grown("干了半年，能要求赔偿吗？", 80))
    assert any("如何计算" in words for words in grown("加班费怎么计算？", 80))
    assert any("Could you please delete my account?" in words for words in grown("Please delete my account.", 80))


def test_only_the_first_question_of_a_conversation_varies():
    talk = tuple(
        Message(role, words)
        for role, words in (
            ("system", "你是律师。"), ("user", "试用期多久？"), ("assistant", "看合同。"),
            ("user", "多久算长？"), ("assistant", "六个月。"),
        )
    )  # fmt: skip
    variants = list(augment_records([Record(talk, "b.jsonl:7")], per_record=6))
    assert len(variants) == 6
    for variant in variants:
        assert variant.messages[:1] + variant.messages[2:] == talk[:1] + talk[2:]
        assert variant.messages[1] != talk[1]
        assert variant.source == "b.jsonl:7"


def test_english_gets_english_words_and_names_keep_their_case(support):
    variants = [v.messages[0].content for v in augment_records(support, per_record=5)]
    assert len(variants) > 4 * len(support)
    assert all(words.isascii() for words in variants)
    named = grown("Does Quillmoor ship to Norway?", 30)
    assert all("Quillmoor" in words and "Norway" in words for words in named)


def test_nobody_is_addressed_who_was_not_named():
    assert not any("律师" in words for words in grown("加班费怎么计算？", 60))
    assert any("律师您好" in words for words in grown("加班费怎么计算？", 60, addressees=["律师"]))
    assert any(words.startswith("Dear Doctor, ") for words in grown("How do I sleep?", 60, addressees=["Doctor"]))


def test_a_seed_fixes_the_variants_wherever_the_record_stands(law):
    alone = [v.messages for v in augment_records(law[5:6], per_record=3, seed=4)]
    among = [v.messages for v in augment_records(law, per_record=3, seed=4) if v.source == law[5].source]
    assert alone == among
    assert alone != [v.messages for v in augment_records(law[5:6], per_record=3, seed=5)]


def test_what_another_record_asks_already_is_not_made_again_and_counted():
    question = "加班费怎么计算？"
    taken = [pair(words, source=f"a.txt:{i}") for i, words in enumerate(grown(question, 5))]
    growth = Growth()
    made = list(augment_records([pair(question), *taken], per_record=5, growth=growth))
    assert not {normal(v.messages[0].content) for v in made} & {normal(r.question) for r in taken}
    assert growth.refused["duplicate"] >= 5


def test_other_languages_and_synthetic_records_are_passed_over_and_counted():
    made = Record(pair("怎么办？").messages, "s.jsonl:1", synthetic=True)
    growth = Growth()
    records = [pair("残業代はいくらですか？"), pair("Comment annuler ma commande ?"), pair("12345"), made]
    assert list(augment_records(records, per_record=3, growth=growth)) == []
    assert growth.refused == {"other_language": 3, "synthetic": 1}
    assert any("neither Chinese nor English" in line for line in summary_lines(growth))


@pytest.mark.parametrize(
    ("question", "words", "reason"),
    [
        ("拖欠两个月工资怎么办？", "拖欠三个月工资怎么办？", "numbers"),
        ("赔偿3,000元合理吗？", "赔偿3,000.5元合理吗？", "numbers"),
        ("《劳动法》第三条说什么？", "《劳动法》第四条说什么？", "citations"),
        ("《劳动法》第三条说什么？", "劳动法第三条说什么？", "citations"),
        ("张某没来上班算旷工吗？", "李某没来上班算旷工吗？", "names"),
        ("[手机号]打不通怎么办？", "电话打不通怎么办？", "names"),
        ("HR说的N+1是什么？", "人事说的N+1是什么？", "names"),
        ("公司没签合同合法吗？", "公司签合同合法吗？", "negation"),
        ("Can I return it to Quillmoor?", "Can I return it to Amazon?", "names"),
        ("Is it covered?", "Isn't it covered?", "negation"),
        ("Does Article 12 apply?", "Does Article 13 apply?", "citations"),
        ("能要求赔偿吗？", "能不能要求赔偿？", ""),
        ("公司没签合同，能要求2倍工资吗？", "能要求2倍工资吗？公司没有签合同。", ""),
        ("Do I need the receipt for Quillmoor?", "For Quillmoor, is the receipt needed?", ""),
    ],
)
def test_a_changed_fact_is_seen_and_a_kept_one_is_not_mistaken(question, words, reason):
    assert unfaithful(question, words) == reason


@settings(max_examples=150, deadline=None)
@given(st.text("公司我能可以吗怎么办不没，。？ 12abHow do I?《》“”[]\n第三条", min_size=1, max_size=40))
def test_no_text_breaks_the_rules_and_no_variant_changes_a_fact(question):
    for variant in augment_records([pair(question)], per_record=3):
        words = variant.messages[0].content
        assert unfaithful(question, words) == ""
        assert normal(words) != normal(question)


def test_language_and_question_are_told_apart():
    told = {"怎么办 how": "zh", "How long?": "en", "いくら": "", "1+1": "", "Где мой заказ?": ""}
    assert {words: language_of(words) for words in told} == told
    assert [asks(w) for w in ("要不要给钱", "谁来付", "请写一份合同", "I forgot my password.", "is it covered")] == [
        True, True, False, False, True,
    ]  # fmt: skip


def test_the_file_is_read_back_as_the_variants_that_were_written(tmp_path, law):
    growth = Growth()
    path = tmp_path / "new" / "more.jsonl"
    count = write_augmented(path, augment_records(law[:20], per_record=3, growth=growth), growth)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert count == len(lines) == 60
    assert {tuple(sorted(line)) for line in lines} == {("by", "messages", "source", "synthetic")}
    assert all(line["synthetic"] is True and line["by"] == "rules" for line in lines)
    assert {line["source"] for line in lines} == {record.source for record in law[:20]}
    read = read_records(path).records
    assert all(record.synthetic for record in read)
    assert [r.question for r in read] == [line["messages"][0]["content"] for line in lines]
    assert [p.name for p in path.parent.iterdir()] == ["more.jsonl"]
    assert summary_lines(growth)[0] == "60 variants made by rules"


def test_no_file_is_written_over(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("mine")
    with pytest.raises(UsageError, match="already"):
        write_augmented(path, augment_records([pair("怎么办？")], per_record=1), Growth())
    assert path.read_text() == "mine"


def test_a_file_that_appears_meanwhile_stays(tmp_path):
    path = tmp_path / "a.jsonl"

    def variants():
        yield Variant(pair("怎么办？").messages, "a:1", "rules")
        path.write_text("theirs")

    with pytest.raises(UsageError, match="already"):
        write_augmented(path, variants(), Growth())
    assert path.read_text() == "theirs"
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


def test_an_interrupted_writing_leaves_nothing(tmp_path):
    def variants():
        yield Variant(pair("怎么办？").messages, "a:1", "rules")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_augmented(tmp_path / "a.jsonl", variants(), Growth())
    assert list(tmp_path.iterdir()) == []


def test_nothing_made_is_refused_with_the_reasons(tmp_path):
    growth = Growth()
    with pytest.raises(DataError, match="neither Chinese nor English"):
        write_augmented(tmp_path / "a.jsonl", augment_records([pair("12")], per_record=2, growth=growth), growth)
    assert list(tmp_path.iterdir()) == []


def test_a_closing_follows_the_mark_that_the_sentence_ends_with():
    told = grown("公司在县城，派我在省会上班。", 60)
    assert any(words.endswith(("。求解答", "。在线等")) for words in told)
    assert not [words for words in told if "？" in words or "?" in words]
    english = grown("How long is a gift card valid?", 60)
    assert not [words for words in english if "valid. " in words]
