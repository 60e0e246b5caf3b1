"""The cache of rendered documents: the same documents, whole or absent, in flat memory."""

import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.data import rendered_cache
from lora_scripts.data.cache import cache_folder, cache_key
from lora_scripts.data.render import Document
from lora_scripts.data.rendered_cache import (
    CachedDocuments,
    cached_documents,
    fault_of,
    write_documents,
)

KEY = "ab" * 32


def some(count: int, seed: int = 0) -> list[Document]:
    rng = random.Random(seed)
    documents = []
    for i in range(count):
        length = rng.randrange(40)
        ids = [rng.randrange(150_000) for _ in range(length)]
        documents.append(Document(ids, [rng.random() < 0.5 for _ in ids], f"数据/a.txt:{i + 1}"))
    return documents


def kept(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / "documents").iterdir())


def cached(folder: Path, documents: Sequence[Document], **more: object) -> tuple[Sequence[Document], list[str], int]:
    """(what comes back, lines said, how often documents were made)."""
    said: list[str] = []
    made = 0

    def make() -> Iterator[Document]:
        nonlocal made
        made += 1
        return iter(documents)

    given_key = str(more.pop("key", KEY))
    return cached_documents(given_key, make, folder=folder, say=said.append, **more), said, made


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.booleans()), max_size=30), st.text(max_size=9)),
        max_size=12,
    )
)
def test_any_documents_come_back_as_they_were(tmp_path_factory, made):
    documents = [Document([i for i, _ in pairs], [m for _, m in pairs], source) for pairs, source in made]
    path = tmp_path_factory.mktemp("c") / "one.arrow"
    found = write_documents(path, iter(documents))
    assert list(found) == list(CachedDocuments(path)) == documents
    assert found.lengths.tolist() == [len(d.input_ids) for d in documents]
    assert found.learned.tolist() == [sum(d.loss_mask) for d in documents]


def test_it_is_a_sequence_like_the_list_over_many_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(rendered_cache, "_BATCH_TOKENS", 300)
    documents = some(500)
    found = write_documents(tmp_path / "a.arrow", documents)
    assert pa.ipc.open_file(str(tmp_path / "a.arrow")).num_record_batches > 20
    assert len(found) == 500
    assert list(found) == documents
    assert list(reversed(found)) == documents[::-1]
    assert [found[i] for i in (0, 1, 250, 499, -1, -500)] == [documents[i] for i in (0, 1, 250, 499, -1, -500)]
    for part in (slice(3), slice(-2, None), slice(10, 400, 7), slice(None, None, -1), slice(9, 3)):
        assert found[part] == documents[part]
    for index in (500, -501):
        with pytest.raises(IndexError):
            found[index]
    assert documents[77] in found
    assert found.index(documents[77]) == documents.index(documents[77])


def test_other_tools_read_the_file_with_its_masks(tmp_path):
    documents = some(30)
    write_documents(tmp_path / "a.arrow", documents)
    table = pa.ipc.open_file(str(tmp_path / "a.arrow")).read_all().to_pydict()
    assert table["input_ids"] == [d.input_ids for d in documents]
    assert table["loss_mask"] == [d.loss_mask for d in documents]


def test_the_account_of_the_writer_comes_back_with_the_documents(tmp_path):
    left_out: list[list[object]] = []

    def render() -> Iterator[Document]:
        yield from some(5)
        left_out.append(["a.txt:9", 700])

    first, _, _ = cached(tmp_path, list(render()), account=lambda: {"too_long": left_out})
    again, _, made = cached(tmp_path, [])
    assert made == 0
    assert first.account == again.account == {"too_long": [["a.txt:9", 700]]}


def test_the_second_run_reads_and_does_not_make(tmp_path):
    documents = some(50)
    first, said, made = cached(tmp_path, documents)
    assert (list(first), said, made) == (documents, [], 1)
    again, said, made = cached(tmp_path, [])
    assert (list(again), said, made) == (documents, [], 0)
    other, _, made = cached(tmp_path, documents[:3], key="cd" * 32)
    assert (list(other), made) == (documents[:3], 1)


def test_only_the_owner_can_read(tmp_path):
    cached(tmp_path, some(3))
    assert stat.S_IMODE((tmp_path / "documents").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "documents" / f"{KEY}.arrow").stat().st_mode) == 0o600


def test_a_key_follows_from_the_parts_and_not_from_their_order():
    key = cache_key(template="x", limits={"a": 1, "b": [1.5, None]})
    assert key == cache_key(limits={"b": [1.5, None], "a": 1}, template="x")
    others = [cache_key(), cache_key(template="x"), cache_key(template="x", limits={"a": 1, "b": [1.5, 0]})]
    assert len({key, *others}) == 4
    assert len(key) == 64
    with pytest.raises(TypeError):
        cache_key(tokenizer=object())


def test_the_folder_is_the_user_s_choice(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LORA_SCRIPTS_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "lora-scripts"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/lora-scripts")
    monkeypatch.setenv("LORA_SCRIPTS_CACHE", "~/mine")
    assert cache_folder() == tmp_path / "mine"


def test_a_file_cut_anywhere_is_said_and_made_anew(tmp_path):
    documents = some(60)
    cached(tmp_path, documents)
    path = tmp_path / "documents" / f"{KEY}.arrow"
    whole = path.read_bytes()
    for size in [0, 1, 5, 9, 10, 100, 1000, len(whole) // 2, len(whole) - 11, len(whole) - 1]:
        path.write_bytes(whole[:size])
        assert fault_of(path), size
    found, said, made = cached(tmp_path, documents)
    assert (list(found), made) == (documents, 1)
    assert len(said) == 1 and "made anew" in said[0]
    assert fault_of(path) == ""


def test_a_bit_flipped_anywhere_is_seen(tmp_path):
    path = tmp_path / "a.arrow"
    write_documents(path, some(40))
    whole = path.read_bytes()
    rng = random.Random(1)
    for place in [*range(16), *range(len(whole) - 400, len(whole)), *rng.sample(range(len(whole)), 600)]:
        broken = bytearray(whole)
        broken[place] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        assert fault_of(path), place
    path.write_bytes(whole)
    assert fault_of(path) == ""


def test_a_flipped_bit_is_said_and_made_anew(tmp_path):
    documents = some(60)
    cached(tmp_path, documents)
    path = tmp_path / "documents" / f"{KEY}.arrow"
    broken = bytearray(path.read_bytes())
    broken[len(broken) // 2] ^= 4
    path.write_bytes(broken)
    found, said, made = cached(tmp_path, documents)
    assert (list(found), made) == (documents, 1)
    assert len(said) == 1 and "not those that were written" in said[0]


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_writer_leaves_nothing(tmp_path, end):
    def make() -> Iterator[Document]:
        yield from some(9000)
        raise end

    with pytest.raises(end):
        cached_documents(KEY, make, folder=tmp_path, say=print)
    assert kept(tmp_path) == []


def test_a_killed_writer_leaves_no_entry_and_its_rest_is_swept_when_it_is_old(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from lora_scripts.data.render import Document\n"
        "from lora_scripts.data.rendered_cache import cached_documents\n"
        "def make():\n"
        "    for i in range(20000):\n"
        "        yield Document([i] * 4, [True] * 4, 'a:1')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"cached_documents('{KEY}', make, folder=Path(sys.argv[1]), say=print)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    (rest,) = (tmp_path / "documents").iterdir()
    assert rest.name.endswith(".tmp")
    cached(tmp_path, some(3))
    assert rest.exists()  # it could still be written to
    os.utime(rest, (time.time() - 7200,) * 2)
    cached(tmp_path, [])
    assert kept(tmp_path) == [f"{KEY}.arrow"]


def test_two_processes_at_once_end_with_one_whole_entry(tmp_path):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from lora_scripts.data.render import Document\n"
        "from lora_scripts.data.rendered_cache import cached_documents\n"
        "me, other = Path(sys.argv[2]), Path(sys.argv[3])\n"
        "def make():\n"
        "    for i in range(3000):\n"
        "        yield Document([i, i + 1], [False, True], f'a:{i}')\n"
        "        if i == 1500:\n"
        "            me.touch()\n"
        "            while not other.exists(): time.sleep(0.005)\n"
        f"found = cached_documents('{KEY}', make, folder=Path(sys.argv[1]), say=print)\n"
        "assert [d.input_ids[0] for d in found] == list(range(3000))\n"
        "print(type(found).__name__)\n"
    )
    flags = [str(tmp_path / "one"), str(tmp_path / "two")]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "c"), *order], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for order in (flags, flags[::-1])
    ]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out.decode().strip()) == (0, "CachedDocuments"), err.decode()
    assert kept(tmp_path / "c") == [f"{KEY}.arrow"]
    assert fault_of(tmp_path / "c" / "documents" / f"{KEY}.arrow") == ""


def test_who_comes_second_throws_its_own_file_away(tmp_path):
    path = tmp_path / "a.arrow"
    documents = some(30)

    def make() -> Iterator[Document]:
        yield from documents
        write_documents(path, documents)
        first.append(path.stat().st_ino)

    first: list[int] = []
    assert list(write_documents(path, make())) == documents
    assert [path.stat().st_ino] == first
    assert [p.name for p in tmp_path.iterdir()] == ["a.arrow"]


def test_the_least_recently_used_entries_go_when_the_folder_is_full(tmp_path):
    documents = some(200)
    keys = [f"{i}{i}" * 32 for i in range(1, 5)]
    for age, key in enumerate(keys[:3]):
        cached(tmp_path, documents, key=key)
        os.utime(tmp_path / "documents" / f"{key}.arrow", (time.time() - 1000 + age,) * 2)
    size = (tmp_path / "documents" / f"{keys[0]}.arrow").stat().st_size
    (tmp_path / "documents" / "mine.txt").write_text("not an entry")
    cached(tmp_path, [], key=keys[0])  # used: the first is now the youngest
    _, said, _ = cached(tmp_path, documents, key=keys[3], limit_bytes=2 * size + size // 2)
    assert kept(tmp_path) == sorted([f"{keys[0]}.arrow", f"{keys[3]}.arrow", "mine.txt"])
    assert len(said) == 1 and "2 old entries" in said[0]


def test_an_entry_larger_than_the_limit_is_kept_and_said(tmp_path):
    found, said, _ = cached(tmp_path, some(50), limit_bytes=100)
    assert len(found) == 50
    assert len(said) == 1 and f"{KEY}.arrow" in said[0]


def test_a_disk_that_refuses_costs_the_cache_and_not_the_run(tmp_path):
    documents = some(5)
    (tmp_path / "documents").write_text("a file where the folder should be")
    found, said, _ = cached(tmp_path, documents)
    assert found == documents
    assert len(said) == 1 and "not kept" in said[0]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_two_hundred_thousand_documents_are_written_and_read_in_flat_memory(tmp_path):
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from lora_scripts.data.render import Document\n"
        "from lora_scripts.data.rendered_cache import write_documents\n"
        "def heap():\n"
        "    return int(re.search(r'RssAnon:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024\n"
        "most = 0\n"
        "def make():\n"
        "    global most\n"
        "    for i in range(200_000):\n"
        "        if i % 5000 == 0: most = max(most, heap())\n"
        "        yield Document(list(range(i, i + 20)), [False] * 10 + [True] * 10, f'a.jsonl:{i}')\n"
        "write_documents(Path(sys.argv[1]) / 'warm.arrow', [])\n"
        "before = heap()\n"
        "found = write_documents(Path(sys.argv[1]) / 'a.arrow', make())\n"
        "assert found.learned.sum() == 2_000_000 and len(found) == 200_000\n"
        "for i in range(0, 200_000, 3):\n"
        "    assert found[i].input_ids[0] == i\n"
        "    if i % 30_000 == 0: most = max(most, heap())\n"
        "print(most - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 40  # MiB; as Python lists they take over 250
