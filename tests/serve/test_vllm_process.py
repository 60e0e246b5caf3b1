"""A vLLM of our own: found, started, waited for, told about, ended with us however we end. The program is a fake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from lora_scripts.errors import ModelError, UsageError
from lora_scripts.serve.remote.process import PROGRAM, find_vllm, start_vllm

FAKE = """#!{python}
import http.server, json, os, subprocess, sys
here = os.path.dirname(os.path.abspath(__file__))
if "--fail" in sys.argv:
    print("no room for the cache", flush=True)
    sys.exit(3)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
names = ("VLLM_API_KEY", "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "MORE", "VLLM_NO_USAGE_STATS")
told = {{"argv": sys.argv[1:], "pids": [os.getpid(), worker.pid], **{{n: os.environ.get(n) for n in names}}}}
json.dump(told, open(here + "/told.json", "w"))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({{"data": [{{"id": "base", "max_model_len": 512}}]}}).encode())
    do_POST = do_GET
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "vllm"
    path.write_text(FAKE.format(python=sys.executable))
    path.chmod(0o755)
    return str(path)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while any(map(is_alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(is_alive, pids))


def test_it_is_started_with_what_it_needs_and_ended_with_its_workers(program: str, tmp_path: Path) -> None:
    said: list[str] = []
    server = start_vllm(program, ["base", "--enable-lora"], {"MORE": "1"}, tmp_path / "logs" / "vllm.log", said.append)
    told = json.loads((tmp_path / "told.json").read_text())
    assert httpx.get(f"{server.url}/health").status_code == 200
    assert told["argv"][:5] == ["serve", "base", "--enable-lora", "--host", "127.0.0.1"]
    assert told["VLLM_API_KEY"] == server.api_key and len(server.api_key) > 30
    assert (told["VLLM_ALLOW_RUNTIME_LORA_UPDATING"], told["MORE"], told["VLLM_NO_USAGE_STATS"]) == ("True", "1", "1")
    assert str(tmp_path / "logs" / "vllm.log") in said[0] and "answers after" in said[-1]
    assert all(map(is_alive, told["pids"]))
    server.stop()
    server.stop()
    assert gone(told["pids"])


def test_one_that_ends_is_told_with_its_last_lines(program: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no room for the cache"):
        start_vllm(program, ["base", "--fail"], {}, tmp_path / "vllm.log", lambda _: None)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_it_ends_when_the_gateway_is_killed(program: str, tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom lora_scripts.serve.remote.process import start_vllm\n"
        "start_vllm(sys.argv[1], [], {}, Path(sys.argv[2]), print)\nprint('up', flush=True)\ntime.sleep(60)"
    )
    command = [sys.executable, "-c", script, program, str(tmp_path / "vllm.log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        while gateway.stdout.readline().strip() != "up":
            assert gateway.poll() is None
        server, worker = json.loads((tmp_path / "told.json").read_text())["pids"]
        gateway.kill()
    assert gone([server])
    os.kill(worker, signal.SIGKILL)  # vLLM's own workers end with their parent; a sleep does not


def test_it_is_found_by_its_variable_or_on_the_path(program: str, tmp_path: Path) -> None:
    assert find_vllm({PROGRAM: program}) == program
    assert find_vllm({"PATH": str(tmp_path)}) == program
    for environment in ({"PATH": "/nowhere"}, {PROGRAM: "/nowhere/vllm"}):
        with pytest.raises(UsageError) as caught:
            find_vllm(environment)
        assert caught.value.exit_code == 2
        assert "pip install vllm" in str(caught.value) and PROGRAM in str(caught.value)


@pytest.mark.slow
def test_the_command_keeps_it_while_it_listens(program: str, tmp_path: Path) -> None:
    """A child is told of the end of the thread that started it, so that thread has to live as long as the server."""
    base = Path(__file__).resolve().parents[2] / "models" / "tiny-zh"
    command = [str(Path(sys.executable).parent / "lora-scripts"), "serve", "--base-model", str(base)]
    command += ["--engine", "vllm", "--port", "0"]
    environment = {**os.environ, PROGRAM: program, "LORA_SCRIPTS_LANG": "en", "XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as gateway:
        try:
            assert gateway.stderr is not None
            assert any("listening on" in line for line in iter(gateway.stderr.readline, ""))
            time.sleep(0.5)
            pids = json.loads((tmp_path / "told.json").read_text())["pids"]
            assert all(map(is_alive, pids))
        finally:
            gateway.terminate()
    assert gone(pids)
