"""Every file in configs/serve is read as the server reads it, and what it names is there or is made by a recipe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lora_scripts.assemble.serving.guardrails import open_guardrails
from lora_scripts.config import load_config
from lora_scripts.config.serving import ServeConfig, load_serve_config
from lora_scripts.models.known_bases import BASES
from lora_scripts.serve.routing.rules import Router, parse_rules

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "configs" / "serve").glob("*.yaml"))
RULES = [path for path in FILES if "rules" in yaml.safe_load(path.read_text(encoding="utf-8"))]
CONFIGS = [path for path in FILES if path not in RULES]


def of_name(path: Path) -> str:
    return path.name


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """Output folders of the recipes and of the commands of docs/scenes.md, with the base that each is trained on."""
    recipes = {path.stem: load_config(path).config for path in (ROOT / "configs").glob("*.yaml")}
    found = {tidy(config.output_dir): tidy(config.base_model) for config in recipes.values()}
    page = (ROOT / "docs" / "scenes.md").read_text(encoding="utf-8").replace("\\\n", " ")
    for name, words in re.findall(r"^lora-scripts train configs/(\w+)\.yaml(.*)$", page, re.MULTILINE):
        given: dict[str, Any] = dict(word.split("=", 1) for word in words.split())
        config = recipes[name]
        found[tidy(given.get("output_dir", config.output_dir))] = tidy(given.get("base_model", config.base_model))
    return found


def tidy(path: object) -> str:
    return Path(str(path)).as_posix()


def read(path: Path) -> ServeConfig:
    loaded = load_serve_config(path, {})
    assert loaded.notes == ()
    return loaded.config


def test_there_are_examples_of_both_kinds():
    assert len(CONFIGS) >= 3 and RULES


@pytest.mark.parametrize("path", CONFIGS, ids=of_name)
def test_the_base_is_one_that_can_be_got(path):
    base = Path(read(path).base_model)
    assert base.parent.name == "models" and base.name in BASES


@pytest.mark.parametrize("path", CONFIGS, ids=of_name)
def test_each_adapter_is_made_by_a_recipe_on_the_same_base(path, made):
    config = read(path)
    assert config.adapters
    wrong = {name: folder for name, folder in config.adapters.items() if tidy(folder) not in made}
    assert wrong == {}
    assert {made[tidy(folder)] for folder in config.adapters.values()} == {tidy(config.base_model)}


@pytest.mark.parametrize("path", CONFIGS, ids=of_name)
def test_stacks_and_routes_name_adapters_that_it_has(path):
    config = read(path)
    for weights in config.stacks.values():
        assert set(weights) <= set(config.adapters)
    rules = parse_rules(list(config.routes), path.name)
    assert {rule.to for rule in rules} <= {None, *config.adapters, *config.stacks}
    Router(rules)


@pytest.mark.parametrize("path", RULES, ids=of_name)
def test_rules_are_opened_by_the_server(path):
    assert open_guardrails(str(path)).version
