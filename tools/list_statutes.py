"""Make ``data/statutes.json``: which articles each statute has, so that a citation can be checked.

    python tools/list_statutes.py DIR [--output data/statutes.json]

DIR holds official texts as ``NAME(DATE).md`` (layout of github.com/LawRefBook/Laws): a header that ends at
``<!-- INFO END -->``, then articles that start a line with ``第…条``. Only names and article numbers are written.
"""

import argparse
import json
import re
from pathlib import Path

HEADER_END = "<!-- INFO END -->"
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
ARTICLE = re.compile(r"^(第[一二三四五六七八九十百零]+条)\s+(.*)$")
SHORT_NAMES = {"合同编": "民法典合同编"}


def read_statute(path: Path) -> tuple[str, dict[str, str]]:
    """Full name and article texts (``{"第一条": text}``, paragraphs joined by newlines) of one statute file.

    Raises ValueError when the file has no header end.
    """
    header, found, body = path.read_text(encoding="utf-8").partition(HEADER_END)
    if not found:
        raise ValueError(f"{path}: no {HEADER_END!r}")
    articles: dict[str, str] = {}
    number = ""
    for line in (raw.strip() for raw in body.splitlines()):
        if match := ARTICLE.match(line):
            number = match[1]
            articles[number] = match[2]
        elif line.startswith(("#", "附录")):
            # A chapter heading, or an appendix whose own articles are numbered apart.
            number = ""
        elif line and number:
            articles[number] += f"\n{line}"
    return "".join(TITLE.findall(header)), articles


def read_statutes(folder: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Every statute of a folder by the name under which it is cited; texts without articles are left out."""
    statutes: dict[str, tuple[str, dict[str, str]]] = {}
    for path in sorted(folder.glob("*.md")):
        full_name, articles = read_statute(path)
        if articles:
            stem = re.sub(r"\(\d{4}-\d{2}-\d{2}\)$", "", path.stem)
            statutes[SHORT_NAMES.get(stem, stem)] = (full_name, articles)
    return statutes


def main() -> None:
    """Read the folder, write the list, say how much it holds and what was left out."""
    parser = argparse.ArgumentParser(description="List the articles of each statute in a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, default=Path("data/statutes.json"))
    arguments = parser.parse_args()
    statutes = read_statutes(arguments.folder)
    listed = {short: {"full_name": full, "articles": list(articles)} for short, (full, articles) in statutes.items()}
    lines = [
        f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(s, ensure_ascii=False)}" for name, s in listed.items()
    ]
    arguments.output.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    left_out = len(list(arguments.folder.glob("*.md"))) - len(statutes)
    total = sum(len(articles) for _, articles in statutes.values())
    print(
        f"{arguments.output}: {len(statutes)} statutes, {total} articles; {left_out} file(s) without articles left out"
    )


if __name__ == "__main__":
    main()
