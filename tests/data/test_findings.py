"""Findings: each fault is found where it was planted, good sets stay quiet, and no text is quoted."""

import itertools
import json
import math
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.config import load_config
from lora_scripts.data.advice import advice, advice_lines
from lora_scripts.data.clean import clean
from lora_scripts.data.findings import MOST_KEYS, Finder, opening, script
from lora_scripts.data.ledger import Finding, Ledger
from lora_scripts.data.reading.formats import read_records
from lora_scripts.data.records import Draft, Message, Record

ROOT = Path(__file__).resolve().parents[2]


def pair(question: str, answer: str, source: str = "f:1", synthetic: bool = False) -> Record:
    return Record((Message("user", question), Message("assistant", answer)), source, synthetic)


def letters(rng: random.Random, count: int) -> str:
    return "".join(chr(0x4E00 + rng.randrange(3000)) for _ in range(count))


def house(count: int = 300) -> list[Record]:
    """Answers of one form: the law and its article, then 60 letters."""
    rng = random.Random(4)
    return [
        pair(f"{letters(rng, 20)}？", f"依据《劳动合同法》第{i}条，{letters(rng, 60)}。", f"f:{i}")
        for i in range(count)
    ]


def found(records: list[Record]) -> dict[str, Finding]:
    finder = Finder()
    for record in records:
        finder.add(record)
    out = {f.kind: f for f in finder.findings()}
    assert len(out) == len(finder.findings())
    assert all(f.fix for f in out.values())
    return out


def severities(records: list[Record]) -> dict[str, str]:
    return {kind: f.severity for kind, f in found(records).items()}


def test_a_set_in_one_form_has_nothing_but_its_size() -> None:
    assert severities(house()) == {"small_set": "info"}
    assert severities([]) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("可以解除合同，并请求补偿。", "不可以，这样做不合法。"),
        ("应当支付二倍工资。", "无需支付，因为已过时效。"),
        ("Yes, you can return it.", "No, that is not possible."),
        ("期限是30日。", "期限是15日。"),
        ("依据《劳动法》第四十四条，按三百元计。", "依据《劳动法》第四十五条，按三百元计。"),
    ],
)
def test_contradicting_answers_are_dangers(one: str, other: str) -> None:
    rows = [*house(), pair("同一个问题怎么办？", one, "a:1"), pair("同一个问题，怎么办", other, "b:2")]
    told = found(rows)["contradicting_answers"]
    assert told.severity == "danger"
    assert (told.where, "b:2 ↔ a:1" in told.text) == ("b:2", True)


def preference(question: str, chosen: str, rejected: str, source: str) -> Record:
    return Record((Message("user", question), Message("assistant", chosen)), source, False, rejected)


def test_an_answer_chosen_in_one_pair_and_rejected_in_another_is_a_danger() -> None:
    rows = [
        preference("试用期多长？", "依据劳动合同法，不超过六个月。", "随便多长。", "f:1"),
        preference("试用期多长？", "随便多长。", "依据劳动合同法，不超过六个月。", "f:2"),
        preference("工资何时发？", "依据劳动法，按月支付。", "看公司安排。", "f:3"),
    ]
    told = found(rows)["opposed_pairs"]
    assert told.severity == "danger"
    assert told.text.endswith("f:1, :2")
    assert "opposed_pairs" not in found([rows[0], rows[2]])
    elsewhere = preference("另一个问题？", "随便多长。", "依据劳动合同法，不超过六个月。", "f:4")
    assert "opposed_pairs" not in found([rows[0], elsewhere])


def test_answers_that_only_differ_are_no_contradiction() -> None:
    rows = [*house(), pair("怎么办理？", "请带上证件到窗口。"), pair("怎么办理？", "窗口受理，带上证件。", "f:2")]
    told = found(rows)
    assert "contradicting_answers" not in told
    assert told["different_answers"].severity == "warning"
    assert "f:2 ↔ f:1" in told["different_answers"].text


def test_the_same_question_in_other_conversations_is_another_question() -> None:
    def talk(first: str, last: str, source: str) -> Record:
        turns = (("user", first), ("assistant", "好的"), ("user", "那多久？"), ("assistant", last))
        return Record(tuple(Message(*turn) for turn in turns), source)

    told = found([*house(), talk("离婚要多久？", "可以，30日", "g:1"), talk("上诉期呢？", "不可以，15日", "g:2")])
    assert not {"contradicting_answers", "different_answers"} & set(told)


def test_answers_out_of_the_house_form_are_named() -> None:
    rows = house()
    rows[7] = pair(
        "问题甲怎么办？", "公司应当支付补偿，您可以先与公司协商，协商不成再申请仲裁，注意时效是一年。", "f:7"
    )
    rows[9] = pair("问题乙怎么办？", f"依据《劳动合同法》第9条，{letters(random.Random(1), 400)}。", "f:9")
    told = found(rows)
    assert "“依据《…》第…条”" in told["house_opening"].text
    assert (told["house_opening"].where, told["house_length"].where) == ("f:7", "f:9")
    assert "house_citation" not in told  # the same record, told once


def test_a_missing_citation_is_named_where_openings_are_free() -> None:
    rng = random.Random(5)
    rows = [pair(letters(rng, 20), f"{letters(rng, 9)}，见《劳动法》第{i}条。", f"f:{i}") for i in range(100)]
    rows[3] = pair("问题甲", "劳动者可以请求公司支付。", "f:3")
    told = found(rows)
    assert "house_opening" not in told
    assert (told["house_citation"].where, "99 %" in told["house_citation"].text) == ("f:3", True)


@pytest.mark.parametrize(
    "broken", ["锟斤拷锟斤拷", "烫烫烫", "甲\ufffd乙", "cafÃ©", "donâ€™t", "绛旀锛氬彲浠ワ紝涓嶇敤銆"]
)
def test_broken_characters_are_dangers(broken: str) -> None:
    told = found([*house(), pair("问题甲怎么办？", f"依据《劳动合同法》第9条，{broken}", "f:900")])["mojibake"]
    assert (told.severity, told.where) == ("danger", "f:900")


def test_mojibake_made_by_the_wrong_codec_is_found() -> None:
    answer = "依据《劳动合同法》第十条，建立劳动关系，应当订立书面劳动合同。"
    for broken in (
        answer.encode("utf-8").decode("gb18030", "replace"),
        answer.encode("gb18030").decode("utf-8", "replace"),
        "Café über naïve".encode().decode("latin-1"),
        "it’s “fine”".encode().decode("cp1252", "replace"),
    ):
        assert "mojibake" in found([*house(30), pair("问题甲", broken, "f:900")]), broken


@pytest.mark.parametrize("fine", ["NÃO, São Paulo", "Ça va? À bientôt", "Ângela", "café — “naïve”", "锛子是木工工具。"])
def test_accents_and_rare_characters_are_not_broken(fine: str) -> None:
    assert "mojibake" not in found([*house(), pair("问题甲怎么办？", fine, "f:900")])


def test_an_answer_in_another_language_is_named() -> None:
    rows = [*house(), pair("工资怎么算？", "You should ask the company for the payslip first.", "f:900")]
    told = found(rows)["wrong_language"]
    assert (told.where, told.severity) == ("f:900", "warning")
    asked = [*house(), pair("请翻译成英文：先问公司要工资条", "You should ask the company first.", "f:900")]
    assert "wrong_language" not in found(asked)
    pairs = [*house(), pair("How is it paid?", "You should ask the company first.", "f:900")]
    assert found(pairs)["other_language"].severity == "info"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("依据劳动合同法，第十条", "zh"),
        ("The quick brown fox jumps", "en"),
        ("お問い合わせありがとうございます。担当者", "ja"),
        ("안녕하세요 반갑습니다", "ko"),
        ("Добрый день, как дела", "ru"),
        ("用 Python 的 pandas 库读取文件即可", "zh"),
        ("12345", ""),
        ("", ""),
    ],
)
def test_the_language_is_told_by_its_letters(words: str, wanted: str) -> None:
    assert script(words) == wanted


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("作为一个人工智能语言模型，我不能提供意见。", "machine_talk"),
        ("As an AI language model, I cannot.", "machine_talk"),
        ("您好{{name}}，已经为您办理。", "unfilled"),
        ("您好[姓名]，已经为您办理。", "unfilled"),
        ("@小王 这个你来答一下。", "remark_in_answer"),
        ("定金不退。\n（周总批注：下半年要改）", "remark_in_answer"),
        ("公司没有签劳动合同怎么办？可以要求二倍工资。", "question_repeated"),
    ],
)
def test_talk_that_nobody_wants_is_named(answer: str, kind: str) -> None:
    rows = [*house(), pair("公司没有签劳动合同怎么办？", answer, "f:900")]
    assert found(rows)[kind].where == "f:900"


def test_a_sentence_in_most_answers_is_named() -> None:
    rows = [pair(r.question, r.answer + "以上内容仅供参考，不构成法律意见。", r.source) for r in house()]
    told = found(rows)["boilerplate"]
    assert (told.severity, "100 %" in told.text) == ("info", True)
    assert "以上内容仅供参考，不构成法律意见" in told.text


def test_findings_quote_no_text_of_single_records() -> None:
    secret = "张三丰住在武当山"
    rows = house(60)
    for i, answer in enumerate(
        (
            f"可以，{secret}",
            f"不可以，{secret}",
            f"锟斤拷{secret}",
            f"作为AI语言模型，{secret}",
            f"{{{{name}}}}{secret}",
        )
    ):
        rows.append(pair(secret, answer, f"g:{i}"))
    finder = Finder()
    for record in rows:
        finder.add(record)
    told = " ".join(f.text + f.fix + f.where for f in finder.findings())
    assert len(finder.findings()) >= 5
    assert secret[:3] not in told + str(finder.distributions())


def test_lengths_and_openings_are_counted() -> None:
    rows = [pair("一二三", "依据《甲法》第三条，是。", f"f:{i}") for i in range(4)]
    rows += [pair("一" * 10, "独一无二的开头，" + "好" * 5000, "f:9"), pair("一", "独一无二的结尾，是。", "f:8")]
    finder = Finder()
    for record in rows:
        finder.add(record)
    told = finder.distributions()
    assert told["openings"] == {"依据《…》第…条": 4}
    assert told["question_length"]["0-9"] == 5
    assert told["question_length"]["10-19"] == 1
    assert told["answer_length"]["5000+"] == 1
    assert told["answer_length"]["longest"] == 5008
    assert sum(told["answer_length"].values()) - 5008 == len(rows)


def test_openings_leave_out_what_changes() -> None:
    assert opening("依据《劳动合同法》第八十二条，每月2倍") == "依据《…》第…条，每月…倍"


@pytest.mark.parametrize(("count", "kind"), [(1, "too_few"), (199, "too_few"), (200, "small_set"), (1000, None)])
def test_small_sets_get_lines_for_the_config(count: int, kind: str | None) -> None:
    told = found(house(count))
    assert {"too_few", "small_set"} & set(told) == ({kind} if kind else set())
    if kind:
        assert advice_lines(count) in told[kind].fix


def test_advice_for_a_known_base_suits_its_size() -> None:
    finder = Finder()
    finder.base_parameters = 6_400_000
    ledger = Ledger()
    for record in house(60):
        finder.add(record)
    finder.tell(ledger)
    fix = next(f.fix for f in ledger.findings if f.kind == "too_few")
    assert "6 million parameters" in fix and "learning_rate: 1.5e-3" in fix and "7B" not in fix
    assert advice(60, 7_000_000_000) == advice(60)


def test_synthetic_records_do_not_make_a_set_large() -> None:
    rows = house(100)
    made = [pair("请问" + r.question, r.answer, "s" + r.source, True) for r in rows for _ in range(20)]
    assert "too_few" in found([*rows, *made])


@pytest.mark.parametrize("count", [5, 60, 200, 3000, 50_000])
def test_advised_lines_are_lines_of_a_config(count: int, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    lines = advice_lines(count)
    file.write_text(f"train_data_dir: d\nbase_model: m\noutput_dir: o\n{lines}\n", encoding="utf-8")
    config = load_config(file).config
    wanted = advice(count)
    assert len(wanted) >= 6
    for key, value in wanted.items():
        got = getattr(config, key)
        assert got == ((value,) if key == "target_modules" else value), key


def test_fewer_records_get_more_rounds_and_more_validation() -> None:
    small, large = advice(40), advice(20_000)
    assert small["epochs"] > large["epochs"]
    assert small["eval_ratio"] > large["eval_ratio"]


def test_the_measured_runs_bear_the_advice_out() -> None:
    """bench/advice.jsonl: of two runs that differ in layers or rank alone, the one nearer to the advice was better."""
    lines = [json.loads(line) for line in (ROOT / "bench" / "advice.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) >= 20
    apart = ("base", "data", "rows", "rank", "targets", "rate", "dropout", "seed")
    compared = 0
    for line, other in itertools.combinations(lines, 2):
        advised = advice(line["rows"])
        if [key for key in apart if line[key] != other[key]] == ["targets"]:
            away = [one["targets"] != advised["target_modules"] for one in (line, other)]
        elif [key for key in apart if line[key] != other[key]] == ["rank"]:
            away = [abs(math.log2(one["rank"] / advised["lora_rank"])) for one in (line, other)]
        else:
            continue
        if away[0] == away[1]:
            continue
        ours, theirs = (line, other) if away[0] < away[1] else (other, line)
        compared += 1
        assert ours["loss_best"] < theirs["loss_best"], (ours["run"], theirs["run"])
        assert ours["epochs_to_best"] <= advised["epochs"]
    assert compared >= 10


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("law_train", {"small_set"}),
        ("support_train", {"too_few", "boilerplate"}),
        ("medical_train", {"too_few", "boilerplate"}),
        ("finance_train", {"too_few", "boilerplate"}),
        ("hr_style_train", {"too_few", "boilerplate"}),
    ],
)
def test_our_own_sets_raise_no_alarm(name: str, allowed: set[str]) -> None:
    assert set(found(read_records(ROOT / "data" / name).records)) <= allowed


def test_real_sets_raise_few_alarms(shared_data: Path) -> None:
    for name, dangers in (("zh_finance", set()), ("qa_statutes", set())):
        told = severities(read_records(shared_data / name).records)
        assert {kind for kind, severity in told.items() if severity == "danger"} == dangers, name
    told = found(read_records(shared_data / "qa_statutes").records)
    assert told["house_opening"].where.rpartition("/")[2].startswith("case_qa.jsonl")
    assert told["house_opening"].text.startswith("10 answers")


def test_duplicates_of_a_table_are_counted_as_python_counts_them() -> None:
    duplicates_are_counted_as_python_counts_them(ROOT / "tests" / "data" / "messy" / "departments_gb18030.csv", 27)


def test_duplicates_of_the_medical_set_are_counted_as_python_counts_them(shared_data: Path) -> None:
    duplicates_are_counted_as_python_counts_them(shared_data / "zh_medical" / "medical_first_1000_gb18030.csv", 1000)


def duplicates_are_counted_as_python_counts_them(path: Path, count: int) -> None:
    import csv

    with path.open(encoding="gb18030", newline="") as file:
        rows = [(r["title"].strip(), r["ask"].strip(), r["answer"].strip()) for r in csv.DictReader(file)]
    reasons = read_records(path).ledger.reasons()
    assert len(rows) == count
    assert reasons["exact_duplicate"] + reasons.get("near_duplicate", 0) >= len(rows) - len(set(rows)) > 0


def test_a_hundred_thousand_records_take_seconds() -> None:
    rng = random.Random(1)
    pool = [letters(rng, 40) for _ in range(500)]
    rows = [
        (
            "f",
            Draft(
                i,
                (Message("user", f"{pool[i % 499]}{i}？"), Message("assistant", "，".join(rng.sample(pool, 4)) + "。")),
            ),
        )
        for i in range(5_000)
    ]
    begun = time.process_time()
    finder, ledger = Finder(), Ledger()
    for record in clean(rows, ledger):
        finder.add(record)
    finder.tell(ledger)
    assert ledger.kept == 5000
    # 20 s for 100,000 is 1 s for 5,000, of a slow processor ten; comparing each with each takes longer there too
    assert time.process_time() - begun < 10


def test_counted_openings_have_a_bound() -> None:
    finder = Finder()
    for i in range(MOST_KEYS + 200):
        finder._openings.add(f"{i}")
    finder._openings.add("0")
    assert len(finder._openings.of) == MOST_KEYS
    assert finder._openings.of["0"] == 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=40), st.text(max_size=80)), min_size=0, max_size=30))
def test_any_texts_are_looked_at_without_an_error(rows: list[tuple[str, str]]) -> None:
    finder, ledger = Finder(), Ledger()
    for line, (question, answer) in enumerate(rows):
        finder.add(pair(question, answer, f"f:{line}"))
    finder.tell(ledger)
    for name in ("question_length", "answer_length"):
        told = ledger.distributions[name]
        assert sum(n for key, n in told.items() if key != "longest") == len(rows)
