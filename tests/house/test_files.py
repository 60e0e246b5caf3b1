"""Sizes and names of files: short files, short functions, no drawers for odds and ends."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = sorted(
    p for room in ("lora_scripts", "tools", "bench", "tests") for p in (ROOT / room).rglob("*.py") if p.is_file()
)
PACKAGE = [p for p in CODE if p.is_relative_to(ROOT / "lora_scripts")]
DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc", "base", "manager", "core", "lib"}
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
MODEL_BYTES = 16 * 10**6


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> list[tuple[str, int]]:
    """(name, lines of what it does: signature and docstring are not counted) of every function."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            done = node.body[1:] if ast.get_docstring(node) else node.body
            found.append((node.name, node.end_lineno - done[0].lineno + 1 if done else 0))
    return found


def test_no_file_is_a_drawer():
    assert [shown(p) for p in CODE if DRAWERS & {p.stem, *p.relative_to(ROOT).parts}] == []


def test_no_file_of_the_package_is_longer_than_400_lines():
    lengths = {shown(p): len(p.read_text(encoding="utf-8").splitlines()) for p in PACKAGE}
    assert len(lengths) > 40
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


def test_no_function_is_longer_than_60_lines():
    code = [p for p in CODE if not p.is_relative_to(ROOT / "tests")]
    long = {f"{shown(p)}:{name}": n for p in code for name, n in functions(p) if n > LONGEST_FUNCTION}
    assert long == {}


def test_test_files_have_names_of_their_own():
    names = [p.name for p in CODE if p.is_relative_to(ROOT / "tests") and p.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))
    assert "__init__.py" not in names


def test_every_public_function_and_class_says_what_it_is():
    silent = []
    for path in PACKAGE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        where = shown(path)
        if path.name != "__init__.py" and not ast.get_docstring(tree):
            silent.append(where)
        for node in tree.body:
            inner = node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else []
            for item in (node, *inner):
                public = isinstance(item, ast.FunctionDef | ast.ClassDef) and not item.name.startswith("_")
                if public and not ast.get_docstring(item) and not _is_command(item):
                    silent.append(f"{where}:{item.lineno} {item.name}")
    assert silent == []


def _is_command(node: ast.AST) -> bool:
    """A verb of the command line: its words are in messages/cli.py."""
    return any(".command(" in ast.unparse(d) for d in getattr(node, "decorator_list", []))


def test_the_embedded_base_stays_small():
    folder = ROOT / "models" / "tiny-zh"
    if not folder.is_dir():
        pytest.skip("models/tiny-zh is not here")
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) <= MODEL_BYTES


def test_nothing_large_or_pickled_is_tracked():
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    tracked = [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]
    assert [shown(p) for p in tracked if p.stat().st_size > MODEL_BYTES] == []
    assert [shown(p) for p in tracked if p.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".gguf")] == []
