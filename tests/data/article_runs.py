"""Which runs of four characters an article of a law has, as numbers of 16 bits: to tell what an answer is taken from.

    python tests/data/article_runs.py DIR

writes ``article_runs.json`` from the official texts in DIR (layout: ``tools/list_statutes.py``): each article that the
sample sets cite and the one behind it, line by line. The file holds no text.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import sys
from array import array
from pathlib import Path
from zlib import crc32

ROOT = Path(__file__).resolve().parents[2]
STORED = Path(__file__).with_suffix(".json")
CITED = re.compile(r"依据《([^》]+)》(第[一二三四五六七八九十百零]+条)")
ITEM = re.compile(r"[（(]([一二三四五六七八九十]+)[）)]")
LENGTH = 4
Line = tuple[str, frozenset[int]]
"""The number of the item that a line is ("" for a paragraph), and its runs."""


def runs_of(text: str) -> frozenset[int]:
    """Letters and digits count only. Of two texts without a common run about one in a thousand looks common."""
    letters = re.sub(r"[\W_]", "", text).lower()
    return frozenset(crc32(letters[i : i + LENGTH].encode()) & 0xFFFF for i in range(len(letters) - LENGTH + 1))


def lines_of(text: str) -> list[Line]:
    """Of an article."""
    return [(item[1] if (item := ITEM.match(line)) else "", runs_of(line)) for line in text.split("\n")]


def read_texts(folder: Path) -> dict[str, dict[str, list[Line]]]:
    """All articles of the official texts in a folder, by law and number."""
    spec = importlib.util.spec_from_file_location("list_statutes", ROOT / "tools" / "list_statutes.py")
    assert spec and spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return {
        law: {number: lines_of(text) for number, text in articles.items()}
        for law, (_, articles) in tool.read_statutes(folder).items()
    }


def read_stored() -> dict[str, dict[str, list[Line]]]:
    """The same of the file."""
    laws = json.loads(STORED.read_text(encoding="utf-8"))
    return {
        law: {
            number: [(item, frozenset(array("H", base64.b64decode(runs)))) for item, runs in lines]
            for number, lines in articles.items()
        }
        for law, articles in laws.items()
    }


def wanted(texts: dict[str, dict[str, list[Line]]]) -> dict[str, dict[str, list[Line]]]:
    """Of all articles those that are stored."""
    cited: dict[str, set[str]] = {}
    for file in (ROOT / "data").glob("law_*/*.txt"):
        for law, number in CITED.findall(file.read_text(encoding="utf-8")):
            numbers = list(texts[law])
            cited.setdefault(law, set()).update(
                numbers[(numbers.index(number) + step) % len(numbers)] for step in (0, 1)
            )
    return {
        law: {number: lines for number, lines in texts[law].items() if number in numbers}
        for law, numbers in sorted(cited.items())
    }


def main() -> None:
    kept = {
        law: {
            number: [[item, base64.b64encode(array("H", sorted(runs)).tobytes()).decode()] for item, runs in lines]
            for number, lines in articles.items()
        }
        for law, articles in wanted(read_texts(Path(sys.argv[1]))).items()
    }
    rows = [f"{json.dumps(law, ensure_ascii=False)}: {json.dumps(a, ensure_ascii=False)}" for law, a in kept.items()]
    STORED.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
