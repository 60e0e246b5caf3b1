"""A learned router sends questions to the department they belong to, and others to the base; it is kept and read."""

import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lora_scripts.assemble.serving import router as room
from lora_scripts.assemble.serving.router import learned_router_of, measured_lines
from lora_scripts.serve.routing.general_questions import GENERAL
from lora_scripts.serve.routing.learned import learn, read_router, write_router
from lora_scripts.serve.routing.vectors import FEATURES, centroids, counted, inverse_frequencies, vectors

SUBJECTS = {
    "law": (
        "{}要不要赔偿？ {}违法吗？ {}可以起诉吗？ 请问律师，{}怎么维权？ 遇到{}，怎么申请仲裁？ {}的法律依据是哪一条？",
        "公司拖欠工资 不签劳动合同 违法解除合同 房东不退押金 邻居侵权 合同违约 加班费不付 遗产继承纠纷 欠债不还",
    ),
    "medicine": (
        "{}吃什么药好？ 医生，{}怎么治疗？ {}需要住院吗？ {}会有什么后遗症？ 孩子{}要紧吗？ {}做什么检查？",
        "发烧咳嗽 血压高头晕 胃疼反酸 皮疹发痒 糖尿病 腰椎间盘突出 失眠心慌 骨折之后 过敏性鼻炎",
    ),
    "finance": (
        "How_are_{}_taxed? What_is_the_yield_on_{}? Are_{}_a_safe_investment? What_fees_do_{}_charge? "
        "How_do_rates_move_{}? Should_a_retirement_portfolio_hold_{}?",
        "treasury_bonds index_funds bank_deposits dividend_stocks mortgage_securities savings_accounts futures "
        "pension_funds corporate_bonds",
    ),
}
QUESTIONS = {
    name: [form.format(topic).replace("_", " ") for form, topic in product(forms.split(), topics.split())]
    for name, (forms, topics) in SUBJECTS.items()
}
NEW = {
    "law": ["公司不给工资，可以申请仲裁吗？", "房东违约，可以起诉吗？"],
    "medicine": ["咳嗽头晕吃什么药？", "医生，孩子发烧怎么治疗？"],
    "finance": ["What is the yield on corporate bonds and stocks?", "Do index funds charge a fee?"],
}
STRANGE = ["哪种颜色的窗帘好看？", "Which colour suits the curtains?", "帮我给小狗起名", "", "？！", "12345"]


@pytest.fixture(scope="module")
def learned():
    return learn(QUESTIONS)


def test_questions_go_to_their_adapter_and_others_to_the_base(learned):
    router, _ = learned
    for name, questions in NEW.items():
        assert [router.choose(question).to for question in questions] == [name] * len(questions)
    assert [router.choose(question).to for question in STRANGE] == [None] * len(STRANGE)


def test_what_was_measured_adds_up_and_is_good_on_questions_set_aside(learned):
    router, measured = learned
    asked = measured.confusion.sum(axis=1)
    assert router.names == measured.names == ("finance", "law", "medicine")
    assert asked[:3].tolist() == [11, 11, 11], "a fifth of 54"
    assert asked[3] == len(GENERAL) // 5 and asked[4] == 33
    assert measured.accuracy > 0.85 and measured.wrong == 0
    assert measured.left(3) > 0.9, "everyday questions are left to the base"
    assert measured.left(4) > 0.7, "and so are those of a department that it was not told of"


def test_accuracy_and_wrong_are_shares_of_the_table(learned):
    _, measured = learned
    table = measured.confusion[:3]
    right = np.mean([table[i, i] / table[i].sum() for i in range(3)])
    assert measured.accuracy == pytest.approx(right)
    elsewhere = np.mean([(table[i, :3].sum() - table[i, i]) / table[i].sum() for i in range(3)])
    assert measured.wrong == pytest.approx(elsewhere, abs=1e-9)


def test_the_same_questions_in_another_order_make_the_same_router(learned):
    again, measured = learn({name: questions[::-1] for name, questions in reversed(QUESTIONS.items())})
    assert np.array_equal(again.rows, learned[0].rows) and np.array_equal(measured.confusion, learned[1].confusion)


def test_two_adapters_of_one_subject_are_left_to_the_base_rather_than_guessed():
    halves = {"one": QUESTIONS["law"][::2], "two": QUESTIONS["law"][1::2], "medicine": QUESTIONS["medicine"]}
    router, measured = learn(halves)
    assert measured.wrong < 0.1
    assert router.choose(NEW["medicine"][0]).to == "medicine"
    assert any("WARNING" in line for line in measured_lines(measured))


def test_questions_of_two_adapters_are_told_and_belong_to_neither():
    shared = ["什么是不可抗力？", "什么是诉讼时效？"]
    both = {name: QUESTIONS[name] + shared for name in ("law", "medicine")}
    _, measured = learn(both)
    assert measured.shared == 2 and "2 questions are in the data of more than one" in "\n".join(
        measured_lines(measured)
    )
    assert measured.confusion[:2].sum(axis=1).tolist() == [11, 11], "a fifth of 54, not of 56"
    _, alike = learn({"a": QUESTIONS["law"], "b": list(QUESTIONS["law"])})
    assert alike.shared == 54 and alike.wrong < 0.1


def test_one_adapter_is_told_from_everyday_questions():
    router, measured = learn({"law": QUESTIONS["law"]})
    assert measured.accuracy > 0.8 and measured.left(1) > 0.9
    assert router.choose(NEW["law"][0]).to == "law" and router.choose("帮我给小狗起名").to is None


def test_ten_questions_are_enough_to_learn_from():
    router, measured = learn({name: questions[:10] for name, questions in QUESTIONS.items()})
    assert measured.confusion[:3].sum() == 6 and measured.wrong == 0
    assert [router.choose(QUESTIONS[name][1]).to for name in QUESTIONS] == list(QUESTIONS)


def test_a_long_question_costs_little_and_keeps_both_ends(learned):
    ends = counted(["律师" + "啊" * 100_000 + "合同", "律师" + "啊" * 5000 + "合同"])
    assert ends[0].keys() == ends[1].keys() and sum(ends[0].values()) < 5000


# vectors


def test_vectors_are_those_of_a_dense_computation():
    questions = ["合同怎么签？", "How is tax paid?", "", "合同 tax 合同"]
    counts = counted(questions)
    idf = np.random.default_rng(0).uniform(0.5, 2, FEATURES).astype(np.float32)
    dense = np.zeros((4, FEATURES))
    for row, count in enumerate(counts):
        for feature, times in count.items():
            dense[row, feature] = (1 + np.log(times)) * idf[feature]
    dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-9)
    rows = vectors(counts, idf)
    others = np.random.default_rng(1).normal(size=(3, FEATURES)).astype(np.float32)
    assert np.allclose(rows.dot(others), dense @ others.T, atol=1e-4)
    sums = rows.sums(np.array([1, 0, 1, 1]), 2)
    assert np.allclose(sums, [dense[1], dense[0] + dense[2] + dense[3]], atol=1e-6)


def test_rare_features_weigh_more_and_large_classes_do_not():
    classes = [[Counter({1: 1, 2: 1})] * 100, [Counter({1: 1, 3: 1})] * 2]
    idf = inverse_frequencies(classes)
    assert idf[2] == pytest.approx(idf[3]) and idf[1] < idf[2] < idf[4]


def test_centroids_find_the_groups():
    idf = np.ones(FEATURES, np.float32)
    rows = vectors([Counter({n: 1, n + 10: 1, 99: 1}) for n in (1, 2, 3) for _ in range(5)], idf)
    found = centroids(rows, 3)
    assert found.shape == (3, FEATURES)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    assert np.allclose(rows.dot(found).max(axis=1), 1, atol=1e-5), "every question lies on its centroid"


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_any_text_is_a_vector_of_length_one_or_nothing(texts):
    rows = vectors(counted(texts), np.ones(FEATURES, np.float32))
    ends = rows.starts
    for i in range(len(texts)):
        norm = float(np.linalg.norm(rows.values[ends[i] : ends[i + 1]]))
        assert norm == pytest.approx(1, abs=1e-4) or norm == 0


# files


def test_a_router_is_written_and_read(learned, tmp_path):
    write_router(tmp_path / "r.npz", *learned)
    router, measured = read_router(tmp_path / "r.npz")
    assert measured_lines(measured) == measured_lines(learned[1])
    for question in [q for questions in NEW.values() for q in questions] + STRANGE:
        assert router.choose(question) == learned[0].choose(question)
    assert [p.name for p in tmp_path.iterdir()] == ["r.npz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"nothing", None])
def test_a_file_that_is_no_router_is_not_read(content, learned, tmp_path):
    path = tmp_path / "r.npz"
    if content is None:
        write_router(path, *learned)
        path.write_bytes(path.read_bytes()[:-200])
    else:
        path.write_bytes(content)
    assert read_router(path) is None
    assert read_router(tmp_path / "none.npz") is None


def test_a_pickle_in_a_router_is_not_run(tmp_path):
    np.savez(tmp_path / "r.npz", told=np.array([{"names": []}], dtype=object))
    assert read_router(tmp_path / "r.npz") is None


def test_routing_needs_no_torch():
    code = (
        "import sys, lora_scripts.serve.routing.rules, lora_scripts.serve.routing.learned; "
        "print([m for m in ('torch', 'transformers', 'peft') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# from the runs of adapters


def run_of(folder: Path, questions: list[str], fingerprint: str | None = "sha256:1") -> Path:
    """What a run leaves that a router looks at; the weights are never read."""
    folder.mkdir()
    rows = folder / "rows.jsonl"
    told = [f'{{"instruction": "{q}", "output": "答复第{n}号。"}}' for n, q in enumerate(questions)]
    rows.write_text("\n".join(told), encoding="utf-8")
    settings = {"train_data_dir": str(rows), "base_model": "none", "output_dir": str(folder)}
    (folder / "run.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (folder / "adapter_model.safetensors").touch()
    if fingerprint:
        (folder / "provenance.json").write_text(f'{{"fingerprints": {{"data": "{fingerprint}"}}}}', encoding="utf-8")
    return folder


@pytest.fixture
def runs(tmp_path):
    return {name: run_of(tmp_path / name, questions) for name, questions in QUESTIONS.items()}


def test_a_router_is_learned_from_the_data_of_runs_kept_and_read_again(runs, tmp_path, monkeypatch):
    said: list[str] = []
    router = learned_router_of(runs, said.append, cache=tmp_path / "cache")
    assert router.choose(NEW["law"][0]).to == "law"
    assert said[0].startswith("learned router, on questions set aside: ") and "0.0 % to another one" in said[0]
    assert any(line.startswith("  medicine: medicine ") for line in said)
    assert any(line.startswith("  everyday questions: ") and "base" in line for line in said)
    monkeypatch.setattr(room, "rows_of", None)
    for folder in runs.values():
        (folder / "rows.jsonl").unlink()
    again: list[str] = []
    kept = learned_router_of(runs, again.append, cache=tmp_path / "cache")
    assert np.array_equal(kept.rows, router.rows)
    assert again[0].startswith("learned router: read from ") and again[1:] == said


def test_other_data_or_names_are_not_taken_from_the_cache(runs, tmp_path):
    cache = tmp_path / "cache"
    learned_router_of(runs, lambda line: None, cache=cache)
    learned_router_of({"l": runs["law"], "m": runs["medicine"]}, lambda line: None, cache=cache)
    (runs["law"] / "provenance.json").write_text('{"fingerprints": {"data": "sha256:2"}}')
    learned_router_of(runs, lambda line: None, cache=cache)
    assert len(list(cache.iterdir())) == 3


def test_adapters_without_data_are_said_and_the_others_learned(runs, tmp_path):
    (runs["finance"] / "rows.jsonl").unlink()
    run_of(tmp_path / "short", QUESTIONS["law"][:3])
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "adapter_model.safetensors").touch()
    said: list[str] = []
    places = {**runs, "short": tmp_path / "short", "foreign": tmp_path / "foreign", "none": tmp_path / "none"}
    router = learned_router_of(places, said.append, cache=tmp_path / "cache")
    assert router.names == ("law", "medicine")
    left = [line for line in said if "is not in the learned router" in line]
    assert len(left) == 4
    for name, words in (
        ("finance", "rows.jsonl"),
        ("short", "3 different"),
        ("foreign", "run.yaml"),
        ("none", "no ad"),
    ):
        assert any(line.startswith(name) and words in line for line in left), name
    assert not (tmp_path / "cache").exists(), "what is not whole is learned anew when the data are back"


def test_without_any_data_there_is_no_router(tmp_path):
    said: list[str] = []
    assert learned_router_of({"none": tmp_path}, said.append, cache=tmp_path / "cache") is None
    assert said[-1].startswith("no router was learned")


def test_an_adapter_without_fingerprint_is_learned_and_not_kept(runs, tmp_path):
    (runs["law"] / "provenance.json").unlink()
    assert learned_router_of(runs, lambda line: None, cache=tmp_path / "cache").names == tuple(sorted(QUESTIONS))
    assert not (tmp_path / "cache").exists()


def test_a_shrunk_adapter_is_known_by_the_data_of_its_origin(runs, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    (small / "adapter_model.safetensors").touch()
    (small / "provenance.json").write_text(f'{{"shrunk_from": {{"path": "{runs["law"]}"}}}}')
    router = learned_router_of({"small": small, "medicine": runs["medicine"]}, print, cache=tmp_path / "cache")
    assert router.choose(NEW["law"][0]).to == "small"


def test_a_cache_that_cannot_be_written_is_said(runs, tmp_path):
    (tmp_path / "cache").write_text("a file")
    said: list[str] = []
    assert learned_router_of(runs, said.append, cache=tmp_path / "cache") is not None
    assert said[-1].startswith("the learned router could not be kept")
