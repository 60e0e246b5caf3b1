"""Parquet and Arrow files, also those of a folder that ``datasets`` has saved: rows in batches, never all at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_scripts.data.reading.archives import broken
from lora_scripts.data.reading.rows import Names, Row, read_rows
from lora_scripts.data.records import Parsed

_ROWS = 1000


def read_parquet(path: Path, where: str, roles: Names, columns: Names) -> Parsed | None:
    """The rows of a Parquet file as objects, a row's number for its line.

    Raises:
        DataError: Not such a file, broken, or without question and answer.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise broken(where, "Parquet", error) from None
    return read_rows(_rows(file.iter_batches(_ROWS), where, "Parquet"), "parquet", where, columns, roles)


def read_arrow(path: Path, where: str, roles: Names, columns: Names) -> Parsed | None:
    """The rows of an Arrow file (Feather) or stream, which ``datasets.save_to_disk`` writes, as objects.

    Raises:
        DataError: As ``read_parquet``.
    """
    import pyarrow as pa

    try:
        held = pa.memory_map(str(path))
        try:
            file = pa.ipc.open_file(held)
            batches = (file.get_batch(i) for i in range(file.num_record_batches))
        except pa.ArrowInvalid:
            held.seek(0)
            batches = iter(pa.ipc.open_stream(held))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise broken(where, "Arrow", error) from None
    return read_rows(_rows(batches, where, "Arrow"), "arrow", where, columns, roles)


def _rows(batches: Iterator[Any], where: str, kind: str) -> Iterator[Row]:
    import pyarrow as pa

    number = 0
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                return
            batch.validate(full=True)  # Arrow trusts a file's offsets: reading a broken one unasked ends the process
            for at in range(0, batch.num_rows, _ROWS):
                for row in batch.slice(at, _ROWS).to_pylist():
                    number += 1
                    yield Row(number, row)
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise broken(where, kind, error) from None
