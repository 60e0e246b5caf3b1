"""A vLLM server of our own: found, started, waited for, and ended with us."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from lora_scripts.errors import ModelError, UsageError
from lora_scripts.messages import text

PROGRAM = "LORA_SCRIPTS_VLLM"
"""Environment variable: the ``vllm`` executable, where it is not on PATH."""
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
"""The base is a folder here, so nothing is fetched; and nothing is told to anybody."""
START_SECONDS = 1800.0
TELL_SECONDS = 30.0
LOOK_SECONDS = 0.5
END_SECONDS = 20.0
LAST_LINES = 12
_UNTIL_PARENT_ENDS = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGTERM)\n"  # 1: PR_SET_PDEATHSIG
    "os.getppid() == int(sys.argv[1]) or sys.exit(1)\n"  # it ended before that
    "os.execv(sys.argv[2], sys.argv[2:])"
)
"""Runs a program that is sent SIGTERM when the thread that started it ends, killed or not (Linux)."""


@dataclass(frozen=True, slots=True)
class VllmProcess:
    """A server that runs. Only who knows ``api_key`` may ask it; ``log`` is the file that it writes to."""

    url: str
    api_key: str
    log: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End the server and its workers. May be called twice."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(END_SECONDS)


def find_vllm(environment: Mapping[str, str]) -> str:
    """The ``vllm`` executable.

    Raises:
        UsageError: There is none.
    """
    given = environment.get(PROGRAM)
    found = shutil.which(given or "vllm", path=environment.get("PATH"))
    if found is None:
        raise UsageError("remote.no_vllm", name=given or "vllm", variable=PROGRAM)
    return str(Path(found).absolute())


def start_vllm(
    program: str, arguments: Sequence[str], more: Mapping[str, str], log: Path, say: Callable[[str], None]
) -> VllmProcess:
    """Start ``vllm serve`` with ``arguments`` on a free local port, and wait until it answers. Takes minutes.

    ``more`` are variables for its environment.

    Raises:
        ModelError: It ended, or did not answer in half an hour.
    """
    port, key = _free_port(), secrets.token_urlsafe(32)
    command = [program, "serve", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    if sys.platform == "linux":
        command = [sys.executable, "-c", _UNTIL_PARENT_ENDS, str(os.getpid()), *command]
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **more, **QUIET, "VLLM_API_KEY": key, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
            start_new_session=True,  # Ctrl-C is for us: answers that run may end first
        )  # fmt: skip
    server = VllmProcess(f"http://127.0.0.1:{port}", key, log, process)
    say(text("remote.starting", program=program, log=log))
    try:
        _await(server, say)
    except BaseException:
        server.stop()
        raise
    return server


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _await(server: VllmProcess, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    told = 0.0
    with httpx.Client(trust_env=False, timeout=5.0) as client:
        while (waited := time.monotonic() - began) < START_SECONDS:
            if server.process.poll() is not None:
                raise ModelError("remote.ended_early", where=server.log, lines=last_lines(server.log))
            with contextlib.suppress(httpx.HTTPError):
                if client.get(f"{server.url}/health").status_code == 200:
                    say(text("remote.started", seconds=waited))
                    return
            if waited - told > TELL_SECONDS:
                told = waited
                say(text("remote.still_starting", seconds=waited))
            time.sleep(LOOK_SECONDS)
    raise ModelError("remote.slow_start", where=server.log, seconds=START_SECONDS)


def last_lines(log: Path) -> str:
    """The end of a log, for a message."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(line[:300] for line in lines[-LAST_LINES:])
