"""The audit log: one JSON object a line, each bound to the one before by a hash, so that no edit goes unseen.

A record's hash covers everything in it and the hash of the record before. The head, a small file beside the log, holds
the number of records and the last hash, so that a log that was cut off is seen too. Texts are not kept: of each, its
length and a hash.

With a key all hashes are HMACs: then only who has the key can write records that verify. Without one, whoever may
write both files can make up a whole new log. In neither case can a log be told from itself that was put back, with
its head, to an earlier state; the last hash, noted elsewhere, tells (``lora-scripts audit verify`` prints it).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lora_scripts.errors import Problem, UsageError, problem

HEAD = ".head"  # behind the name of the log
FIRST = "0" * 64  # what the first record follows
_TAIL = 1 << 16
_SLOT = 256  # bytes of one of the two lines of the head


@dataclass(frozen=True, slots=True)
class Verified:
    """What ``verify`` found: records that are good from the start on, the hash of the last of them, what is wrong.

    ``beyond_head`` counts records that were written after the head (one, where the server was killed between the
    two); ``torn`` lines that a killed server left half written and the next one declared.
    """

    records: int
    last_hash: str
    first_time: str = ""
    last_time: str = ""
    keyed: bool = False
    torn: int = 0
    beyond_head: int = 0
    problem: Problem | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem is None


class AuditLog:
    """Writes records; threads may share it, other processes are kept out.

    Args:
        path: The log; it is continued where it is there.
        raw_text: Keep the texts too. They may hold what the law protects, so this is off.
        key: Secret that the hashes are made with.

    A record is with the system, not yet on the disk, when ``write`` returns; ``close`` puts everything there.

    Raises:
        UsageError: The log cannot be opened, another process writes it, or its end is not what its head says.
    """

    def __init__(self, path: Path, *, raw_text: bool = False, key: bytes | None = None) -> None:
        self._path, self._raw_text, self._key = path, raw_text, key
        self._lock = threading.Lock()
        self._torn: dict[str, object] = {}
        self._count, self._last = 0, FIRST
        self._handle = self._head = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._hold()
            self._go_on()
            if self._torn:
                self.write({"kind": "resumed"})
        except OSError as error:
            self._let_go()
            raise UsageError("audit.not_writable", where=path, reason=error.strerror or error) from None
        except BaseException:
            self._let_go()
            raise

    def write(self, event: Mapping[str, object], texts: Mapping[str, str] | None = None) -> None:
        """Append a record: ``event`` as it is, of ``texts`` lengths (in characters) and hashes.

        Raises:
            OSError: The record could not be written and the log is as it was: what it speaks of must not happen.
        """
        with self._lock:
            record: dict[str, object] = {
                "n": self._count,
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "event": dict(event),
                "texts": {name: self._noted(words) for name, words in (texts or {}).items()},
                **self._torn,
                "previous": self._last,
            }
            digest = _hash(record, self._key)
            line = _spelled(record | {_hash_name(self._key): digest}) + b"\n"
            self._append(b"\n" + line if self._torn else line)
            self._count, self._last, self._torn = self._count + 1, digest, {}
            self._write_head()

    def close(self) -> None:
        """Put everything on the disk and let the log go."""
        with self._lock:
            for handle in (self._handle, self._head):
                if handle >= 0:
                    os.fsync(handle)
            self._let_go()

    def _let_go(self) -> None:
        for handle in (self._handle, self._head):
            if handle >= 0:
                os.close(handle)
        self._handle = self._head = -1

    def _hold(self) -> None:
        if os.name != "posix":
            return
        import fcntl

        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError("audit.held", where=self._path) from None

    def _go_on(self) -> None:
        """Take up the chain at the last whole record; a half one behind it is to be declared by the next."""
        last, rest = _end_of(self._handle)
        record = _record(last, self._key) if last else {}
        if record is None:
            raise UsageError("audit.broken_end", where=self._path)
        self._count = int(record["n"]) + 1 if record else 0
        self._last = str(record[_hash_name(self._key)]) if record else FIRST
        head = _read_head(self._path, self._key)
        possible = {self._count: self._last}
        if record:
            possible[self._count - 1] = str(record["previous"])
        if (head is None and record) or (head and possible.get(head[0]) != head[1]):
            raise UsageError("audit.broken_end", where=self._path)
        whole = _record(rest, self._key) if rest else None
        if whole and whole["previous"] == self._last and whole["n"] == self._count:
            self._count, self._last = self._count + 1, str(whole[_hash_name(self._key)])
            self._append(b"\n")
        elif rest:
            self._torn = {"torn": {"bytes": len(rest), "sha256": hashlib.sha256(rest).hexdigest()}}
        self._head = os.open(_head_of(self._path), os.O_RDWR | os.O_CREAT, 0o600)
        self._write_head()

    def _noted(self, words: str) -> dict[str, object]:
        salt = secrets.token_hex(8)
        data = (salt + words).encode("utf-8", "surrogatepass")
        noted: dict[str, object] = {"characters": len(words), "salt": salt, "hash": _digest(data, self._key)}
        return noted | {"text": words} if self._raw_text else noted

    def _append(self, data: bytes) -> None:
        size = os.fstat(self._handle).st_size
        try:
            while data:  # a full disk takes a part and complains about the next
                data = data[os.write(self._handle, data) :]
        except OSError:
            os.ftruncate(self._handle, size)
            raise

    def _write_head(self) -> None:
        record: dict[str, object] = {"records": self._count, "last": self._last}
        line = _spelled(record | {_hash_name(self._key): _hash(record, self._key)})
        os.lseek(self._head, self._count % 2 * _SLOT, os.SEEK_SET)
        os.write(self._head, line.ljust(_SLOT - 1) + b"\n")


def verify(path: Path, *, key: bytes | None = None) -> Verified:
    """Check every record of a log against the one before, and its end against its head.

    The problem names the first line that was edited, taken out, put in, moved or cut off.

    Raises:
        UsageError: There is no such log, or it was written with a key and none is given.
    """
    count, last, torn_lines = 0, FIRST, 0
    first_time = last_time = ""
    found: Problem | None = None
    half: bytes | None = None
    seen_at_head: str | None = FIRST
    head = _read_head(path, key)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                record = _record(line.removesuffix(b"\n"), key) if line.endswith(b"\n") else None
                if record is None:
                    if not number - 1 and key is None and b'"hmac":' in line:
                        raise UsageError("audit.needs_key", where=path)
                    if half is not None:
                        break
                    half = line
                    continue
                found = _misplaced(record, count, last, half, f"{path}:{number}")
                if found:
                    break
                torn_lines, half = torn_lines + (half is not None), None
                count, last = count + 1, str(record[_hash_name(key)])
                first_time, last_time = first_time or str(record["time"]), str(record["time"])
                if head and head[0] == count:
                    seen_at_head = last
    except OSError as error:
        raise UsageError("audit.unreadable", where=path, reason=error.strerror or error) from None
    if found is None and half is not None:
        kind = "audit.half_line" if not half.endswith(b"\n") else "audit.edited"
        found = problem(kind, f"{path}:{count + torn_lines + 1}")
    found = found or _beyond(path, head, count, seen_at_head, torn_lines)
    beyond = max(0, count - head[0]) if head else 0
    return Verified(count, last, first_time, last_time, key is not None, torn_lines, beyond, found)


def _misplaced(record: Mapping[str, Any], count: int, last: str, half: bytes | None, where: str) -> Problem | None:
    """What is wrong with the place of a record that is whole in itself."""
    file, _, number = where.rpartition(":")
    before = f"{file}:{int(number) - 1}"
    declared = record.get("torn")
    if half is not None:
        left = half.removesuffix(b"\n")
        if declared != {"bytes": len(left), "sha256": hashlib.sha256(left).hexdigest()}:
            return problem("audit.edited", before)
    elif declared is not None:
        return problem("audit.removed", where, n=count)
    if record["n"] > count:
        return problem("audit.removed", where, n=count)
    if record["n"] < count:
        return problem("audit.moved", where, n=record["n"])
    if record["previous"] != last:
        return problem("audit.replaced", before if count else where)
    return None


def _beyond(path: Path, head: tuple[int, str] | None, count: int, at_head: str | None, torn: int) -> Problem | None:
    """What the head says against the end of a log that is good up to there."""
    if head is None:
        return problem("audit.no_head", str(_head_of(path)))
    if head[0] > count:
        return problem("audit.cut_off", f"{path}:{count + torn + 1}", missing=head[0] - count)
    if at_head != head[1]:
        return problem("audit.other_head", str(_head_of(path)))
    return None


def _head_of(path: Path) -> Path:
    return path.with_name(path.name + HEAD)


def _read_head(path: Path, key: bytes | None) -> tuple[int, str] | None:
    """(records, last hash); None where there is no head, or none that was written with this key.

    The head has two lines, written in turn, so that one is always whole; both must be good and follow each other.
    """
    try:
        data = _head_of(path).read_bytes()
        heads = []
        for slot in filter(None, (data[:_SLOT].strip(b" \n\0"), data[_SLOT:].strip(b" \n"))):
            found = json.loads(slot)
            digest = found.pop(_hash_name(key))
            if not hmac.compare_digest(str(digest), _hash(found, key)):
                return None
            heads.append((int(found["records"]), str(found["last"])))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    counts = sorted(count for count, _ in heads)
    return max(heads) if counts == [0] or (len(counts) == 2 and counts[1] == counts[0] + 1) else None


def _record(line: bytes, key: bytes | None) -> dict[str, Any] | None:
    """The record of a line, None where the line is not to the byte what was written."""
    try:
        record = json.loads(line)
        digest = record[_hash_name(key)]
        bare = {name: value for name, value in record.items() if name != _hash_name(key)}
        good = (
            hmac.compare_digest(str(digest), _hash(bare, key))
            and _spelled(record) == line
            and isinstance(record["n"], int)
            and {"time", "event", "texts", "previous"} <= record.keys()
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return record if good else None


def _spelled(record: Mapping[str, object]) -> bytes:
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode()


def _hash_name(key: bytes | None) -> str:
    return "sha256" if key is None else "hmac"


def _hash(record: Mapping[str, object], key: bytes | None) -> str:
    return _digest(_spelled(record), key)


def _digest(data: bytes, key: bytes | None) -> str:
    return hashlib.sha256(data).hexdigest() if key is None else hmac.new(key, data, hashlib.sha256).hexdigest()


def _end_of(handle: int) -> tuple[bytes, bytes]:
    """The last whole line of a file and what follows it, without line ends."""
    size = os.fstat(handle).st_size
    length = _TAIL
    while True:
        start = max(0, size - length)
        os.lseek(handle, start, os.SEEK_SET)
        data = os.read(handle, size - start)
        lines = data.split(b"\n")
        if len(lines) > 2 or not start:
            return (lines[-2] if len(lines) > 1 else b""), lines[-1]
        length *= 4
