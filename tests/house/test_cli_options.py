"""The verbs and options of the command line, as a table: other people's scripts hold on to them."""

import subprocess
import sys

import typer.main

from lora_scripts.cli import app

# verb → what is given by place, then the flags; a flag that takes a value ends with =
VERBS = {
    "train": "words --config= --dry-run --strict",
    "init": "folder --output= --base-model= --yes --overwrite",
    "check": "paths --json --report-dir=",
    "preview": "config overrides -n=",
    "desensitize": "source target --mode= --types= --list= --json",
    "augment": "path target --per-record= --seed= --addressee= --endpoint= --model=",
    "generate": "--prompt= --adapter= --base-model= --output= --count= --seed= --steps= --guidance= --negative= "
    "--width= --height= --mark --producer= --device=",
    "label": "folder --output= --clip-model= --captioner= --tags= --threshold= --max-tags= --undesired= --replace= "
    "--prefix= --chinese --overwrite --device=",
    "chat": "--adapter= --prompt= --base-model= --device= --max-new-tokens=",
    "serve": "config --base-model= --adapter= --adapter-root= --host= --port= --device= --engine= --write-cluster=",
    "eval": "run --json --from-sheet= --output=",
    "sweep": "config overrides --trials= --output=",
    "adapters shrink": "source target --rank= --energy=",
    "adapters inspect": "folder",
    "adapters combine": "words --base-model= --device=",
    "adapters list": "root --json",
    "adapters verify": "folder --base-model=",
    "export": "run --to= --output= --base-model= --overwrite --dtype= --adapter= --adapter-only",
    "audit verify": "file",
    "schema": "",
    "base get": "name --from= --models-dir=",
    "base unpack": "file folder",
}


def commands(command, prefix=""):
    for word, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from commands(inner, f"{prefix}{word} ")
        else:
            yield prefix + word, inner


def spelt(parameter) -> str:
    if parameter.param_type_name == "argument":
        return parameter.name
    return "/".join(parameter.opts) + ("" if parameter.is_flag else "=")


def test_verbs_and_options_are_these():
    found = {
        name: " ".join(spelt(p) for p in command.params if p.name != "help")
        for name, command in commands(typer.main.get_command(app))
    }
    assert found == VERBS


def test_help_of_every_verb_answers_without_loading_torch():
    calls = [[], *(name.split() for name in VERBS), ["base"], ["adapters"], ["audit"]]
    code = f"""
import sys
from lora_scripts.cli import main
for words in {calls!r}:
    try:
        main([*words, "--help"])
    except SystemExit as end:
        assert end.code == 0, (words, end.code)
    print("== helped", *words)
print("== heavy", [m for m in ("torch", "transformers", "peft", "numpy", "pandas") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("== helped") == len(calls)
    assert done.stdout.splitlines()[-1] == "== heavy []"
    for flag in ("--dry-run", "--report-dir", "--adapter", "--from"):
        assert flag in done.stdout


def test_help_speaks_both_languages(monkeypatch):
    for language, words in (("en", "from files to a proven adapter"), ("zh", "从数据文件到经过验证的适配器")):
        monkeypatch.setenv("LORA_SCRIPTS_LANG", language)
        command = [sys.executable]
        code = "from lora_scripts.cli import main; main(['train', '--help'])"
        done = subprocess.run([command[0], "-c", code], capture_output=True, text=True, check=True)
        assert words in done.stdout
