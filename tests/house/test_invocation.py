"""Commands that are printed can be run as printed, however the program was called."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer.main

import lora_scripts
from lora_scripts import invocation
from lora_scripts.cli import app
from lora_scripts.messages import fix_for

ROOT = Path(lora_scripts.__file__).resolve().parents[1]
SCRIPT = Path(sys.executable).with_name("lora-scripts")
ROOMS = sorted(p.stem for p in (ROOT / "lora_scripts" / "messages").glob("*.py") if p.stem != "__init__")
KEY = "cli.no_config"  # its fix is `lora-scripts train configs/law_qa.yaml`


def called(monkeypatch: pytest.MonkeyPatch, script: str, *, python: str = "python", path: str = "/nowhere") -> None:
    monkeypatch.setattr(sys, "argv", [script])
    monkeypatch.setattr(sys, "orig_argv", [python, script])
    monkeypatch.setenv("PATH", path)


def test_the_verbs_that_are_looked_for_are_those_of_the_command() -> None:
    assert set(typer.main.get_command(app).commands) == set(invocation.VERBS)


def test_every_command_in_a_text_names_a_verb_that_exists() -> None:
    commands = typer.main.get_command(app).commands
    wrong = []
    for room in ROOMS:
        for key, pair in import_module(f"lora_scripts.messages.{room}").TEXTS.items():
            for words in pair:
                for verb, inner in re.findall(r"lora-scripts ([a-z]+) ?([a-z]*)", words):
                    group = getattr(commands.get(verb), "commands", None)
                    if verb in commands and (not group or not inner or inner in group):
                        continue
                    if not re.search(rf"(of|the) lora-scripts {verb}", words):  # the name in a sentence
                        wrong.append((room, key, verb, inner))
    assert wrong == []


def test_the_name_alone_where_the_shell_finds_this_very_script(monkeypatch: pytest.MonkeyPatch) -> None:
    called(monkeypatch, str(SCRIPT), path=str(SCRIPT.parent))
    assert fix_for(KEY) == "lora-scripts train configs/law_qa.yaml"


def test_another_lora_scripts_on_the_path_is_not_meant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "lora-scripts"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    called(monkeypatch, str(SCRIPT), path=str(tmp_path))
    monkeypatch.chdir(SCRIPT.parents[2])
    assert fix_for(KEY) == f"{SCRIPT.parent.parent.name}/bin/lora-scripts train configs/law_qa.yaml"


def test_the_path_as_typed_and_quoted_where_it_holds_a_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "my {venv}"
    folder.mkdir()
    shutil.copy(SCRIPT, folder / "lora-scripts")
    monkeypatch.chdir(tmp_path)
    called(monkeypatch, "my {venv}/lora-scripts")
    assert fix_for(KEY) == "'my {venv}/lora-scripts' train configs/law_qa.yaml"
    monkeypatch.chdir(folder)
    called(monkeypatch, "lora-scripts")
    assert fix_for(KEY) == "./lora-scripts train configs/law_qa.yaml"


def test_by_train_py_training_goes_on_by_train_py_and_the_rest_by_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    called(monkeypatch, "train.py", python=sys.executable)
    prefix, _, rest = fix_for(KEY).partition(" train.py --config ")
    assert shutil.which(prefix) and rest == "configs/law_qa.yaml"
    assert invocation.command("chat", "--adapter", "a b").endswith("lora-scripts chat --adapter 'a b'")
    assert invocation.as_called("`lora-scripts train` with this file").endswith("train.py` with this file")


@pytest.mark.parametrize("way", ["script", "train.py", "module"])
def test_the_printed_command_runs_as_printed(way: str, tmp_path: Path) -> None:
    """Called wrongly in a folder of its own, it prints what to do; that, run there by the shell, is understood."""
    words = {
        "script": [str(SCRIPT), "train"],
        "train.py": [sys.executable, str(ROOT / "train.py")],
        "module": [sys.executable, "-m", "lora_scripts", "train"],
    }[way]
    environment = {"PATH": "/usr/bin:/bin", "LORA_SCRIPTS_LANG": "en", "HOME": str(tmp_path)}
    said = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert said.returncode == 2, said.stderr
    printed = said.stderr.split("fix: ")[1].strip()
    assert ("train.py --config" in printed) == (way == "train.py")
    again = subprocess.run(printed, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert again.returncode == 2 and "configs/law_qa.yaml: there is no such config file" in again.stderr
    assert shlex.split(printed)
