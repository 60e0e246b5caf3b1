"""`engine: vllm`: our gateway in front of vLLM servers that run, or of one that is started for it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedModel

from lora_scripts.adapters.files import read_adapter
from lora_scripts.config.serving import ServeConfig
from lora_scripts.errors import ModelError, UsageError
from lora_scripts.export.vllm import RANKS, allowed_rank
from lora_scripts.messages import text
from lora_scripts.models.text import load_tokenizer, resolve_device
from lora_scripts.serve.generation import Engine
from lora_scripts.serve.remote.adapters import RemoteAdapter, outline_of, read_remote, zeros_for
from lora_scripts.serve.remote.engine import RemoteEngine
from lora_scripts.serve.remote.process import find_vllm, start_vllm
from lora_scripts.serve.store import AdapterStore
from lora_scripts.serve.voices import Voice, voice_of

KEY = "LORA_SCRIPTS_VLLM_KEY"
"""Environment variable: the API key of the servers that ``vllm`` names."""
SERVED = ".served"
ADAPTERS_AT_ONCE, ADAPTERS_IN_MEMORY = 8, 64  # of one batch, and of the machine's memory
LEAST_RANK = 64  # that is reserved, so that adapters loaded later fit too
GIB = 1 << 30


def open_remote(
    config: ServeConfig, base: Path, say: Callable[[str], None], check: Callable[[Path], None] = lambda _: None
) -> tuple[Engine, AdapterStore, Voice, int]:
    """Engine, adapter store, the base's voice and how many token ids it knows. Starts vLLM where ``vllm`` is empty.

    ``check`` raises where the adapter of a folder belongs to another base.

    Raises:
        UsageError: A key of the config does not go with vLLM, or vLLM is not installed.
        ModelError: No server answers, or the one that was started ended.
    """
    tokenizer = load_tokenizer(base)
    outline = outline_of(base)
    folder = served_folder(config)
    if config.quantization != "none":
        raise UsageError("remote.quantization", where="quantization", value=config.quantization)
    unused = {"host_memory_gib"} | ({"kv_cache_gib"} if config.vllm else set())
    for key in sorted(unused & config.model_fields_set):
        say(text("remote.unused_key", name=key))
    if config.vllm:
        rank = config.max_lora_rank
        engine = _attach(config, base, folder, outline, say)
    else:
        rank = rank_to_hold(config)
        engine = _start(config, base, folder, rank, outline, say)

    def load(name: str, path: Path) -> RemoteAdapter:
        check(path)
        adapter = read_remote(name, path, outline, largest_rank=rank)
        engine.take(adapter)
        return adapter

    store = AdapterStore(
        load,
        device_bytes=int(config.adapter_memory_gib * GIB),
        describe=lambda path: voice_of(path, tokenizer),
        dropped=engine.drop,
    )
    return engine, store, Voice(tokenizer), int(outline.get_input_embeddings().weight.shape[0])


def served_folder(config: ServeConfig) -> Path:
    """Where adapters are written for vLLM: below ``adapter_root``, which servers on other machines share, else in the
    user's cache."""
    if config.adapter_root:
        return Path(config.adapter_root).resolve() / SERVED
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache).resolve() / "lora-scripts" / "served"


def _attach(
    config: ServeConfig, base: Path, folder: Path, outline: PreTrainedModel, say: Callable[[str], None]
) -> RemoteEngine:
    has_cards = config.device.startswith("cuda")  # what they run on cannot be asked
    if not has_cards:
        say(text("remote.base_by_zeros"))
    urls = [_address(word) for word in config.vllm]
    engine = RemoteEngine(
        urls,
        folder=folder,
        base=str(base.resolve()),
        largest_rank=config.max_lora_rank,
        zeros=None if has_cards else zeros_for(outline),
        api_key=os.environ.get(KEY, ""),
    )
    for replica in engine.replicas:
        if not replica.is_up:
            say(text("remote.not_up_yet", url=replica.url))
            continue
        say(text("remote.attached", url=replica.url, base=replica.base, limit=replica.limit_tokens))
        if Path(replica.root).name != base.resolve().name:
            say(text("remote.other_name", url=replica.url, theirs=replica.root, ours=base))
    say(text("remote.shared_folder", folder=folder))
    return engine


def _address(word: str) -> str:
    """``http://host:port`` of what was written; a ``/v1`` at its end is what other clients want.

    Raises:
        UsageError: It is none.
    """
    url = word.rstrip("/").removesuffix("/v1")
    if not url.startswith(("http://", "https://")):
        raise UsageError("remote.bad_address", where="vllm", address=word)
    return url


def _start(
    config: ServeConfig,
    base: Path,
    folder: Path,
    rank: int,
    outline: PreTrainedModel,
    say: Callable[[str], None],
) -> RemoteEngine:
    device, notes = resolve_device(config.device)
    for note in notes:
        say(note)
    program = find_vllm(os.environ)
    say(text("remote.holds", rank=rank, count=ADAPTERS_AT_ONCE))
    arguments = vllm_arguments(base.resolve(), base.resolve().name, rank, config.max_requests)
    variables = {}
    if device == "cpu":
        arguments += ["--dtype", "float32"]  # as the other engines compute there
        variables["VLLM_CPU_KVCACHE_SPACE"] = str(math.ceil(config.kv_cache_gib))
    elif "kv_cache_gib" in config.model_fields_set:
        arguments += ["--kv-cache-memory-bytes", str(int(config.kv_cache_gib * GIB))]
    if number := device.partition(":")[2]:
        variables["CUDA_VISIBLE_DEVICES"] = number
    server = start_vllm(program, arguments, variables, folder / "vllm.log", say)
    try:
        return RemoteEngine(
            [server.url],
            folder=folder,
            base=str(base.resolve()),
            largest_rank=rank,
            zeros=zeros_for(outline) if device == "cpu" else None,
            api_key=server.api_key,
            end=server.stop,
        )
    except BaseException:
        server.stop()
        raise


def vllm_arguments(base: Path, name: str, rank: int, max_requests: int) -> list[str]:
    """Of ``vllm serve``: what the gateway needs of a server, wherever it runs."""
    return [
        str(base), "--served-model-name", name,
        "--enable-lora", "--max-lora-rank", str(rank),
        "--max-loras", str(ADAPTERS_AT_ONCE), "--max-cpu-loras", str(ADAPTERS_IN_MEMORY),
        "--max-num-seqs", str(max_requests), "--max-model-len", "auto",
        "--generation-config", "vllm",
        "--structured-outputs-config", '{"backend": "guidance", "disable_any_whitespace": true}',
    ]  # fmt: skip


def rank_to_hold(config: ServeConfig) -> int:
    """The rank that a server of ours reserves memory for: ``max_lora_rank`` if it is given, else what the adapters and
    stacks of the config need."""
    wanted = config.max_lora_rank
    if "max_lora_rank" not in config.model_fields_set:
        ranks = {name: _rank_of(path) for name, path in config.adapters.items()}
        stacks = [sum(ranks.get(name, 0) for name in weights) for weights in config.stacks.values()]
        wanted = max([LEAST_RANK, *ranks.values(), *stacks])
    if wanted > RANKS[-1]:
        raise UsageError("remote.rank", where="max_lora_rank", rank=wanted, most=RANKS[-1])
    return allowed_rank(wanted)


def _rank_of(path: str) -> int:
    """The largest rank of an adapter; 0 of one that cannot be read, which is told when it is loaded."""
    try:
        _, tensors = read_adapter(Path(path))
    except ModelError:
        return 0
    return max((value.shape[0] for name, value in tensors.items() if name.endswith("lora_A.weight")), default=0)
