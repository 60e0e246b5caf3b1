"""The command `lora-scripts`: one function a verb — read, call, print. Heavy imports wait until they are needed."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

from lora_scripts.cli import adapters, audit, bases, exporting, init, pictures, rows, serving, training
from lora_scripts.cli.verbs import app
from lora_scripts.errors import LoraScriptsError
from lora_scripts.messages import text
from lora_scripts.models.passing_thread import is_passing

__all__ = ["app", "main", "run_command"]
_INTERRUPTS: list[int] = []
TYPER_INTERRUPTED = 130  # its exit code at Ctrl-C; here a stopped run is a failed one
REGISTERED = (
    training,
    init,
    rows,
    pictures,
    serving,
    exporting,
    adapters,
    audit,
    bases,
)  # their import names the verbs


def _guarded(call: Callable[[], Any]) -> int:
    """Run a command; what is not a bug of ours becomes words and an exit code."""
    try:
        call()
    except LoraScriptsError as error:
        rank = os.environ.get("RANK", "0") if os.environ.get("WORLD_SIZE", "1") != "1" else "0"
        if rank != "0":  # the first rank tells what it sees too
            from lora_scripts.training.parallel import wait_to_be_ended

            wait_to_be_ended(error.exit_code)
            print(f"rank {rank}:", file=sys.stderr)
        print(str(error), file=sys.stderr)
        return error.exit_code
    except (SystemExit, KeyboardInterrupt) as ended:
        if isinstance(ended, SystemExit) and ended.code != TYPER_INTERRUPTED:
            return int(ended.code or 0)
        print(text("cli.interrupted"), file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if _INTERRUPTS:  # libraries make other errors of a Ctrl-C amid their import
            print(text("cli.interrupted"), file=sys.stderr)
        elif isinstance(error, OSError) and (error.filename or error.errno):
            print(text("cli.system", where=error.filename or "", reason=error.strerror or error), file=sys.stderr)
        else:
            raise
        return 1
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Python's own answer to Ctrl-C, noted."""
    _INTERRUPTS.append(number)
    raise KeyboardInterrupt


def run_command(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 done, 1 failed, 2 wrong use or config, 3 data refused."""
    gc.set_threshold(700, 10, 1000)  # a start is imports, and looking through all they made frees nothing
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft)\b")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it advises packages that nothing here needs
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch: large blocks on page borders fragment the heap less
    verb = (arguments or sys.argv[1:])[:1]
    if verb != ["serve"]:  # which may start vLLM, and that compiles; we do not, but bitsandbytes loads the compiler
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "0" if verb == ["base"] else "1")
    return _guarded(lambda: app(args=arguments, standalone_mode=True))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code.

    Python's own end looks through all objects twice, a second after a run, and ends a thread that still computes by
    unwinding it, which aborts where it is in C++.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else a shell has it ignored
        signal.signal(signal.SIGINT, _interrupt)
    code = run_command(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done and said
    if is_passing():  # a run that was refused or interrupted while it loaded or hashed
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    atexit.register(gc.freeze)
    sys.exit(code)
