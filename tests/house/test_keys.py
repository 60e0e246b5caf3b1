"""Every config key is read by the room that turns keys into parts. (That each one has an effect, runs prove.)"""

import ast
from pathlib import Path

from lora_scripts.config import Config
from lora_scripts.config.serving import ServeConfig

ROOT = Path(__file__).resolve().parents[2]
READERS = [p for room in ("cli", "assemble") for p in (ROOT / "lora_scripts" / room).rglob("*.py")]


def attributes(source: str) -> set[str]:
    """Names read as ``config.NAME`` or ``loaded.config.NAME``."""
    return {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).rpartition(".")[2] == "config"
    }


def by_property(used: set[str]) -> set[str]:
    """Keys that properties of Config read, where the property itself is used."""
    tree = ast.parse((ROOT / "lora_scripts" / "config" / "schema.py").read_text(encoding="utf-8"))
    config = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Config")
    return {
        node.attr
        for method in config.body
        if isinstance(method, ast.FunctionDef) and method.name in used
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
    }


def test_each_key_is_read_where_parts_are_made():
    used = set().union(*(attributes(p.read_text(encoding="utf-8")) for p in READERS))
    used |= by_property(used)
    assert set(Config.model_fields) - used == set()


def test_each_key_of_a_server_is_read_where_it_is_put_together():
    used = set().union(*(attributes(p.read_text(encoding="utf-8")) for p in READERS))
    assert set(ServeConfig.model_fields) - used == set()


def test_nothing_is_read_that_is_no_key():
    used = set().union(*(attributes(p.read_text(encoding="utf-8")) for p in READERS))
    known = set(Config.model_fields) | set(dir(Config)) | set(ServeConfig.model_fields)
    assert {name for name in used - known if not name.startswith("_")} <= {"get"}
