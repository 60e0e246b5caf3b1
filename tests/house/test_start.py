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


def test_a_run_neither_loads_torchs_compiler_nor_looks_through_its_imports_for_garbage(tmp_path: Path) -> None:
    environment = {**os.environ, "LORA_SCRIPTS_LANG": "en"}
    environment.pop("TORCHDYNAMO_DISABLE", None)
    command = [sys.executable, "-c", CODE, str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-3:] == ["dry run: nothing was trained or written", "True False", "1000"]
