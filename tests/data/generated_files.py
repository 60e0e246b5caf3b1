"""Small files of the kinds that teams bring, what each teaches, and a table of how they are read.

python -m tests.data.generated_files [--kind NAME] [--write DIR]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.data import (
    generated_cells,
    generated_chats,
    generated_documents,
    generated_exports,
    generated_layouts,
    generated_objects,
    generated_tables,
    generated_transcripts,
    generated_workbooks,
)
from tests.data.generated_judge import ASKED, CRASHED, READ, REFUSED, UNADVISED, VERDICTS, WRONG, Judgement, judge
from tests.data.generated_truth import GeneratedFile, Kind

MODULES = (
    generated_tables,
    generated_cells,
    generated_workbooks,
    generated_objects,
    generated_layouts,
    generated_exports,
    generated_transcripts,
    generated_chats,
    generated_documents,
)
KINDS: dict[str, Kind] = {kind.__name__: kind for module in MODULES for kind in module.KINDS}


def all_files(kind: str = "") -> Iterator[GeneratedFile]:
    """Every file, or those of one kind, in a fixed order."""
    for name, make in KINDS.items():
        if kind in ("", name):
            yield from make()


def judge_all(files: Sequence[GeneratedFile], folder: Path) -> list[Judgement]:
    """Read every file from a folder of its own below ``folder``."""
    judgements = []
    for i, file in enumerate(files):
        place = folder / f"{i:03}"
        place.mkdir()
        judgements.append(judge(file, place))
    return judgements


def table(judgements: Sequence[Judgement]) -> str:
    """Counts by kind, then the reason of every shortfall."""
    width = max(map(len, KINDS))
    lines = [f"{'kind':{width}} files  read  asked  unadvised  refused  wrong  crashed"]
    columns = (READ, ASKED, UNADVISED, REFUSED, WRONG, CRASHED)
    for kind in [*dict.fromkeys(j.file.kind for j in judgements), ""]:
        of_kind = [j for j in judgements if kind in ("", j.file.kind)]
        counts = [sum(j.verdict == v for j in of_kind) for v in columns]
        cells = "".join(f"{n or '.':>{w}}" for n, w in zip(counts, (6, 7, 11, 9, 7, 9), strict=True))
        lines.append(f"{kind or 'all':{width}} {len(of_kind):5}{cells}")
    lines.append("")
    for verdict in (CRASHED, WRONG, UNADVISED):
        lines += [
            f"{verdict}: {j.file.kind} ({j.file.variation}): {' '.join(j.reason.split())}"
            for j in judgements
            if j.verdict == verdict
        ]
    return "\n".join(lines)


def write(files: Sequence[GeneratedFile], folder: Path) -> None:
    """Write the files into ``folder/KIND/NUMBER_NAME``, to look at."""
    for i, file in enumerate(files):
        place = folder / file.kind
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i:03}_{file.name}").write_bytes(file.content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", default="", choices=["", *KINDS])
    parser.add_argument("--write", type=Path, help="write the files into this folder instead of reading them")
    options = parser.parse_args()
    files = list(all_files(options.kind))
    if options.write:
        write(files, options.write)
        return
    os.environ["LORA_SCRIPTS_LANG"] = "en"
    with tempfile.TemporaryDirectory() as folder:
        judgements = judge_all(files, Path(folder))
    assert {j.verdict for j in judgements} <= set(VERDICTS)
    print(table(judgements))


if __name__ == "__main__":
    main()
