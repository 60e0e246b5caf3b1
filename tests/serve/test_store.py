"""The adapter store with adapters of made-up sizes: who goes, who stays, and many threads at once."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lora_scripts.errors import ModelError, UsageError
from lora_scripts.serve.store import AdapterStore, StoreFull, below, weights_below


@dataclass(frozen=True, eq=False)
class Fake:
    """Tensors that are not there."""

    name: str
    nbytes: int
    digest: str
    place: str = "device"


class Disk:
    """Folders of adapters: their sizes, what is in them, and who read them."""

    def __init__(self, **sizes: int) -> None:
        self.sizes, self.content = dict(sizes), dict.fromkeys(sizes, "1")
        self.loads: list[str] = []
        self.moves: list[tuple[str, str]] = []
        self.seconds = 0.0

    def load(self, name: str, path: Path) -> Fake:
        time.sleep(self.seconds)
        self.loads.append(name)
        if self.content[path.name] == "broken":
            raise ModelError("adapters.none_here", where=path)
        return Fake(name, self.sizes[path.name], f"{path.name}-{self.content[path.name]}")

    def move(self, loaded: Fake, to: str) -> Fake:
        self.moves.append((loaded.name, to))
        return replace(loaded, place=to)

    def store(self, device: int, host: int | None = None) -> AdapterStore:
        more = {"move": self.move, "host_bytes": host} if host is not None else {}
        return AdapterStore(self.load, device_bytes=device, **more)  # type: ignore[arg-type]


def tiers(store: AdapterStore) -> dict[str, str]:
    return {entry.name: entry.tier for entry in store.entries()}


def use(store: AdapterStore, name: str) -> None:
    store.release(store.hold(name) or store.fetch(name))


def fill(store: AdapterStore, *names: str, pinned: str = "") -> None:
    for name in names:
        store.add(name, Path(name), pinned=name in pinned)


def test_what_was_not_asked_for_longest_goes_first_by_bytes() -> None:
    disk = Disk(a=40, b=40, c=20, d=50)
    store = disk.store(100)
    fill(store, "a", "b", "c")
    use(store, "a")
    store.add("d", Path("d"))
    assert tiers(store) == {"a": "device", "b": "disk", "c": "disk", "d": "device"}
    use(store, "b")
    assert disk.loads.count("b") == 2
    assert store.bytes_in("device") <= 100
    assert store.names() == ["a", "b", "c", "d"]


def test_on_a_card_the_host_is_between_device_and_disk() -> None:
    disk = Disk(a=40, b=40, c=40, d=40)
    store = disk.store(80, host=40)
    fill(store, "a", "b", "c")
    assert tiers(store) == {"a": "host", "b": "device", "c": "device"}
    store.add("d", Path("d"))
    assert tiers(store) == {"a": "disk", "b": "host", "c": "device", "d": "device"}
    assert store.bytes_in("host") == 40
    entry = store.fetch("b")
    assert entry.loaded is not None
    assert getattr(entry.loaded, "place", "") == "device"
    assert disk.loads.count("b") == 1, "it came from the host"
    assert disk.moves.count(("b", "device")) == 1


def test_an_adapter_larger_than_the_host_goes_to_its_file() -> None:
    store = Disk(a=60, b=60).store(100, host=50)
    fill(store, "a", "b")
    assert tiers(store) == {"a": "disk", "b": "device"}


def test_what_is_pinned_or_in_use_never_goes() -> None:
    disk = Disk(a=40, b=40, c=40)
    store = disk.store(80)
    store.add("a", Path("a"), pinned=True)
    store.add("b", Path("b"))
    held = store.hold("b")
    assert held is not None
    with pytest.raises(StoreFull):
        store.add("c", Path("c"))
    assert "c" not in store
    store.release(held)
    store.add("c", Path("c"))
    assert tiers(store) == {"a": "device", "b": "disk", "c": "device"}
    store.pin("a", False)
    use(store, "c")
    use(store, "b")
    assert tiers(store) == {"a": "disk", "b": "device", "c": "device"}


def test_an_adapter_larger_than_the_store_is_refused_for_good() -> None:
    store = Disk(a=40, big=101).store(100)
    fill(store, "a")
    with pytest.raises(UsageError):
        store.add("big", Path("big"))
    assert tiers(store) == {"a": "device"}


def test_a_replaced_adapter_is_kept_by_the_requests_that_use_it() -> None:
    disk = Disk(a=40, new=30)
    store = disk.store(100)
    fill(store, "a")
    old = store.hold("a")
    assert old is not None
    store.add("a", Path("new"))
    fresh = store.hold("a")
    assert fresh is not None
    assert (old.digest, fresh.digest) == ("a-1", "new-1")
    assert old.loaded is not None
    assert store.bytes_in("device") == 70
    store.release(old)
    assert old.loaded is None
    assert store.bytes_in("device") == 30
    assert fresh.loaded is not None


def test_a_removed_adapter_is_gone_for_new_requests_and_stays_for_old_ones() -> None:
    store = Disk(a=40).store(100)
    fill(store, "a")
    first, second = store.hold("a"), store.hold("a")
    assert first is not None
    assert second is not None
    assert store.remove("a")
    assert not store.remove("a")
    for ask in (store.hold, store.fetch):
        with pytest.raises(KeyError):
            ask("a")
    store.release(first)
    assert second.loaded is not None
    assert store.bytes_in("device") == 40
    store.release(second)
    assert store.bytes_in("device") == 0


def test_a_replacement_that_fails_leaves_the_old_one() -> None:
    disk = Disk(a=40, new=30)
    disk.content["new"] = "broken"
    store = disk.store(100)
    fill(store, "a")
    with pytest.raises(ModelError):
        store.add("a", Path("new"))
    entry = store.hold("a")
    assert entry is not None
    assert entry.digest == "a-1"


def test_an_adapter_whose_files_changed_is_not_served_under_its_old_name() -> None:
    disk = Disk(a=60, b=60)
    store = disk.store(100)
    fill(store, "a", "b")
    disk.content["a"] = "2"
    with pytest.raises(UsageError):
        store.fetch("a")
    assert store.digest("a") == "a-1"
    store.add("a", Path("a"))
    use(store, "a")
    assert store.digest("a") == "a-2"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "x" * 65, "适配器", "a\n", "\0"])
def test_a_name_is_a_name(name: str) -> None:
    disk = Disk(a=1)
    with pytest.raises(UsageError):
        disk.store(100).add(name, Path("a"))
    assert disk.loads == []


def test_two_that_come_at_once_do_not_take_more_than_there_is() -> None:
    disk = Disk(a=60, b=60)
    disk.seconds = 0.05
    store = disk.store(100)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(store.add, name, Path(name)) for name in "ab"]:
            done.result()
    assert store.bytes_in("device") <= 100


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Threads that take turns often, so that races are met."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("many_switches")
@pytest.mark.parametrize("host", [None, 50])
def test_whoever_holds_an_adapter_has_its_tensors_whatever_others_do(host: int | None) -> None:
    names = [f"a{i}" for i in range(6)]
    disk = Disk(**dict.fromkeys(names, 40))
    store = disk.store(100, host)
    fill(store, *names)
    wrong: list[object] = []
    until = time.monotonic() + 1.0

    def ask(seed: int) -> None:
        chance = random.Random(seed)
        while time.monotonic() < until:
            name = chance.choice(names)
            try:
                entry = store.hold(name) or store.fetch(name)
            except (StoreFull, KeyError):
                continue
            for _ in range(chance.randrange(3)):
                if entry.loaded is None or entry.tier != "device" or getattr(entry.loaded, "name", "") != name:
                    wrong.append((name, entry.tier, entry.loaded))
            if store.bytes_in("device") > 100:
                wrong.append(store.bytes_in("device"))
            store.release(entry)

    def churn() -> None:
        chance = random.Random(99)
        while time.monotonic() < until:
            name = chance.choice(names)
            try:
                if chance.random() < 0.3:
                    store.remove(name)
                store.add(name, Path(name))
            except StoreFull:
                continue

    with ThreadPoolExecutor(5) as pool:
        for done in [*(pool.submit(ask, seed) for seed in range(4)), pool.submit(churn)]:
            done.result(timeout=30)
    assert wrong == []
    assert threading.active_count() < 50
    assert not any(entry.in_use for entry in store.entries())


def test_a_path_stays_below_the_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "in" / "deep", outside):
        folder.mkdir(parents=True)
    (root / "out").symlink_to(outside)
    (root / "alias").symlink_to(root / "in")
    (root / "loop").symlink_to(root / "loop")
    for good in ("in", "in/deep", "./in", "in/../in/deep", "alias/deep"):
        assert below(root, good).is_relative_to(root.resolve())
    bad = ["..", "../outside", "in/../../outside", "out", "out/..", ".", "", "/", str(root / "in"), "in\0", "nobody"]
    for path in (*bad, "loop", "x" * 300, "in/" * 3000, "\ud800"):
        with pytest.raises(UsageError):
            below(root, path)


def test_no_file_of_an_adapter_lies_outside_by_a_link(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (root / "a" / "adapter_model.safetensors").write_bytes(b"")
    weights_below(root, root / "a")
    (root / "a" / "chat_template.jinja").symlink_to(secret)
    for named in (root / "a", root / "a" / "adapter_model.safetensors"):
        with pytest.raises(UsageError):
            weights_below(root, named)
