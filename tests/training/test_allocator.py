"""Freed memory stays with the process: the same step faults fewer pages."""

import os
import subprocess
import sys

import pytest

CODE = """
import resource, sys, torch
from lora_scripts.training.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(20):
    torch.ones(12_000_000).mul_(2)  # above what glibc keeps by itself, 32 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_kept_memory_is_not_mapped_anew_each_time() -> None:
    def faults(how: str) -> int:
        environment = {**os.environ, "THP_MEM_ALLOC_ENABLE": "0"}  # a large page is one fault
        command = [sys.executable, "-c", CODE, how]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("keep") < faults("let go") - 10_000


def test_the_command_lets_torch_align_large_blocks_to_pages() -> None:
    code = """
import contextlib, lora_scripts.cli
with contextlib.suppress(SystemExit):
    lora_scripts.cli.main(["--help"])
import torch
print([torch.empty(3_000_000).data_ptr() % 4096 for _ in range(5)])
"""
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0, 0]"
