"""Places that tests look for, and the language that they read."""

import gc
from pathlib import Path

import pytest
import tiny_llama

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
gc.set_threshold(700, 10, 1000)  # as the command does for itself


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_SCRIPTS_LANG", "en")


@pytest.fixture(scope="module", autouse=True)
def _frozen_modules() -> None:
    """Code that frees memory looks for garbage; hundreds of thousands of objects of imported modules are none."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real files and real small models, which lie beside the checkout and do not ship.

    A test that asks for them says something of that very material and is left out where it is not; what the product
    has to do is tested on fixtures of our own, here as there.
    """
    return SHARED


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about real material where there is none."""
    if not SHARED.is_dir():
        about_it = [item for item in items if "shared_data" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=about_it)
        items[:] = [item for item in items if item not in set(about_it)]


@pytest.fixture(scope="session")
def stories(shared_data: Path) -> Path:
    """A real pretrained Llama of 260 thousand parameters."""
    return shared_data / "lm_stories260k" / "hf"


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with a SentencePiece-like tokenizer and no chat template."""
    return tiny_llama.save(tmp_path_factory.mktemp("tiny-llama"))


@pytest.fixture(scope="session")
def tiny_zh() -> Path:
    """The embedded base model."""
    path = ROOT / "models" / "tiny-zh"
    assert (path / "model.safetensors").exists(), "models/tiny-zh is part of the checkout"
    return path
