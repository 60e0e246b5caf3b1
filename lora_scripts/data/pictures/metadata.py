"""metadata.csv: a line for each picture, its file name below the folder and the words that it is taught with."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from lora_scripts.data.reading.encodings import decode
from lora_scripts.errors import DataError

COLUMNS = ("filename", "prompt")


def read_metadata(path: Path) -> dict[str, str]:
    """File name to prompt, as ``write_metadata`` wrote it or a table program saved it again.

    Raises:
        DataError: It is another table.
    """
    rows = csv.reader(io.StringIO(decode(path.read_bytes(), str(path)).text))
    try:
        head, *lines = [row for row in rows if row]
    except (ValueError, csv.Error) as error:
        raise DataError("pictures.bad_table", where=path) from error
    names = [cell.strip().lower() for cell in head]
    if not set(COLUMNS) <= set(names):
        raise DataError("pictures.bad_table", where=path)
    places = [names.index(name) for name in COLUMNS]
    return {row[places[0]]: row[places[1]] for row in lines if len(row) > max(places)}


def write_metadata(path: Path, prompts: Mapping[str, str]) -> None:
    """Write the table whole or not at all; with a byte-order mark, by which Excel knows UTF-8."""
    half = path.with_name(f".{path.name}.half")
    with half.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(prompts.items())
    half.replace(path)
