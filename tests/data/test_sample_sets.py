"""The sample sets in ``data/``: shape, house style, and whether the law they cite says what they say."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from article_runs import Line, read_stored, read_texts, runs_of, wanted

Laws = dict[str, dict[str, list[Line]]]
ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
STATUTES = ROOT.parent / "shared" / "data" / "zh_law_statutes"
SETS = {"law_train/train.txt": 200, "law_eval/eval.txt": 30, "law_more/more.txt": 100, "law_more_eval/eval.txt": 20}
SUPPORT = {"support_train/train.csv": 60, "support_eval/eval.csv": 30}
NUMERAL = "[一二三四五六七八九十百零]+"
HOUSE_FORM = re.compile(rf"^依据《([^》]+)》(第{NUMERAL}条)(?:第({NUMERAL})款)?(?:第({NUMERAL})项)?，")
CITATION = re.compile(rf"(?:《([^》]+)》|(该法)|(劳动合同法))的?(第{NUMERAL}条)(?:(?:、|和|或者)(第{NUMERAL}条))?")


@cache
def law_pairs(name: str) -> list[tuple[str, str]]:
    blocks = (DATA / name).read_text(encoding="utf-8").strip().split("\n\n")
    pairs = []
    for block in blocks:
        question, answer = block.split("\n")
        assert (question[:3], answer[:3]) == ("用户：", "律师："), block
        pairs.append((question[3:], answer[3:]))
    return pairs


@cache
def support_pairs(name: str) -> list[tuple[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return [(row["question"], row["answer"]) for row in csv.DictReader(file)]


def bare(text: str) -> str:
    return re.sub(r"[\W_]", "", text).lower()


@cache
def runs(text: str, length: int) -> frozenset[str]:
    letters = bare(text)
    return frozenset(letters[i : i + length] for i in range(len(letters) - length + 1))


def opening(answer: str) -> tuple[str, str]:
    match = HOUSE_FORM.match(answer)
    assert match, answer
    return match[1], match[2]


@pytest.fixture(scope="module", params=["stored", *(["official texts"] if STATUTES.is_dir() else [])])
def laws(request: pytest.FixtureRequest) -> Laws:
    """The lines of the articles that are cited and of the ones behind them; where the texts are at hand, of all."""
    return read_texts(STATUTES) if request.param == "official texts" else read_stored()


def common(words: frozenset[int], lines: Iterable[Line]) -> int:
    return len(words & frozenset().union(*(runs for _, runs in lines)))


def best_article(answer: str, articles: dict[str, list[Line]]) -> tuple[str, int]:
    """The article of a law that shares most runs of four characters with the answer after its opening."""
    words = runs_of(HOUSE_FORM.sub("", answer))
    shared = {number: common(words, lines) for number, lines in articles.items()}
    best = max(shared, key=lambda number: shared[number])
    return best, shared[best]


@pytest.mark.parametrize(("name", "count"), SETS.items())
def test_a_law_set_has_its_pairs_in_the_house_style(name: str, count: int) -> None:
    pairs = law_pairs(name)
    assert len(pairs) == count
    for question, answer in pairs:
        opening(answer)
        assert 12 <= len(question) <= 60, question
        assert 60 <= len(answer) <= 160, (len(answer), answer)
        assert "您" in answer, answer
        assert answer.endswith("。"), answer


@pytest.mark.parametrize("name", SETS)
def test_every_cited_article_exists(name: str) -> None:
    statutes = json.loads((DATA / "statutes.json").read_text(encoding="utf-8"))
    for _, answer in law_pairs(name):
        law, _ = opening(answer)
        for full, same, plain, *numbers in CITATION.findall(answer):
            cited = full or (law if same else plain)
            for number in filter(None, numbers):
                assert number in statutes[cited]["articles"], f"{cited}{number}: {answer}"


@pytest.mark.parametrize("name", SETS)
def test_an_answer_says_what_its_article_says(name: str, laws: Laws) -> None:
    for _, answer in law_pairs(name):
        law, number = opening(answer)
        best, shared = best_article(answer, laws[law])
        assert (best, shared >= 10) == (number, True), f"{law}: cites {number}, reads like {best} ({shared}): {answer}"


@pytest.mark.parametrize("name", SETS)
def test_a_cited_paragraph_or_item_is_the_one_quoted(name: str, laws: Laws) -> None:
    for _, answer in law_pairs(name):
        match = HOUSE_FORM.match(answer)
        assert match, answer
        law, number, cited_paragraph, cited_item = match.groups()
        paragraphs: list[list[Line]] = []
        for line in laws[law][number]:
            if line[0]:
                paragraphs[-1].append(line)
            else:
                paragraphs.append([line])
        words = runs_of(HOUSE_FORM.sub("", answer))
        index = "一二三四五六七八九十".index(cited_paragraph) if cited_paragraph else 0
        if cited_paragraph:
            shared = [common(words, paragraph) for paragraph in paragraphs]
            assert shared[index] == max(shared), (shared, answer)
        if cited_item:
            items = [line for line in paragraphs[index] if line[0] == cited_item]
            assert len(items) == 1, answer
            assert common(words, items) >= 4, answer


@pytest.mark.parametrize("name", ["law_train/train.txt", "law_more/more.txt"])
def test_the_check_of_the_law_catches_a_citation_that_is_one_article_off(name: str, laws: Laws) -> None:
    listed = json.loads((DATA / "statutes.json").read_text(encoding="utf-8"))
    caught = 0
    for _, answer in law_pairs(name):
        law, number = opening(answer)
        numbers = listed[law]["articles"]
        moved = numbers[(numbers.index(number) + 1) % len(numbers)]
        wrong = answer.replace(number, moved, 1)
        caught += best_article(wrong, laws[law])[0] != opening(wrong)[1]
    assert caught == SETS[name]


def test_the_set_covers_many_articles_of_many_laws() -> None:
    cited = {opening(answer) for _, answer in law_pairs("law_train/train.txt")}
    assert len(cited) >= 150
    assert len({law for law, _ in cited}) >= 12
    held_out = {opening(answer) for _, answer in law_pairs("law_eval/eval.txt")}
    assert held_out & cited, "some held-out questions are on articles that training has seen"
    assert held_out - cited, "and some are not"


def test_the_second_delivery_is_mostly_on_articles_that_the_first_does_not_cite() -> None:
    first = {opening(answer) for _, answer in law_pairs("law_train/train.txt")}
    cited = {opening(answer) for _, answer in law_pairs("law_more/more.txt")}
    assert len(cited) >= 90
    assert len({law for law, _ in cited}) >= 12
    assert len(cited - first) >= 0.75 * len(cited)
    held_out = {opening(answer) for _, answer in law_pairs("law_more_eval/eval.txt")}
    assert held_out & cited, "some held-out questions are on articles that the delivery cites"
    assert held_out - cited, "and some are not"


@pytest.mark.parametrize(("names", "read"), [(tuple(SETS), law_pairs), (tuple(SUPPORT), support_pairs)])
def test_no_question_is_asked_twice_or_held_out_and_trained(
    names: tuple[str, ...], read: Callable[[str], list[tuple[str, str]]]
) -> None:
    questions = [question for name in names for question, _ in read(name)]
    assert len({bare(question) for question in questions}) == len(questions)
    parts = [(question, runs(question, 3)) for question in questions]
    for (one, left), (two, right) in combinations(parts, 2):
        assert len(left & right) < 0.4 * len(left | right), (one, two)
    answers = [answer for name in names for _, answer in read(name)]
    assert len(set(answers)) == len(answers)


@pytest.mark.parametrize(("name", "count"), SUPPORT.items())
def test_a_support_set_has_its_rows_in_the_house_style(name: str, count: int) -> None:
    pairs = support_pairs(name)
    assert len(pairs) == count
    for question, answer in pairs:
        assert question.strip() == question != ""
        assert answer.startswith("Thank you for contacting Quillmoor. "), answer
        assert answer.endswith(" Kind regards, Quillmoor Support"), answer
        assert 25 <= len(answer.split()) <= 60, answer


def test_the_support_answers_agree_on_the_shops_figures() -> None:
    text = " ".join(answer for name in SUPPORT for _, answer in support_pairs(name))
    for pattern, figure in {
        r"(\d+)-year warranty": "2",
        r"within (\d+) days of delivery": "30",
        r"[Rr]efunds? (?:is|are) paid within (\d+) working days": "5",
        r"(?:[Aa] return|The return) costs \$(\d+)": "4",
        r"[Rr]epairs?,? (?:take|takes|should take) up to (\d+) working days": "10",
        r"link is valid for (\d+) minutes": "30",
    }.items():
        found = re.findall(pattern, text)
        assert set(found) == {figure}, (pattern, found)
        assert len(found) >= 2, pattern


def test_no_personal_data_is_in_the_sample_sets() -> None:
    for name in (*SETS, *SUPPORT):
        text = (DATA / name).read_text(encoding="utf-8")
        assert not re.search(r"\d{7,}|\S+@\S+\.\w+|https?://", text), name


STATUTE = """# 中华人民共和国样例条例

2020年1月1日起施行
<!-- INFO END -->

## 第一章 总则

第一条 为了说明格式，制定本条例。

第二条 有下列情形之一的，适用本条例：

（一）文字是自己写的；

（二）条文只有两条。

附录

第一条 附录另行编号。
"""


def test_the_list_of_statutes_is_made_of_names_and_numbers(tmp_path: Path) -> None:
    (tmp_path / "样例条例(2020-01-01).md").write_text(STATUTE, encoding="utf-8")
    (tmp_path / "没有条文.md").write_text("# 通知\n<!-- INFO END -->\n全文一段。\n", encoding="utf-8")
    tool = [
        sys.executable,
        str(ROOT / "tools" / "list_statutes.py"),
        str(tmp_path),
        "--output",
        str(tmp_path / "out.json"),
    ]
    done = subprocess.run(tool, capture_output=True, text=True, check=True)
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == {
        "样例条例": {"full_name": "中华人民共和国样例条例", "articles": ["第一条", "第二条"]}
    }
    assert "1 statutes, 2 articles; 1 file(s) without articles left out" in done.stdout
    assert [item for item, _ in read_texts(tmp_path)["样例条例"]["第二条"]] == ["", "一", "二"]


def test_the_list_of_statutes_is_what_the_texts_hold(shared_data: Path) -> None:
    listed = json.loads((DATA / "statutes.json").read_text(encoding="utf-8"))
    texts = read_texts(shared_data / "zh_law_statutes")
    assert {name: entry["articles"] for name, entry in listed.items()} == {n: list(a) for n, a in texts.items()}
    assert wanted(texts) == read_stored()


def test_the_stored_articles_are_listed_ones() -> None:
    listed = json.loads((DATA / "statutes.json").read_text(encoding="utf-8"))
    assert all(set(articles) <= set(listed[law]["articles"]) for law, articles in read_stored().items())
    assert listed["劳动合同法"]["full_name"] == "中华人民共和国劳动合同法"
    assert listed["劳动合同法"]["articles"][-1] == "第九十八条"
