"""Office files are zip archives of XML: what is refused before a library unpacks one."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lora_scripts.errors import DataError

MOST_BYTES = 1 << 29  # unpacked; a sheet of a million rows stays below
_MOST_RATIO = 300  # XML shrinks by 10 to 40
_SMALL = 1 << 24
_HEAD = 4096


def refuse_bomb(path: Path, where: str, kind: str) -> None:
    """Refuse an archive that unpacks to too much, or whose XML declares a document type (entities come with it).

    Raises:
        DataError: Such an archive, or none at all.
    """
    with broken_as_error(where, kind), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        unpacked = sum(e.file_size for e in entries)
        packed = max(1, sum(e.compress_size for e in entries))
        if unpacked > MOST_BYTES or (unpacked > _SMALL and unpacked > _MOST_RATIO * packed):
            size, most = unpacked >> 20, MOST_BYTES >> 20
            raise DataError("files.too_big_inside", where=where, kind=kind, size=size, most=most)
        for entry in entries:
            if entry.filename.endswith((".xml", ".rels")):
                with archive.open(entry) as part:
                    if b"<!DOCTYPE" in part.read(_HEAD):
                        raise DataError("files.doctype", where=where, kind=kind, part=entry.filename)


@contextmanager
def broken_as_error(where: str, kind: str) -> Iterator[None]:
    """Whatever a library makes of a broken file becomes an error that names the file.

    Raises:
        DataError: Instead of anything that is not one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a library cannot show us of a file's looks is no matter for users
            yield
    except DataError:
        raise
    except OSError as error:
        if error.errno:
            raise DataError("data.cannot_open", where=where, error=error.strerror or error) from None
        raise broken(where, kind, error) from None
    except Exception as error:  # parsers of foreign formats raise anything: KeyError, struct.error, lxml's own
        raise broken(where, kind, error) from None


def broken(where: str, kind: str, error: Exception) -> DataError:
    """The error for a file that a library cannot read; without what the library quotes of it, which may be private."""
    said = re.sub(r"""'[^']*'|"[^"]*\"""", "…", " ".join(str(error).split()))[:200]
    return DataError("files.broken_file", where=where, kind=kind, error=said or type(error).__name__)
