"""Rendered documents on the disk: an Arrow IPC file, mapped into memory, so that a million of them cost no heap.

An entry's name is a hash over everything its documents follow from (`cache.cache_key`); the caller names the parts:
content of the data, tokenizer, template, limits, what was desensitised. An entry is written aside, flushed,
sealed with the sha256 of every byte and renamed: there is a whole entry or none, also where two runs begin
at once. Entries hold the token ids of text that was desensitised before it was rendered, never of raw text
(whoever asked for no desensitising has the text itself in the ids); files are 0600 in a folder of 0700.

Format: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]

from lora_scripts.data.cache import LIMIT_BYTES, cache_folder, open_home, prune
from lora_scripts.data.render import Document
from lora_scripts.messages import text

_SUFFIX = ".arrow"
_BATCH_TOKENS, _BATCH_DOCUMENTS = 2**18, 2**13
_TAG = b"sha256:"
_SEAL = len(_TAG) + 64
_MAGIC = b"ARROW1"
_READ = 2**20
_SCHEMA = pa.schema(
    [
        ("input_ids", pa.list_(pa.int32())),
        ("loss_mask", pa.list_(pa.bool_())),
        ("source", pa.binary()),
        ("learned", pa.int32()),
    ],
    metadata={"seal": _TAG + b"0" * 64},
)

Int64s = npt.NDArray[np.int64]


class _Rows(NamedTuple):
    """One batch of the file as views: row ``i`` is ``ids[offsets[i]:offsets[i + 1]]``, a bit of ``mask`` each."""

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int32]
    mask: npt.NDArray[np.uint8]
    sources: Any


class CachedDocuments(Sequence[Document]):
    """The documents of one file, read-only; each is made when it is asked for and forgotten afterwards.

    ``lengths`` and ``learned`` are tokens and learned tokens of every document, int64, in order, without
    touching the ids; ``account`` is what the writer put beside the documents. The file must be whole
    (`fault_of`). It may be removed while it is open, where the system lets it.
    """

    lengths: Int64s
    learned: Int64s
    account: Any

    def __init__(self, path: Path) -> None:
        self.path = path
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        last = reader.get_batch_with_custom_metadata(reader.num_record_batches - 1)
        self.account = json.loads(last.custom_metadata[b"account"])
        self._rows = [_rows(batch) for batch in batches]
        self.lengths = np.concatenate([np.diff(rows.offsets) for rows in self._rows]).astype(np.int64)
        self.learned = np.concatenate([batch.column("learned").to_numpy() for batch in batches]).astype(np.int64)
        self._starts = [0, *np.cumsum([batch.num_rows for batch in batches]).tolist()]

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> list[Document]: ...
    def __getitem__(self, index: int | slice) -> Document | list[Document]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        batch = bisect_right(self._starts, place) - 1
        rows, row = self._rows[batch], place - self._starts[batch]
        begin, end = int(rows.offsets[row]), int(rows.offsets[row + 1])
        bits = np.unpackbits(rows.mask[begin // 8 : (end + 7) // 8], bitorder="little")
        mask = bits[begin % 8 : begin % 8 + end - begin].astype(bool).tolist()
        source = rows.sources[row].as_py().decode("utf-8", "surrogatepass")
        return Document(rows.ids[begin:end].tolist(), mask, source)


def write_documents(
    path: Path, documents: Iterable[Document], *, account: Callable[[], object] = dict
) -> CachedDocuments:
    """Write ``documents`` to ``path``, whole or not at all, holding some thousands of them at once.

    Where another process wrote the same entry meanwhile, its file stays and ours is thrown away.

    Args:
        path: The entry; its folder exists.
        documents: Rendered from desensitised text.
        account: What belongs to the documents (records left out or cut, notes), as a JSON value without
            personal data; asked once the last document is written.

    Raises:
        OSError: The disk is full or the folder cannot be written.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with pa.OSFile(name, "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
            for batch in _batches(documents):
                writer.write_batch(batch)
            writer.write_batch(_batch([]), custom_metadata={"account": json.dumps(account())})
        with temporary.open("r+b") as file:
            places = _seals(file)
            seal = _TAG + _digest(file, places).encode()
            for place in places:
                file.seek(place)
                file.write(seal)
            file.flush()
            os.fsync(file.fileno())
        if not path.exists() or fault_of(path):
            temporary.replace(path)
            _flush_folder(path.parent)
        return CachedDocuments(path)
    finally:
        temporary.unlink(missing_ok=True)


def fault_of(path: Path) -> str:
    """What is wrong with an entry, in the user's language; empty where each of its bytes is as it was written."""
    with path.open("rb") as file:
        places = _seals(file)
        if not places:
            return text("augment.cache_cut")
        computed = _TAG + _digest(file, places).encode()
        for place in places:
            file.seek(place)
            if file.read(_SEAL) != computed:
                return text("augment.cache_changed")
    return ""


def cached_documents(
    key: str,
    make: Callable[[], Iterable[Document]],
    *,
    account: Callable[[], object] = dict,
    folder: Path | None = None,
    limit_bytes: int = LIMIT_BYTES,
    say: Callable[[str], None],
) -> Sequence[Document]:
    """The documents of ``key``: from the disk where they lie there whole, else made and kept.

    Args:
        key: From `cache.cache_key`.
        make: Makes the documents from the start; called a second time where they could not be kept.
        account: See `write_documents`; read it from ``.account`` where a `CachedDocuments` comes back.
        folder: In place of `cache_folder`.
        limit_bytes: The least recently used entries go when all together are larger.
        say: Takes the lines about entries that were broken, removed, or could not be written.

    Returns:
        `CachedDocuments`, or a list where the disk refuses; then nothing is kept.
    """
    home = (folder or cache_folder()) / "documents"
    path = home / f"{key}{_SUFFIX}"
    try:
        open_home(home)
        if path.exists():
            if not (fault := fault_of(path)):
                os.utime(path)
                return CachedDocuments(path)
            say(text("augment.cache_broken", path=path, reason=fault))
            path.unlink(missing_ok=True)
        written = write_documents(path, make(), account=account)
        prune(home, f"*{_SUFFIX}", [path], say, limit_bytes)
    except OSError as e:
        say(text("augment.cache_off", folder=home, reason=e.strerror or str(e)))
        return list(make())
    return written


def _batches(documents: Iterable[Document]) -> Iterator[Any]:
    held: list[Document] = []
    tokens = 0
    for document in documents:
        held.append(document)
        tokens += len(document.input_ids)
        if tokens >= _BATCH_TOKENS or len(held) >= _BATCH_DOCUMENTS:
            yield _batch(held)
            held, tokens = [], 0
    if held:
        yield _batch(held)


def _batch(documents: Sequence[Document]) -> Any:
    columns = [
        [d.input_ids for d in documents],
        [d.loss_mask for d in documents],
        [d.source.encode("utf-8", "surrogatepass") for d in documents],
        [sum(d.loss_mask) for d in documents],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    return pa.record_batch(arrays, schema=_SCHEMA)


def _rows(batch: Any) -> _Rows:
    ids, mask = batch.column("input_ids"), batch.column("loss_mask")
    bits = mask.values.buffers()[1]
    return _Rows(
        ids.values.to_numpy(),
        ids.offsets.to_numpy(),
        np.frombuffer(bits, np.uint8) if bits is not None and bits.size else np.zeros(0, np.uint8),
        batch.column("source"),
    )


def _seals(file: BinaryIO) -> list[int]:
    """Where the two seals begin: in the schema at the head and in its copy in the footer; none in a cut file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(4096)
    file.seek(max(0, size - 10))
    length, magic = struct.unpack("<i6s", file.read(10).rjust(10, b"\0"))
    if magic != _MAGIC or not head.startswith(_MAGIC) or not 0 < length < size - 10:
        return []
    file.seek(start := size - 10 - length)
    places = [head.find(_TAG), start + file.read(length).find(_TAG)]
    return places if 0 < places[0] < start <= places[1] else []


def _digest(file: BinaryIO, seals: Sequence[int]) -> str:
    """sha256 over all bytes outside the seals, read piece by piece so that the file does not count as memory."""
    seen = hashlib.sha256()
    begin = 0
    for stop in (*seals, file.seek(0, os.SEEK_END)):
        file.seek(begin)
        while (left := stop - file.tell()) > 0 and (piece := file.read(min(left, _READ))):
            seen.update(piece)
        begin = stop + _SEAL
    return seen.hexdigest()


def _flush_folder(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
