"""A server's life: listen, and at SIGTERM let what runs come to an end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable

import uvicorn

from lora_scripts.assemble.serving.server import Opened
from lora_scripts.errors import UsageError
from lora_scripts.messages import text

LOOK_SECONDS = 0.05
KEEP_ALIVE_SECONDS = 30
SHUTDOWN_SECONDS = 5  # for what is no answer: those were waited for before


def run_server(opened: Opened, say: Callable[[str], None]) -> None:
    """Listen until SIGTERM or SIGINT; then be unready, take nothing new, and end when nothing runs any more.

    Raises:
        UsageError: The address cannot be listened on.
    """
    config = opened.config
    listener = _listen(config.host, config.port)
    try:
        asyncio.run(_run(opened, listener, say))
    finally:
        listener.close()
        opened.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError("serve.cannot_listen", where=f"{host}:{port}", reason=error.strerror or error) from error
    return listener


async def _run(opened: Opened, listener: socket.socket, say: Callable[[str], None]) -> None:
    settings = uvicorn.Config(
        opened.app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        h11_max_incomplete_event_size=16 << 10,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        http="h11",
    )
    server = uvicorn.Server(settings)
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(LOOK_SECONDS)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # after uvicorn's own, which would close the door at once
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host, port = listener.getsockname()[:2]
    service = opened.face.service
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
    say(text("serve.listening", address=address, base=service.models.base, count=len(service.store.names())))
    say(text("cli.next", command=f"curl {address}/models"))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        await _drain(opened, say)
        server.should_exit = True
    await serving
    stopping.cancel()


async def _drain(opened: Opened, say: Callable[[str], None]) -> None:
    """Wait for running answers, at most as long as the config says; the engine's end then fails the rest."""
    admission = opened.face.service.admission
    admission.draining = True
    say(text("serve.draining_now", count=admission.open))
    loop = asyncio.get_running_loop()
    until = loop.time() + opened.config.drain_seconds
    while admission.open and loop.time() < until:
        await asyncio.sleep(LOOK_SECONDS)
    if admission.open:
        say(text("serve.cut_off", count=admission.open))
        await asyncio.to_thread(opened.face.service.engine.close)
    await asyncio.sleep(2 * LOOK_SECONDS)  # the last bytes leave
