"""The three scenes of docs/scenes.md: from the recipes through the server to answers, each in its house form.

In short on the embedded base; the slow tests train on real bases, as the page says.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from calling import command

from lora_scripts import read_records
from tests.serve.http_server import Server, serving

ROOT = Path(__file__).resolve().parents[2]
RECIPES = {"law": "law_qa", "medicine": "medical_qa", "finance": "finance_qa", "style": "hr_style"}
DEPARTMENTS = ("law", "medicine", "finance")
HELD_OUT = {"law": "law_eval", "medicine": "medical_eval", "finance": "finance_eval"}
CLOSING = "如需进一步协助，请联系人力资源部。"
STATUTES = "|".join(map(re.escape, json.loads((ROOT / "data" / "statutes.json").read_text(encoding="utf-8"))))
CITES = re.compile(rf"《(?:{STATUTES})》第[零一二三四五六七八九十百]+条")
STRANGE = ("帮我写一首关于秋天的诗。", "红烧肉怎么做才不腻？", "太阳系有几颗行星？", "Which colour suits the curtains?")
SHORT = (
    "lora_rank=8", "lora_alpha=16", "lora_dropout=0", "learning_rate=5e-3", "eval_ratio=0", "eval_data=",
    "early_stopping_patience=", "save_steps=1000", "device=cpu",
)  # fmt: skip
STEPS = {"law": (50, 4), "medicine": (50, 2), "finance": (40, 2), "style": (90, 4)}  # and records in each
TRIED = ((1.0, 0.4), (1.0, 0.5), (1.0, 0.6), (1.25, 0.7), (1.5, 0.6), (1.5, 0.7))  # weights beside the config's
# as on the page, but that training asks no held-out questions: the tests do
ON_GEMMA = (
    "base_model=./models/gemma3-270m", "learning_rate=1e-3", "lora_dropout=0", "epochs=2", "eval_ratio=0", "eval_data=",
    "early_stopping_patience=",
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """One answer, who gave it, and why it was this one."""

    text: str
    model: str
    route: str


def read_yaml(name: str) -> dict[str, Any]:
    """A config of the checkout as it is written."""
    return dict(yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8")))


FORMS = {name: re.compile(read_yaml(RECIPES[name])["answer_rules"]["opening"]) for name in DEPARTMENTS}


def questions(folder: str, count: int = 100) -> list[str]:
    """The first questions of a sample set."""
    return [record.messages[0].content for record in read_records(ROOT / "data" / folder).records][:count]


def train(config: str, run_dir: Path, *changed: str) -> Path:
    """Train a recipe from the checkout's root, as the page says."""
    with contextlib.chdir(ROOT):
        said = command("train", f"configs/{config}.yaml", f"output_dir={run_dir}", *changed)
    assert said.code == 0, said.words
    return run_dir


def real_base(name: str) -> Path:
    """A base that `base get` puts there."""
    base = ROOT / "models" / name
    if not (base / "config.json").is_file():
        pytest.skip(f"{name} is not here (`lora-scripts base get {name}`)")
    return base


@contextlib.contextmanager
def scene(name: str, base: Path, runs: Mapping[str, Path], **changed: Any) -> Iterator[Server]:
    """The server of a config in ``configs/serve``, with ``runs`` as the adapters that it names."""
    settings = read_yaml(f"serve/{name}") | {"base_model": str(base), "kv_cache_gib": 0.25} | changed
    settings["adapters"] = {adapter: str(runs[adapter]) for adapter in settings["adapters"]}
    settings["routes"] = tuple(settings.get("routes", ()))
    with serving(next(iter(runs.values())).parent, **settings) as server:
        yield server


def ask(server: Server, model: str, asked: Sequence[str], *, max_tokens: int = 64, **headers: str) -> list[Said]:
    """Ask all at once, with the official client."""
    client = server.openai().with_options(timeout=1200)

    def one(question: str) -> Said:
        found = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": question}],
            temperature=0,
            max_tokens=max_tokens,
            extra_headers=headers,
        )
        return Said(found.choices[0].message.content or "", found.model, (found.model_extra or {}).get("route", ""))

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(one, asked))


def row(said: Sequence[Said], own: str | None) -> dict[str, int]:
    """How many answers open in the form of ``own``, and how many have another department's form in them anywhere."""
    return {
        name: sum(bool(form.match(one.text) if name == own else form.search(one.text)) for one in said)
        for name, form in FORMS.items()
    }


def routed(server: Server, asked: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Who answers each of the questions that are asked of `auto`."""
    return {name: [said.model for said in ask(server, "auto", qs, max_tokens=1)] for name, qs in asked.items()}


def shares(chosen: Mapping[str, Sequence[str]], base: str) -> tuple[float, int]:
    """The share of questions that reached their department, and how many reached another one."""
    right = sum(models.count(name) for name, models in chosen.items())
    count = sum(map(len, chosen.values()))
    return right / count, count - right - sum(models.count(base) for models in chosen.values())


def forms_of_the_bot(said: Sequence[Said]) -> dict[str, int]:
    """How many answers cite an article of a real statute, how many close as the personnel desk, how many do both."""
    cites = [bool(CITES.search(one.text)) for one in said]
    closes = [CLOSING in one.text for one in said]
    return {"cites": sum(cites), "closes": sum(closes), "both": sum(map(all, zip(cites, closes, strict=True)))}


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_SCRIPTS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


# in short, on the embedded base


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each recipe in as few steps as give its form."""
    folder = tmp_path_factory.mktemp("short")
    return {
        name: train(RECIPES[name], folder / name, *SHORT, f"max_steps={steps}", f"batch_size={records}")
        for name, (steps, records) in STEPS.items()
    }


@pytest.fixture(scope="module")
def asked() -> dict[str, list[str]]:
    """Held-out questions of each department."""
    return {name: questions(folder, 12) for name, folder in HELD_OUT.items()}


@pytest.fixture(scope="module")
def desk(short: dict[str, Path], tiny_zh: Path) -> Iterator[Server]:
    """The three departments behind one address."""
    with scene("departments", tiny_zh, short) as server:
        yield server


@pytest.mark.parametrize("name", DEPARTMENTS)
@pytest.mark.slow
def test_a_routed_question_is_answered_in_its_departments_form_and_in_no_others(name, desk, asked):
    said = [one for one in ask(desk, "auto", asked[name][:8]) if one.model == name]
    assert len(said) >= 6, "the others are left to the base"
    found = row(said, name)
    assert found.pop(name) >= len(said) - 1
    assert set(found.values()) == {0}


@pytest.mark.slow
def test_what_no_department_knows_goes_to_the_base_which_has_no_form(desk, tiny_zh):
    said = ask(desk, "auto", STRANGE, max_tokens=32)
    assert [one.model for one in said] == [tiny_zh.name] * len(STRANGE)
    assert all(one.route.startswith("abstained:") for one in said)
    assert set(row(said, None).values()) == {0}


@pytest.mark.slow
def test_a_page_of_the_clinic_says_whose_question_it_is(desk):
    (said,) = ask(desk, "auto", ["我该怎么办？"], **{"X-Department": "clinic"})
    assert (said.model, said.route) == ("medicine", "rule:clinic")
    assert FORMS["medicine"].match(said.text)


@pytest.mark.slow
def test_rules_alone_send_no_question_astray(short, asked, tiny_zh):
    with scene("departments", tiny_zh, short, learned_router=False) as server:
        chosen = routed(server, {**asked, "base": STRANGE})
    assert set(chosen.pop("base")) == {tiny_zh.name}
    right, wrong = shares(chosen, tiny_zh.name)
    assert wrong == 0 and right >= 0.3


@pytest.mark.slow
def test_the_learned_router_alone_knows_most_questions(short, asked, tiny_zh):
    with scene("departments", tiny_zh, short, routes=()) as server:
        right, wrong = shares(routed(server, asked), tiny_zh.name)
    assert wrong == 0 and right >= 0.75


@pytest.mark.slow
def test_the_hr_bot_cites_a_statute_and_closes_as_the_personnel_desk(short, tiny_zh):
    weights = {"hr-bot": {"law": 1.0, "style": 0.9}}
    with scene("hr_bot", tiny_zh, short, stacks=weights) as server:
        said = {m: ask(server, m, questions("law_eval", 8), max_tokens=128) for m in ("law", "style", "hr-bot")}
    counts = {model: forms_of_the_bot(answers) for model, answers in said.items()}
    assert counts["law"] == {"cites": 8, "closes": 0, "both": 0}
    assert counts["style"]["cites"] == 0 and counts["style"]["closes"] >= 3
    assert counts["hr-bot"]["both"] >= 2


# as on the page, on real bases


@pytest.fixture(scope="module")
def on_gemma(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The adapters of both scenes on Gemma 3 270M."""
    real_base("gemma3-270m")
    folder = tmp_path_factory.mktemp("gemma")
    runs = {"law": train("law_qa_gemma3_270m", folder / "law", "eval_data=", "eval_ratio=0", "eval_steps=")}
    for name in ("medicine", "finance"):
        runs[name] = train(RECIPES[name], folder / name, *ON_GEMMA, "target_modules=")
    return runs | {"style": train(RECIPES["style"], folder / "style", *ON_GEMMA)}


@pytest.mark.slow
def test_on_gemma_each_department_answers_in_its_form_and_in_no_others(on_gemma):
    base = real_base("gemma3-270m")
    asked = {name: questions(folder) for name, folder in HELD_OUT.items()}
    with scene("departments", base, on_gemma) as server:
        table = {name: row(ask(server, name, qs), name) for name, qs in asked.items()}
        table["base"] = row(ask(server, base.name, [qs[0] for qs in asked.values()]), None)
        chosen = routed(server, asked)
        strange = ask(server, "auto", STRANGE)
    right, wrong = shares(chosen, base.name)
    print(f"\nform found in the answers of each adapter: {table}\nrouted: {right:.1%} right, {wrong} wrong")
    assert set(table.pop("base").values()) == {0}
    for name, found in table.items():
        assert found.pop(name) >= 0.9 * len(asked[name]), name
        assert set(found.values()) == {0}, name
    assert wrong == 0 and right >= 0.85
    assert [said.model for said in strange] == [base.name] * len(STRANGE)
    assert set(row(strange, None).values()) == {0}


@pytest.mark.slow
def test_on_gemma_the_hr_bot_closes_as_the_personnel_desk_and_cites_statutes(on_gemma):
    stacks = {f"{law}_{style}": {"law": law, "style": style} for law, style in TRIED}
    stacks |= read_yaml("serve/hr_bot")["stacks"]
    with scene("hr_bot", real_base("gemma3-270m"), on_gemma, stacks=stacks) as server:
        said = {m: ask(server, m, questions("law_eval"), max_tokens=128) for m in ("law", "style", *stacks)}
    counts = {model: forms_of_the_bot(answers) for model, answers in said.items()}
    print("\nof 30 answers", *(f"{model}: {found}" for model, found in counts.items()), sep="\n  ")
    assert counts["law"]["closes"] == 0 and counts["style"]["cites"] == 0
    assert counts["law"]["cites"] >= 24 and counts["style"]["closes"] >= 27
    assert counts["hr-bot"]["closes"] >= 27 and counts["hr-bot"]["both"] >= 18


@pytest.mark.slow
def test_on_smollm2_support_answers_in_its_form(tmp_path_factory):
    base = real_base("smollm2-135m")
    runs = {"support": train("support_smollm2_135m", tmp_path_factory.mktemp("smollm2") / "support")}
    asked = questions("support_eval")
    with scene("support", base, runs) as server:
        said = ask(server, "support", asked, max_tokens=128)
        without = ask(server, base.name, asked[:4])
    opens = sum(one.text.startswith("Thank you for contacting Quillmoor.") for one in said)
    closes = sum(one.text.endswith("Kind regards, Quillmoor Support") for one in said)
    print(f"\nof {len(said)}: {opens} open and {closes} close in the form")
    assert opens >= 0.9 * len(said) and closes >= 0.8 * len(said)
    assert not any("Quillmoor" in one.text for one in without)
