"""What the paged engine uses of transformers beside its public face: it is there, and where it is not, that is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lora_scripts.serve.engine import paged
from lora_scripts.serve.engine.paged import MARK_COMPLETE, PRIVATE, UnfitEngine, missing_parts
from tests.serve.conftest import BASE, Rig, make_rig

OLDEST = ("transformers==5.17.0", "huggingface-hub>=1.5,<2")


def test_every_private_attribute_is_there(rig: Rig) -> None:
    assert missing_parts(rig.engine._manager) == []


@pytest.mark.parametrize("gone", [f"{owner}.{name}" for owner, names in PRIVATE.items() for name in names])
def test_an_attribute_that_is_gone_is_named(gone: str) -> None:
    owner, _, name = gone.partition(".")
    parts: dict[str, Any] = {o: SimpleNamespace(**dict.fromkeys(names, 1)) for o, names in PRIVATE.items()}
    setattr(parts["cache"], MARK_COMPLETE[0], 1)
    for inner in ("inputs_and_outputs", "scheduler", "cache"):
        setattr(parts["processor"], inner, parts[inner])
    parts["manager"].batch_processor = parts["processor"]
    assert missing_parts(parts["manager"]) == []
    delattr(parts[owner], name)
    if owner != "manager" or name != "batch_processor":
        assert gone in missing_parts(parts["manager"])


def test_an_engine_without_its_parts_does_not_start(adapters_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRIVATE, "cache", ("no_such_thing",))
    with pytest.raises(UnfitEngine, match=r"cache\.no_such_thing"):
        make_rig(BASE, adapters_dir, [])
    assert paged.PRIVATE["cache"] == ("no_such_thing",)


@pytest.mark.slow
def test_the_engine_answers_the_same_on_the_oldest_transformers(tmp_path: Path) -> None:
    """All of test_paged_engine.py, run on the oldest version that pyproject.toml admits."""
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), *OLDEST]
    if subprocess.run(install, check=False, capture_output=True).returncode:
        pytest.skip("that version cannot be installed here")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    code = "import transformers; print(transformers.__version__)"
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "5.17.0"
    tests = [sys.executable, "-m", "pytest", "-q", str(Path(__file__).with_name("test_paged_engine.py"))]
    done = subprocess.run(tests, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
