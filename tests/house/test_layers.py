"""The rooms keep to their order, and no class of ours inherits from another, errors and schemas apart."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "lora_scripts"


def test_every_import_contract_holds(project_root, tmp_path):
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 kept, 0 broken" in done.stdout


def test_our_classes_inherit_from_each_other_only_as_errors_and_schemas():
    classes = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                classes[node.name] = (path, [ast.unparse(b).rpartition(".")[2] for b in node.bases])
    assert {"Config", "DataError", "TextTask"} <= set(classes)
    heirs = {
        name: path.relative_to(PACKAGE).as_posix()
        for name, (path, bases) in classes.items()
        if any(base in classes for base in bases)
    }
    schemas = ("errors.py", "config/schema.py", "config/picture_keys.py", "config/serving.py", "serve/http/protocol.py")
    assert {n: p for n, p in heirs.items() if p not in schemas} == {}
