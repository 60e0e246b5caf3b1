"""Parquet and Arrow files without personal data: strings and whole numbers at any depth; schema and metadata stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from lora_scripts.data.pii.file_pass import Pass
from lora_scripts.data.reading.archives import broken_as_error

_FEWEST_DIGITS = 5


def parquet(path: Path, job: Pass) -> bytes:
    """A Parquet file with the row groups and the compression it has; in mode ``drop`` rows are left out.

    Raises:
        DataError: No such file, or a broken one.
    """
    import pyarrow.parquet as pq

    with broken_as_error(job.file, "Parquet"):
        file = pq.ParquetFile(path)
        meta = file.metadata
        compression = {}
        if meta.num_row_groups:
            columns = (meta.row_group(0).column(i) for i in range(meta.num_columns))
            compression = {c.path_in_schema: c.compression.lower() for c in columns}
        out = BytesIO()
        options = {"compression": {k: "none" if v == "uncompressed" else v for k, v in compression.items()} or "snappy"}
        with pq.ParquetWriter(out, file.schema_arrow, **options) as writer:
            groups = (file.read_row_group(i).combine_chunks() for i in range(meta.num_row_groups))
            for table in _rewritten(groups, job):
                writer.write_table(table, row_group_size=max(1, table.num_rows))
        return out.getvalue()


def arrow(path: Path, job: Pass) -> bytes:
    """An Arrow file (Feather) or stream, whichever it is; in mode ``drop`` rows are left out.

    Raises:
        DataError: As ``parquet``.
    """
    import pyarrow as pa

    with broken_as_error(job.file, "Arrow"):
        data = path.read_bytes()
        write: Callable[[Any, Any], Any] = pa.ipc.new_file
        try:
            file = pa.ipc.open_file(data)
            batches: Iterator[Any] = (file.get_batch(i) for i in range(file.num_record_batches))
        except pa.ArrowInvalid:
            file = pa.ipc.open_stream(data)
            batches, write = iter(file), pa.ipc.new_stream
        out = BytesIO()
        with write(out, file.schema) as writer:
            for table in _rewritten((_checked(batch) for batch in batches), job):
                writer.write_table(table)
        return out.getvalue()


def _checked(batch: Any) -> Any:
    import pyarrow as pa

    batch.validate(full=True)  # Arrow trusts a file's offsets: reading a broken one unasked ends the process
    return pa.Table.from_batches([batch])


def _rewritten(tables: Iterator[Any], job: Pass) -> Iterator[Any]:
    import pyarrow as pa

    first = 1
    emptied: set[str] = set()
    for table in tables:
        bad: set[int] = set()
        columns = [
            _column(column.combine_chunks(), field, job, first, bad, emptied)
            for column, field in zip(table.columns, table.schema, strict=True)
        ]
        new = pa.Table.from_arrays(columns, schema=table.schema)
        if job.mode == "drop" and bad:
            new = new.filter(pa.array([row not in bad for row in range(new.num_rows)]))
        first += table.num_rows
        yield new
    if emptied:
        job.remark("warning", "numbers_emptied", names=", ".join(sorted(emptied)))


def _column(column: Any, field: Any, job: Pass, first: int, bad: set[int], emptied: set[str]) -> Any:
    import pyarrow as pa

    if not _may_hold(field.type):
        return column
    values, changed = column.to_pylist(), False
    for row, value in enumerate(values):
        count = len(job.hits)
        new = _value(value, job, field.name, str(first + row), emptied)
        if len(job.hits) > count:
            bad.add(row)
            values[row], changed = new, True
    return pa.array(values, type=field.type) if changed and job.mode != "drop" else column


def _may_hold(kind: Any) -> bool:
    """Whether there are strings or whole numbers in values of this type."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _may_hold(kind.value_type)
    if pa.types.is_nested(kind):
        return any(_may_hold(kind.field(i).type) for i in range(kind.num_fields))
    strings = (pa.types.is_string, pa.types.is_large_string, getattr(pa.types, "is_string_view", lambda _: False))
    numbers = (pa.int64(), pa.uint64(), pa.int32(), pa.uint32(), pa.float64())
    return any(test(kind) for test in strings) or kind in numbers


def _value(value: Any, job: Pass, label: str, place: str, emptied: set[str]) -> Any:
    """A value of a row; a number cannot become a mark, so it becomes null, or a pseudonym that is a number."""
    if isinstance(value, str):
        return job.rewrite(value, label=label, place=place)
    if isinstance(value, dict):
        return {name: _value(inner, job, name, place, emptied) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_value(inner, job, label, place, emptied) for inner in value)
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if whole and not isinstance(value, bool) and len(shown := str(int(value))) >= _FEWEST_DIGITS:
        new = job.rewrite(shown, label=label, place=place)
        if new != shown:
            emptied.add(label)
            return type(value)(new) if new.isdecimal() and new[0] != "0" else None
    return value
