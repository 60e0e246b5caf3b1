"""Places that tests look for, and the language that they read."""

import gc
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
gc.set_threshold(700, 10, 1000)  # as the command does for itself


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "en")


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real files and real small models, which lie beside the checkout and do not ship."""
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("../shared/data is not here")
    return path


@pytest.fixture(scope="session")
def stories(shared_data: Path) -> Path:
    """A real pretrained Llama of 260 thousand parameters."""
    return shared_data / "lm_stories260k" / "hf"


@pytest.fixture(scope="session")
def tiny_zh() -> Path:
    """The embedded base model."""
    path = ROOT / "models" / "tiny-zh"
    assert (path / "model.safetensors").exists(), "models/tiny-zh is part of the checkout"
    return path
