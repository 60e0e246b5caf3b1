"""A base fetched from a model hub. Apart from ``base get`` nothing in this project goes to the network."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from lora_scripts.errors import ModelError, Problem, UsageError
from lora_scripts.messages import text
from lora_scripts.models.gguf_unpack import disk_error, free_megabytes
from lora_scripts.models.text import check_base, check_config

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
DESCRIPTION = ["*.json", "*.txt", "*.model", "*.jinja", "LICENSE*", "README.md"]
WEIGHTS = ["*.safetensors"]
# Folders hold other formats of the same model; consolidated* is Mistral's second copy.
NOT_WANTED = ["*/*", "consolidated*", "*.bin", "*.pt", "*.py"]

SOURCES = ("huggingface", "modelscope")
Fetch = Callable[[str, Path, list[str]], None]


def get_hub(repo: str, models_dir: Path, *, source: str = "huggingface", tell: Callable[[str], None] = print) -> Path:
    """Fetch model ``ORG/NAME`` to ``models_dir/NAME``: descriptions first, weights only if they can be used here.

    Safetensors and text files only, so no pickle and no Python code reaches the disk. ``HF_ENDPOINT`` names a
    mirror. A broken connection is taken up at its byte; after a failure the files that are whole stay in
    ``models_dir/.ORG--NAME.part``, and the next call fetches the others.

    Raises:
        UsageError: Not of the form ORG/NAME, no such source, or the folder is there already.
        ModelError: No such model, no network, not allowed, no safetensors, not a causal LM, disk full.
    """
    if not NAME.fullmatch(repo):
        raise UsageError("models.bad_hub_name", where=repo)
    if source not in SOURCES:
        raise UsageError("models.unknown_source", where=source, names=", ".join(SOURCES))
    out = models_dir / repo.partition("/")[2]
    if out.exists():
        raise UsageError("models.exists", where=out)
    part = models_dir / f".{repo.replace('/', '--')}.part"
    megabytes, fetch = _hugging_face(repo, tell) if source == "huggingface" else (0, _modelscope)
    try:
        part.mkdir(parents=True, exist_ok=True)
        if free_megabytes(part) < megabytes:
            raise ModelError("models.disk_full", where=models_dir, megabytes=megabytes)
        fetch(repo, part, DESCRIPTION)
        with _refused(part, repo):
            check_config(part)
        fetch(repo, part, WEIGHTS)
        with _refused(part, repo):
            check_base(str(part))
        for leftover in (".cache", "._____temp", ".msc", ".mv", ".mdl"):
            path = part / leftover
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        part.rename(out)
    except OSError as error:
        raise disk_error(error, out, megabytes) from error
    return out


@contextlib.contextmanager
def _refused(part: Path, repo: str) -> Iterator[None]:
    """What cannot be used is not kept; the refusal names the model, not our temporary folder."""
    try:
        yield
    except ModelError as error:
        shutil.rmtree(part)
        raise ModelError([_renamed(problem, part, repo) for problem in error.problems]) from error


def _renamed(found: Problem, part: Path, repo: str) -> Problem:
    return replace(found, where=found.where.replace(str(part), repo), fix=found.fix.replace(str(part), repo))


def _hugging_face(repo: str, tell: Callable[[str], None]) -> tuple[int, Fetch]:
    """(size of the weights in MB, how to fetch), after a look at what the repository holds."""
    from huggingface_hub import HfApi, snapshot_download

    endpoint = os.environ.get("HF_ENDPOINT") or None
    with _hub_errors(repo, "huggingface"):
        info = HfApi(endpoint=endpoint).model_info(repo, files_metadata=True)
    files = {file.rfilename: file.size or 0 for file in info.siblings or [] if "/" not in file.rfilename}
    weights = {
        name: size
        for name, size in files.items()
        if name.endswith(".safetensors") and not name.startswith("consolidated")
    }
    if not weights:
        suffixes = sorted({Path(name).suffix for name in files if Path(name).suffix in (".bin", ".pt", ".gguf")})
        found = ", ".join(suffixes) or "-"
        raise ModelError("models.hub_no_safetensors", where=repo, name=repo, source="huggingface", found=found)
    megabytes = sum(weights.values()) >> 20
    licence = (info.card_data.to_dict() if info.card_data else {}).get("license") or "?"
    tell(text("models.licence", name=repo, licence=licence))
    tell(text("models.getting_hub", name=repo, megabytes=megabytes, source=endpoint or "huggingface"))

    def fetch(name: str, folder: Path, patterns: list[str]) -> None:
        with _hub_errors(name, "huggingface"):
            snapshot_download(
                name,
                revision=info.sha,
                local_dir=folder,
                allow_patterns=patterns,
                ignore_patterns=NOT_WANTED,
                endpoint=endpoint,
            )

    return megabytes, fetch


@contextlib.contextmanager
def _hub_errors(repo: str, source: str) -> Iterator[None]:
    """huggingface_hub's many errors, as the four that a user can do something about."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelError("models.hub_gated", where=repo, name=repo, source=source) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise ModelError("models.hub_missing", where=repo, name=repo, source=source) from error
    except Exception as error:  # httpx, OSError and its own: without the network it raises any of them
        if isinstance(error, OSError) and error.errno is not None and error.filename:
            raise  # the disk, not the network
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError("models.hub_failed", where=repo, name=repo, source=source, reason=lines[0][:300]) from error


def _modelscope(repo: str, folder: Path, patterns: list[str]) -> None:
    """The same from modelscope.cn, by its own library, an optional one."""
    try:
        from modelscope import snapshot_download
    except ImportError as error:
        raise ModelError("models.no_modelscope", where="--from modelscope") from error
    try:
        snapshot_download(repo, local_dir=str(folder), allow_patterns=patterns, ignore_patterns=NOT_WANTED)
    except Exception as error:  # its errors share no parent
        if isinstance(error, OSError) and error.errno is not None and error.filename:
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            "models.hub_failed", where=repo, name=repo, source="modelscope", reason=lines[0][:300]
        ) from error
