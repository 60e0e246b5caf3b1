"""Which writer makes a copy without personal data, by suffix; a writer gets the file and the pass over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lora_scripts.data.pii.columnar import arrow, parquet
from lora_scripts.data.pii.documents import document
from lora_scripts.data.pii.file_pass import Pass
from lora_scripts.data.pii.json_files import json_document, json_lines
from lora_scripts.data.pii.table_files import table_text
from lora_scripts.data.pii.text_files import lines, paragraphs, text_writer
from lora_scripts.data.pii.workbooks import workbook

WRITERS: dict[str, Callable[[Path, Pass], bytes]] = {
    ".txt": text_writer(paragraphs),
    ".text": text_writer(paragraphs),
    ".md": text_writer(paragraphs),
    ".log": text_writer(lines),
    ".csv": text_writer(table_text),
    ".tsv": text_writer(table_text),
    ".tab": text_writer(table_text),
    ".json": text_writer(json_document),
    ".jsonl": text_writer(json_lines),
    ".ndjson": text_writer(json_lines),
    ".xlsx": workbook,
    ".docx": document,
    ".parquet": parquet,
    ".arrow": arrow,
    ".feather": arrow,
}
