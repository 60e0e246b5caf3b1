"""A start loads nothing that nobody calls."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import contextlib, gc, sys
import lora_scripts.cli
with contextlib.suppress(SystemExit):
    lora_scripts.cli.main(["train", "configs/law_qa.yaml", f"output_dir={sys.argv[1]}", "--dry-run"])
print("bitsandbytes" in sys.modules, "torch._inductor.compile_fx" in sys.modules)
print(gc.get_threshold()[2])
"""
SERVE = """
import contextlib, os
import lora_scripts.cli
with contextlib.suppress(SystemExit):
    lora_scripts.cli.main(["serve", "--help"])
print(os.environ.get("TORCHDYNAMO_DISABLE"))
"""


def said_by(code: str, *words: str) -> list[str]:
    """The lines of a process that was not told about the compiler."""
    environment = {**os.environ, "LORA_SCRIPTS_LANG": "en"}
    environment.pop("TORCHDYNAMO_DISABLE", None)
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_run_neither_loads_torchs_compiler_nor_looks_through_its_imports_for_garbage(tmp_path: Path) -> None:
    told = said_by(CODE, str(tmp_path / "run"))
    assert told[-3:] == ["dry run: nothing was trained or written", "True False", "1000"]


def test_the_compiler_of_the_vllm_that_serve_starts_is_left_on() -> None:
    assert said_by(SERVE)[-1] == "None"
