"""README and docs: generated pages are fresh, links lead somewhere, commands exist, both languages keep step."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from lora_scripts.cli import app
from lora_scripts.config import Config, load_config
from lora_scripts.config.serving import load_serve_config

ROOT = Path(__file__).resolve().parents[2]
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SHELL = ("bash", "sh", "console")


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def blocks(page: Path, *kinds: str) -> list[str]:
    return [body for kind, body in FENCE.findall(page.read_text(encoding="utf-8")) if kind in kinds]


def commands(page: Path) -> list[list[str]]:
    """The words of every shell line of a page, comments left off."""
    lines = [line for body in blocks(page, *SHELL) for line in body.replace("\\\n", " ").splitlines()]
    return [words for line in lines if (words := shlex.split(line.removeprefix("$ "), comments=True))]


def id_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_docs_cli_md_is_up_to_date():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "document_cli.py")], capture_output=True, text=True, check=True
    )
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == done.stdout, "run `python tools/document_cli.py > docs/cli.md`"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=id_of)
def test_every_config_of_the_checkout_is_read_without_a_complaint(path):
    loaded = load_config(path)
    assert Path(ROOT, loaded.config.data_path).exists()
    assert loaded.config.eval_data is None or Path(ROOT, loaded.config.eval_data).exists()
    assert not [note for note in loaded.notes if "no effect" in note]


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_links_lead_somewhere(page):
    dead = []
    for target in LINK.findall(prose(page)):
        path, _, anchor = target.partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert dead == []


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.replace("`", "").lower()).strip().replace(" ", "-") for t in titles}


def test_the_two_readmes_keep_step():
    english, chinese = READMES
    levels = [[len(m) for m in re.findall(r"^(#+) ", prose(p), re.MULTILINE)] for p in READMES]
    assert levels[0] == levels[1]
    assert commands(english) == commands(chinese)
    links = [[t for t in LINK.findall(prose(p)) if t not in ("README.md", "README.zh-CN.md")] for p in READMES]
    assert links[0] == links[1]
    tables = [len(re.findall(r"^\|", prose(p), re.MULTILINE)) for p in READMES]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_no_figure_is_left_open(page):
    assert "FIGURE" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_yaml_blocks_are_configs_that_are_read(page, tmp_path):
    for number, body in enumerate(blocks(page, "yaml")):
        path = tmp_path / f"block_{number}.yaml"
        if re.search(r"^(adapters|adapter_root|api_keys|routes|stacks):", body, re.MULTILINE):
            path.write_text(body, encoding="utf-8")
            assert load_serve_config(path, {"base_model": "models/tiny-zh"}).config.base_model
            continue
        needed = {"train_data_dir": "data/law_train", "base_model": "models/tiny-zh", "output_dir": "output/block"}
        extra = "".join(f"{k}: {v}\n" for k, v in needed.items() if not re.search(rf"^{k}:", body, re.MULTILINE))
        path.write_text(body + extra, encoding="utf-8")
        assert load_config(path).config.base_model


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_commands_name_verbs_flags_keys_and_files_that_exist(page):
    verbs = {}
    for word, command in typer.main.get_command(app).commands.items():
        inner = getattr(command, "commands", {})
        verbs |= {(word, name): c for name, c in inner.items()} or {(word,): command}
    wrong = []
    for words in commands(page):
        if Path(words[0]).name == "make":
            targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            wrong += [words for word in words[1:] if word not in targets]
        elif Path(words[0]).name == "lora-scripts" or words[1:2] == ["train.py"]:
            given = ["train", *words[2:]] if words[1:2] == ["train.py"] else words[1:]
            verb = next((v for v in verbs if tuple(given[: len(v)]) == v), None)
            wrong += [words] if verb is None else [words for w in faults(verbs[verb], given[len(verb) :])]
        elif words[1:2] and words[1].endswith(".py") and not (ROOT / words[1]).is_file():
            wrong.append(words)
    assert wrong == []


def faults(command, words: list[str]) -> list[str]:
    """Words of a command line that are no flag of the verb, no key of the config, no file of the checkout."""
    flags = {flag for p in command.params if p.param_type_name == "option" for flag in p.opts} | {"--help"}
    found = []
    for before, word in zip(["", *words], words, strict=False):
        key, equals, _ = word.partition("=")
        if word.startswith("-"):
            found += [] if word in flags else [word]
        elif before == "--adapter":
            continue  # NAME=DIR, or the folder of a run
        elif equals and "/" not in key and key.isidentifier():
            found += [] if key in Config.model_fields else [word]
        elif word.startswith(("configs/", "data/")) and not (ROOT / word).exists():
            found.append(word)
    return found


@pytest.mark.parametrize("page", [ROOT / "docs" / "files.md", ROOT / "docs" / "files.zh-CN.md"], ids=id_of)
def test_the_file_tree_names_every_file_of_the_package(page):
    tree = next(body for body in blocks(page, "text") if "lora_scripts/" in body)
    listed, folders = set(), []
    for line in tree.splitlines():
        entry = line.split()[:1]
        if not entry:
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        folders = [*folders[:depth], entry[0]]
        listed.add("".join(folders))
    there = {p.relative_to(ROOT).as_posix() for p in (ROOT / "lora_scripts").rglob("*.py") if p.name != "__init__.py"}
    assert sorted(there - listed) == []
    assert sorted(name for name in listed if not (ROOT / name).exists() and not name.startswith("output/")) == []
