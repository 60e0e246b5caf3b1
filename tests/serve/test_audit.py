"""The audit log: every edit is found at its line, and what breaks a server does not break the chain."""

import errno
import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading

import pytest

from lora_scripts.cli import main
from lora_scripts.cli.audit import verify_log  # noqa: F401  # names the verb
from lora_scripts.errors import UsageError
from lora_scripts.serve import audit
from lora_scripts.serve.audit import AuditLog, verify

SECRET = "身份证 11010119900307233X"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "audit.jsonl"


def written(path, count=6, **how):
    log = AuditLog(path, **how)
    for number in range(count):
        log.write({"kind": "answer", "number": number}, {"question": f"{SECRET}{number}"})
    log.close()
    return path.read_bytes().splitlines(keepends=True)


def found_in(path, lines, **how):
    path.write_bytes(b"".join(lines))
    return verify(path, **how)


def test_a_log_that_nobody_touched_verifies(path):
    lines = written(path)
    found = verify(path)
    assert found.ok and found.records == len(lines) == 6
    assert found.last_hash == json.loads(lines[-1])["sha256"]


def test_the_chain_is_plain_sha256_over_the_line_without_its_hash(path):
    previous = "0" * 64
    for line in written(path):
        record = json.loads(line)
        assert record["previous"] == previous
        bare = line.rstrip(b"\n").replace(f',"sha256":"{record["sha256"]}"'.encode(), b"")
        previous = hashlib.sha256(bare).hexdigest()
        assert record["sha256"] == previous


@pytest.mark.parametrize("number", range(6))
def test_any_changed_byte_is_found_at_its_line(path, number):
    lines = written(path)
    for at in range(len(lines[number])):
        edited = bytearray(lines[number])
        edited[at] ^= 1
        found = found_in(path, [*lines[:number], bytes(edited), *lines[number + 1 :]])
        assert not found.ok, at
        assert found.problem.where == f"{path}:{number + 1}", (at, found.problem)


def test_a_line_that_only_looks_otherwise_is_found(path):
    lines = written(path)
    record = json.loads(lines[2])
    for other in (json.dumps(record), json.dumps(dict(reversed(record.items())), separators=(",", ":"))):
        assert found_in(path, [*lines[:2], other.encode() + b"\n", *lines[3:]]).problem.where == f"{path}:3"
    assert found_in(path, [*lines[:2], b"\n", *lines[2:]]).problem.where == f"{path}:3"


@pytest.mark.parametrize("number", range(6))
def test_a_line_taken_out_doubled_or_moved_is_found(path, number):
    lines = written(path)
    without = found_in(path, lines[:number] + lines[number + 1 :])
    doubled = found_in(path, lines[: number + 1] + lines[number:])
    other = (number + 1) % 6
    swapped = list(lines)
    swapped[number], swapped[other] = swapped[other], swapped[number]
    moved = found_in(path, swapped)
    for found, line in ((without, number + 1), (doubled, number + 2), (moved, min(number, other) + 1)):
        assert found.problem.where == f"{path}:{line}"


@pytest.mark.parametrize("kept", range(6))
def test_a_log_that_was_cut_off_is_found(path, kept):
    lines = written(path)
    assert found_in(path, lines[:kept]).problem.where == f"{path}:{kept + 1}"
    assert found_in(path, [*lines[:kept], lines[kept][:-1]]).problem.where == f"{path}:{kept + 1}"


def test_a_line_written_anew_with_its_own_hash_is_found(path):
    lines = written(path)
    record = json.loads(lines[2])
    del record["sha256"]
    record["event"]["number"] = 99
    bare = json.dumps(record, separators=(",", ":"))
    forged = bare[:-1] + f',"sha256":"{hashlib.sha256(bare.encode()).hexdigest()}"}}\n'
    found = found_in(path, [*lines[:2], forged.encode(), *lines[3:]])
    assert found.problem.where == f"{path}:3"


def test_a_head_that_is_missing_edited_or_of_another_log_is_found(path, tmp_path):
    written(path)
    head = path.with_name(path.name + ".head")
    good = head.read_bytes()
    for at in range(len(good)):
        edited = bytearray(good)
        edited[at] ^= 1
        head.write_bytes(bytes(edited))
        if good[at : at + 1] not in b" \n":
            assert not verify(path).ok, at
    head.write_bytes(good[:256])
    assert not verify(path).ok
    head.write_bytes(good[256:] + good[:256])
    assert verify(path).ok
    head.unlink()
    assert verify(path).problem.where == str(head)
    written(tmp_path / "other.jsonl")
    head.write_bytes((tmp_path / "other.jsonl.head").read_bytes())
    assert not verify(path).ok


def test_a_head_put_together_from_an_older_one_is_found(path):
    written(path, 3)
    head = path.with_name(path.name + ".head")
    older = head.read_bytes()
    lines = written(path, 3)
    head.write_bytes(older[:256] + head.read_bytes()[256:])
    assert not found_in(path, lines[:5]).ok


def test_texts_stay_out_unless_they_are_wanted(path, tmp_path):
    raw = b"".join(written(path))
    assert SECRET.encode() not in raw and SECRET not in json.dumps(json.loads(raw.splitlines()[0]), ensure_ascii=False)
    noted = json.loads(raw.splitlines()[3])["texts"]["question"]
    assert noted["characters"] == len(SECRET) + 1
    assert noted["hash"] == hashlib.sha256((noted["salt"] + SECRET + "3").encode()).hexdigest()
    kept = written(tmp_path / "raw.jsonl", raw_text=True)
    assert json.loads(kept[3])["texts"]["question"]["text"] == SECRET + "3"


def test_a_keyed_log_cannot_be_forged_without_the_key(path):
    lines = written(path, key=b"secret")
    assert verify(path, key=b"secret").ok
    record = json.loads(lines[0])
    bare = lines[0].rstrip(b"\n").replace(f',"hmac":"{record["hmac"]}"'.encode(), b"")
    assert record["hmac"] == hmac.new(b"secret", bare, hashlib.sha256).hexdigest()
    with pytest.raises(UsageError, match="LORA_SCRIPTS_AUDIT_KEY"):
        verify(path)
    assert verify(path, key=b"other").problem.where == f"{path}:1"
    path.unlink()
    path.with_name(path.name + ".head").unlink()
    written(path)  # a whole new log, without the key
    assert not verify(path, key=b"secret").ok


def test_a_log_is_continued_after_a_restart(path):
    written(path, 3)
    assert len(written(path, 4)) == 7
    assert verify(path).ok


def test_a_log_cut_off_or_edited_at_its_end_is_not_continued(path):
    lines = written(path)
    path.write_bytes(b"".join(lines[:4]))
    with pytest.raises(UsageError, match="head"):
        AuditLog(path)
    path.write_bytes(b"".join(lines[:5]) + lines[5].replace(b"answer", b"Answer"))
    with pytest.raises(UsageError, match="head"):
        AuditLog(path)
    with pytest.raises(UsageError, match="head"):
        AuditLog(path, key=b"another")


def test_a_half_line_of_a_killed_server_is_kept_and_declared(path):
    whole = b"".join(written(path, 3))
    for size in (1, 50, 200):
        path.write_bytes(whole + b'{"n":3,"time":"x'.ljust(size, b"y")[:size])
        assert not verify(path).ok
        log = AuditLog(path)
        log.write({"kind": "answer"})
        log.close()
        found = verify(path)
        assert found.ok and found.torn == 1 and found.records == 5
        edited = path.read_bytes().replace(b'\n{"n":3,"time":"x', b'\n{"n":3,"time":"z') if size > 20 else None
        if edited:
            assert found_in(path, [edited]).problem.where == f"{path}:4"
        path.write_bytes(whole)
        path.with_name(path.name + ".head").unlink()
        path.unlink()
        whole = b"".join(written(path, 3))


def test_a_line_that_only_lacks_its_end_is_taken_as_whole(path, monkeypatch):
    lines = written(path, 3)
    log = AuditLog(path)
    monkeypatch.setattr(log, "_write_head", lambda: None)
    log.write({"kind": "answer"})
    log.close()
    path.write_bytes(path.read_bytes()[:-1])
    assert len(written(path, 1)) == len(lines) + 2
    assert verify(path).ok


def test_a_server_killed_before_the_head_was_written_is_no_edit(path, monkeypatch):
    log = AuditLog(path)
    log.write({"kind": "answer"})
    monkeypatch.setattr(log, "_write_head", lambda: None)
    log.write({"kind": "answer"})
    log.close()
    found = verify(path)
    assert found.ok and found.beyond_head == 1
    written(path, 2)
    assert verify(path).ok and verify(path).beyond_head == 0


def test_a_full_disk_leaves_the_log_as_it_was_and_says_so(path, monkeypatch):
    log = AuditLog(path)
    log.write({"kind": "answer"})
    before = path.read_bytes()
    real = os.write

    def full(handle, data):
        if len(data) > 10:
            return real(handle, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(audit.os, "write", lambda handle, data: full(handle, data[:11] if len(data) > 60 else b""))
    with pytest.raises(OSError, match="No space"):
        log.write({"kind": "answer"})
    monkeypatch.undo()
    assert path.read_bytes() == before
    log.write({"kind": "answer"})
    log.close()
    assert verify(path).ok and verify(path).records == 2


def test_threads_share_a_log_and_other_processes_are_kept_out(path):
    log = AuditLog(path)
    threads = [threading.Thread(target=lambda: [log.write({"kind": "answer"}) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    code = f"from pathlib import Path; from lora_scripts.serve.audit import AuditLog; AuditLog(Path({str(path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another process" in done.stderr
    log.close()
    assert verify(path).records == 400 and verify(path).ok


def test_odd_texts_and_long_records_are_written(path):
    log = AuditLog(path)
    log.write({"kind": "answer", "odd": "\ud800\u2028\n"}, texts={"question": "\ud83d 你" * 100_000})
    log.write({"kind": "answer", "long": "x" * 300_000})
    log.close()
    assert len(written(path, 1)) == 3
    assert verify(path).ok


def test_the_command_says_good_or_names_the_line(path, capsys, monkeypatch):
    monkeypatch.delenv("LORA_SCRIPTS_AUDIT_KEY", raising=False)
    lines = written(path)

    def ended(*words):
        with pytest.raises(SystemExit) as end:
            main(["audit", "verify", *map(str, words)])
        return end.value.code, capsys.readouterr()

    code, said = ended(path)
    assert code == 0 and "6" in said.out and json.loads(lines[-1])["sha256"] in said.out
    path.write_bytes(b"".join(lines[:3] + lines[4:]))
    code, said = ended(path)
    assert code == 1 and f"{path}:4: " in said.err
    assert ended(path.parent / "none.jsonl")[0] == 2
