"""From serve.yaml to a server that runs until it is told to stop."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lora_scripts.adapters.files import find_weights
from lora_scripts.adapters.picture_files import refuse_pictures
from lora_scripts.adapters.provenance import provenance_of
from lora_scripts.assemble.combine import overlap_lines, read_part
from lora_scripts.assemble.serving.guardrails import open_guardrails
from lora_scripts.assemble.serving.remote import open_remote
from lora_scripts.assemble.serving.router import learned_router_of
from lora_scripts.config.serving import ServeConfig, ServeLoaded
from lora_scripts.errors import ConfigError, LoraScriptsError, ModelError, Problem, UsageError
from lora_scripts.messages import text
from lora_scripts.models.passing_thread import in_passing_thread
from lora_scripts.models.text import (
    base_fingerprint,
    check_base,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_precision,
)
from lora_scripts.serve.answering import ROUTED, Service
from lora_scripts.serve.audit import AuditLog
from lora_scripts.serve.engine.grammars import json_grammar
from lora_scripts.serve.engine.paged import PagedEngine, UnfitEngine, kv_bytes_of_token
from lora_scripts.serve.engine.segments import attach, unfit_modules
from lora_scripts.serve.engine.simple import SimpleEngine
from lora_scripts.serve.engine.weights import load_weights, moved
from lora_scripts.serve.generation import Engine
from lora_scripts.serve.http.admin import add_admin
from lora_scripts.serve.http.app import Face, make_app
from lora_scripts.serve.http.gate import Gate, GateSettings
from lora_scripts.serve.limits import Admission, ApiKey, digest_of_key
from lora_scripts.serve.remote.wire import remote_grammar
from lora_scripts.serve.routing.rules import Router, parse_rules
from lora_scripts.serve.stacks import Models, UnknownModel, name_stack
from lora_scripts.serve.store import AdapterStore
from lora_scripts.serve.voices import Voice, voice_of

log = logging.getLogger(__name__)

API_KEY, ADMIN_KEY, AUDIT_KEY = (f"LORA_SCRIPTS_{name}_KEY" for name in ("API", "ADMIN", "AUDIT"))
LOCAL = ("127.0.0.1", "localhost", "::1")
GIB = 1 << 30


@dataclass(slots=True)
class Opened:
    """A server that is ready to listen."""

    app: Gate
    face: Face
    config: ServeConfig
    close: Callable[[], None]


def keys_of(config: ServeConfig, environment: Mapping[str, str]) -> tuple[list[ApiKey], ApiKey | None]:
    """The clients' keys and the admin's.

    Raises:
        UsageError: The server would listen to other machines without a key, or both keys are the same.
    """
    keys = [
        ApiKey(
            name=name,
            digest=bytes.fromhex(c["sha256"]) if "sha256" in c else digest_of_key(c["key"]),
            adapters=frozenset(c["adapters"]) if "adapters" in c else None,
            requests_per_minute=c.get("requests_per_minute"),
            tokens_per_minute=c.get("tokens_per_minute"),
            concurrent_requests=c.get("concurrent_requests"),
        )
        for name, c in config.api_keys.items()
    ]
    if given := environment.get(API_KEY):
        keys.append(ApiKey("environment", digest_of_key(given)))
    if config.host not in LOCAL and not keys:
        raise UsageError("serve.open_to_others", where=config.host, variable=API_KEY)
    secret = environment.get(ADMIN_KEY)
    digest = digest_of_key(secret) if secret else bytes.fromhex(config.admin_key_sha256 or "")
    admin = ApiKey("admin", digest) if digest else None
    if admin is not None and any(key.digest == admin.digest for key in keys):
        raise UsageError("serve.same_keys", where=ADMIN_KEY)
    return keys, admin


def open_server(loaded: ServeLoaded, say: Callable[[str], None]) -> Opened:
    """Load base, adapters and rules, and put the server together.

    Raises:
        LoraScriptsError: Something of it cannot be used.
    """
    config = loaded.config
    keys, admin = keys_of(config, os.environ)
    for note in loaded.notes:
        say(note)
    guardrails = open_guardrails(config.guardrails)
    audit = _audit(config)
    base = check_base(config.base_model)
    engine, store, voice, vocabulary = _open_model(config, base, say)
    try:
        models = Models(base.resolve().name, store)
        _load_adapters(config, store, models, say)
        _name_stacks(loaded, models, store, say)
        service = Service(
            engine=engine,
            store=store,
            models=models,
            voice=voice,
            admission=Admission(config.max_requests),
            guardrails=guardrails,
            router=_router(config, loaded.where, store, models, say),
            vocabulary=vocabulary,
            default_max_tokens=config.max_new_tokens,
            grammar=remote_grammar if config.engine == "vllm" else json_grammar,
        )
    except BaseException:
        engine.close()
        raise
    face = Face(service, audit=audit.write if audit else None)
    root = Path(config.adapter_root) if config.adapter_root else None
    settings = GateSettings(
        keys=keys, admin_key=admin, max_body_bytes=config.max_body_kib << 10, hosts=() if keys else LOCAL
    )

    def close() -> None:
        engine.close()
        if audit is not None:
            audit.close()

    app = make_app(
        face,
        settings,
        more_routes=lambda inner, face: add_admin(inner, face, root=root, warn=lambda pairs: overlaps(store, pairs)),
    )
    return Opened(app, face, config, close)


def _audit(config: ServeConfig) -> AuditLog | None:
    if not config.audit_log:
        return None
    key = os.environ.get(AUDIT_KEY, "").encode() or None
    return AuditLog(Path(config.audit_log), raw_text=config.audit_raw_text, key=key)


def _open_model(config: ServeConfig, base: Path, say: Callable[[str], None]) -> tuple[Engine, AdapterStore, Voice, int]:
    fingerprint = base_fingerprint(base)
    if config.engine == "vllm":
        return open_remote(config, base, say, lambda path: _check_base_of(path, fingerprint, base))
    return in_passing_thread(lambda: _open_local(config, base, fingerprint, say))


def _open_local(
    config: ServeConfig, base: Path, fingerprint: str, say: Callable[[str], None]
) -> tuple[Engine, AdapterStore, Voice, int]:
    device, notes = resolve_device(config.device)
    dtype, _, more = resolve_precision("auto", device)
    for note in [*notes, *more]:
        say(note)
    model = load_model(base, dtype=dtype, device=device, quantization=config.quantization)
    tokenizer = load_tokenizer(base)
    layout = attach(model)
    unfit = unfit_modules(model, layout)

    def load(name: str, path: Path) -> Any:
        _check_base_of(path, fingerprint, base)
        return in_passing_thread(
            lambda: load_weights(name, path, model, largest_rank=config.max_lora_rank, unfit=unfit)
        )

    device_bytes = int(config.adapter_memory_gib * GIB)
    store = AdapterStore(
        load,
        device_bytes=device_bytes,
        host_bytes=int(config.host_memory_gib * GIB),
        move=None if device == "cpu" else lambda loaded, to: moved(loaded, "cpu" if to == "host" else device),
        describe=lambda path: voice_of(path, tokenizer),
    )
    layout.spare_bytes = lambda: device_bytes - store.bytes_in("device")
    engine = _engine(config, model, layout, say)
    return engine, store, Voice(tokenizer), int(model.get_input_embeddings().weight.shape[0])


def _engine(config: ServeConfig, model: Any, layout: Any, say: Callable[[str], None]) -> Engine:
    cache_bytes = int(config.kv_cache_gib * GIB)
    if config.engine != "simple":
        try:
            return PagedEngine(model, layout, kv_cache_bytes=cache_bytes, max_requests=min(64, config.max_requests))
        except UnfitEngine as error:
            if config.engine == "paged":
                raise ModelError("serve.not_paged", where=config.base_model, reason=error) from error
            say(text("serve.falls_back", reason=error))
    return SimpleEngine(model, layout, limit_tokens=cache_bytes // kv_bytes_of_token(model))


def _check_base_of(path: Path, fingerprint: str, base: Path) -> None:
    """The adapter was trained on this base, as far as it says.

    Raises:
        ModelError: It was trained on another, or draws.
    """
    refuse_pictures(path)
    trained_on = provenance_of(path).get("base", {}).get("fingerprint")
    if trained_on is None:
        log.warning(text("cli.no_provenance", folder=path))
    elif trained_on != fingerprint:
        raise ModelError("serve.other_base", where=path, base=base)


def _load_adapters(config: ServeConfig, store: AdapterStore, models: Models, say: Callable[[str], None]) -> None:
    """Every adapter of the config; all that cannot be loaded are told at once."""
    problems: list[Problem] = []
    for name, path in config.adapters.items():
        try:
            if name in (models.base, ROUTED):
                raise UsageError("serve.name_taken", where=path, name=name)
            entry = store.add(name, find_weights(path).parent if Path(path).is_dir() else Path(path))
        except LoraScriptsError as error:
            problems += error.problems
            continue
        method, rank = getattr(entry.loaded, "method", ""), getattr(entry.loaded, "rank", 0)
        say(text("serve.loaded", name=name, method=method, rank=rank, size=entry.nbytes / 1e6))
    if problems:
        raise ModelError(problems)


def _name_stacks(loaded: ServeLoaded, models: Models, store: AdapterStore, say: Callable[[str], None]) -> None:
    for name, weights in loaded.config.stacks.items():
        pairs = tuple(weights.items())
        try:
            name_stack(models, name, pairs)
        except UnknownModel as error:
            where = loaded.where.get(f"stacks.{name}.{error}", f"stacks: {name}")
            raise UsageError("serve.stack_unknown", where=where, name=str(error)) from error
        for line in overlaps(store, pairs):
            say(line)


def overlaps(store: AdapterStore, pairs: Sequence[tuple[str, float]]) -> list[str]:
    """What to say of the adapters of a stack that push largely the same way."""
    paths = {entry.name: entry.path for entry in store.entries()}

    def compared() -> list[str]:
        parts = [(name, read_part(paths[name], weight)) for name, weight in pairs if name in paths]
        return overlap_lines([replace(part, path=Path(name)) for name, part in parts])  # clients know no folders

    return in_passing_thread(compared)


def _router(
    config: ServeConfig, where: Mapping[str, str], store: AdapterStore, models: Models, say: Callable[[str], None]
) -> Router | None:
    rules = parse_rules(list(config.routes), where.get("routes", "routes")) if config.routes else []
    unknown = sorted({r.to for r in rules if r.to and r.to not in store and r.to not in models.stacks})
    if unknown:
        raise ConfigError("serve.route_unknown", where=where.get("routes", "routes"), names=", ".join(unknown))
    learned = learned_router_of({e.name: e.path for e in store.entries()}, say) if config.learned_router else None
    return Router(rules, learned) if rules or learned is not None else None
