"""The library face: its names, their signatures, what it loads. Changing this file is changing a promise."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "lora_scripts"
FACE = {
    "Config": ("config/schema.py", None),
    "Document": ("data/render.py", None),
    "Message": ("data/records.py", None),
    "PiiSpan": ("data/pii/find.py", None),
    "Reading": ("data/reading/formats.py", None),
    "Record": ("data/records.py", None),
    "find_pii": ("data/pii/find.py", "text: str, types: Iterable[str] | None=None -> list[PiiSpan]"),
    "load_adapter": (
        "adapters/files.py",
        "model: PreTrainedModel | PeftModel, file_or_dir: str | os.PathLike[str], *, weight: float=1.0 -> PeftModel",
    ),
    "read_records": (
        "data/reading/formats.py",
        "path: str | Path, *, roles: Roles=None, columns: Names=None, preference: bool=False -> Reading",
    ),
    "render": (
        "data/render.py",
        "messages: Sequence[Message], tokenizer: Tokenizer, *, max_length: int | None=None -> Document",
    ),
    "train": ("assemble/__init__.py", "config: str | os.PathLike[str], *overrides: str -> Outcome | None"),
}
FIELDS = {
    "Message": ["role", "content", "trained", "reasoning"],
    "Record": ["messages", "source", "synthetic", "rejected"],
    "PiiSpan": ["start", "end", "type", "value"],
    "Document": ["input_ids", "loss_mask", "source"],
    "Reading": ["records", "ledger"],
}


def definition(name: str) -> ast.FunctionDef | ast.ClassDef:
    tree = ast.parse((PACKAGE / FACE[name][0]).read_text(encoding="utf-8"))
    return next(n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == name)


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_public_names_are_these():
    face = importlib.import_module("lora_scripts")
    assert sorted(face.__all__) == sorted(FACE)


def test_the_signatures_are_these():
    for name, (_, signature) in FACE.items():
        found = definition(name)
        if isinstance(found, ast.FunctionDef):
            assert f"{ast.unparse(found.args)} -> {ast.unparse(found.returns)}" == signature, name


def test_the_fields_of_what_is_returned_are_these():
    for name, fields in FIELDS.items():
        items = definition(name).body
        assert [i.target.id for i in items if isinstance(i, ast.AnnAssign)] == fields, name


def test_type_checkers_see_the_names_that_are_loaded_late():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    seen = {
        alias.asname: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    where = importlib.import_module("lora_scripts")._WHERE
    assert {name: f"lora_scripts.{room}" for name, room in where.items()}.items() <= seen.items()
    assert (PACKAGE / "py.typed").is_file()


def test_importing_the_package_and_reading_data_do_not_load_torch():
    code = (
        "import sys, lora_scripts; from lora_scripts import Config, Message, read_records, render, train; "
        "print([m for m in ('torch', 'transformers', 'peft', 'numpy') if m in sys.modules])"
    )
    assert python(code) == "[]"


def test_train_is_the_function_also_after_its_room_was_imported():
    code = "import lora_scripts, lora_scripts.training; from lora_scripts import train; print(callable(train))"
    assert python(code) == "True"


def test_an_unknown_name_is_an_attribute_error():
    code = "import lora_scripts; print(hasattr(lora_scripts, 'trian'))"
    assert python(code) == "False"
