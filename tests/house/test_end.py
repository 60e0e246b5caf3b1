"""How a process ends: in its words, with its exit code, and at once."""

import os
import subprocess
import sys

COMPUTING = """
import torch
from lora_scripts import cli
from lora_scripts.models.passing_thread import begun
from lora_scripts.errors import UsageError

def compute() -> None:
    while True:
        torch.randn(64, 64).sum().item()

def call(**_) -> None:
    begun(compute)
    raise {failure}

cli.app = call
cli.main(["chat"])
"""
FROZEN = """
import atexit, gc
atexit.register(lambda: print("frozen", gc.get_freeze_count()))  # what is registered first is called last
from lora_scripts.cli import main
main(["--help"])
"""


def ended(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LORA_SCRIPTS_LANG": "en"}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)


def test_a_thread_that_computes_when_the_command_is_refused_or_interrupted_does_not_abort_it() -> None:
    for failure, code, words in (
        ("KeyboardInterrupt", 1, "stopped"),
        ("UsageError('serve.logprobs_guarded')", 2, "guard"),
    ):
        done = ended(COMPUTING.format(failure=failure))
        assert done.returncode == code, done.stderr
        assert words in done.stderr.splitlines()[0] and "terminate" not in done.stderr


def test_the_end_does_not_look_through_all_objects_once_more() -> None:
    done = ended(FROZEN)
    assert done.returncode == 0 and int(done.stdout.rpartition("frozen ")[2]) > 10_000
