"""From serve.yaml to the files that start the same on a cluster."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from lora_scripts.assemble.serving.remote import (
    ADAPTERS_AT_ONCE,
    ADAPTERS_IN_MEMORY,
    rank_to_hold,
    vllm_arguments,
)
from lora_scripts.config.serving import ServeConfig
from lora_scripts.errors import UsageError
from lora_scripts.export.cluster import Cluster, kubernetes, ray_serve, server_urls
from lora_scripts.messages import text
from lora_scripts.serve.limits import digest_of_key

KUBERNETES, RAY = "kubernetes.yaml", "ray_serve.yaml"
BUCKET = "s3://YOUR-BUCKET/adapters"
GATEWAY_IMAGE = f"lora-scripts-gateway:{version('lora-scripts')}"
GATEWAY_GIB = 2.0  # beside its adapters
AS_THEY_ARE = (
    "stacks", "routes", "learned_router", "adapter_memory_gib", "max_requests", "max_new_tokens", "max_body_kib",
    "drain_seconds", "audit_raw_text", "admin_key_sha256",
)  # fmt: skip
UNUSED = ("device", "kv_cache_gib", "host_memory_gib")  # the servers of the files have a card each


def cluster_files(config: ServeConfig, folder: Path) -> list[str]:
    """Write ``kubernetes.yaml`` and ``ray_serve.yaml`` into ``folder``; what is left to do is returned as lines.

    Raises:
        UsageError: One of the files is there already, or a key of the config does not go with vLLM.
    """
    if there := [name for name in (KUBERNETES, RAY) if (folder / name).exists()]:
        raise UsageError("remote.files_there", where=folder, names=", ".join(there))
    if config.quantization != "none":
        raise UsageError("remote.quantization", where="quantization", value=config.quantization)
    base = Path(config.base_model).resolve().name
    rank = rank_to_hold(config)
    replicas = len(config.vllm) or 2
    cluster = Cluster(
        base=base,
        replicas=replicas,
        serve=_serve(config, base, rank, replicas),
        arguments=vllm_arguments(Path("/models") / base, base, rank, config.max_requests),
        gateway_image=GATEWAY_IMAGE,
        gateway_gib=config.adapter_memory_gib + GATEWAY_GIB,
        drain_seconds=config.drain_seconds,
        more_volumes=({"lora-rules": "/rules"} if config.guardrails else {})
        | ({"lora-audit": "/audit"} if config.audit_log else {}),
    )
    ray = ray_serve(cluster, bucket=BUCKET, rank=rank, at_once=ADAPTERS_AT_ONCE, in_memory=ADAPTERS_IN_MEMORY)
    folder.mkdir(parents=True, exist_ok=True)
    heads = {KUBERNETES: text("remote.kubernetes_head"), RAY: text("remote.ray_head", base=base)}
    for name, content in ((KUBERNETES, kubernetes(cluster)), (RAY, ray)):
        (folder / name).write_text(_comment(heads[name]) + content, encoding="utf-8")
    return _lines(config, folder, base)


def _serve(config: ServeConfig, base: str, rank: int, replicas: int) -> dict[str, Any]:
    """serve.yaml of the gateway in the cluster. Keys are known there by their sha256 only."""
    clients = {
        name: {k: list(v) if isinstance(v, tuple) else v for k, v in client.items() if k != "key"}
        | ({"sha256": digest_of_key(client["key"]).hex()} if "key" in client else {})
        for name, client in config.api_keys.items()
    }
    found: dict[str, Any] = {
        "base_model": f"/models/{base}",
        "adapter_root": "/adapters",
        "adapters": {name: f"/adapters/{name}" for name in config.adapters},
        "host": "0.0.0.0",
        "port": 8000,
        "engine": "vllm",
        "device": "cuda",
        "vllm": server_urls(replicas),
        "max_lora_rank": rank,
        "api_keys": clients,
        "guardrails": f"/rules/{Path(config.guardrails).name}" if config.guardrails else None,
        "audit_log": f"/audit/{Path(config.audit_log).name}" if config.audit_log else None,
    }
    given = config.model_dump(mode="json")
    found |= {key: given[key] for key in AS_THEY_ARE if key in config.model_fields_set}
    return {key: value for key, value in found.items() if value not in (None, {}, [])}


def _comment(words: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in words.splitlines())


def _lines(config: ServeConfig, folder: Path, base: str) -> list[str]:
    lines = [text("remote.unused_key", name=key) for key in UNUSED if key in config.model_fields_set]
    lines.append(text("remote.copy_base", folder=config.base_model, base=base))
    lines += [text("remote.copy_adapter", folder=path, name=name) for name, path in config.adapters.items()]
    if config.guardrails:
        lines.append(text("remote.copy_rules", file=config.guardrails))
    lines.append(text("remote.ray_without", name=RAY))
    return [*lines, text("remote.cluster_written", folder=folder, names=f"{KUBERNETES}, {RAY}")]
