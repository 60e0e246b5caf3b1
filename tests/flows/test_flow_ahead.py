"""The base of a run is hashed while its libraries are imported, and once."""

from pathlib import Path

import pytest

from lora_scripts.assemble import ahead
from lora_scripts.assemble.kinds import gather
from lora_scripts.config import Config, load_config
from lora_scripts.models.diffusion import check_picture_base, part_fingerprints, picture_fingerprint
from lora_scripts.models.text import base_fingerprint

ROOT = Path(__file__).resolve().parents[2]


def _config(name: str) -> Config:
    return load_config(ROOT / "configs" / name, []).config


def test_what_was_hashed_ahead_is_the_base_s_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    texts, pictures = _config("law_qa.yaml"), _config("style_lora.yaml")
    assert ahead.hash_ahead(texts).result() == {"base": base_fingerprint(texts.base_model)}
    parts = part_fingerprints(check_picture_base(pictures.base_model))
    assert ahead.hash_ahead(pictures).result() == parts and set(parts) == {"unet", "vae", "text_encoder"}


@pytest.mark.parametrize("name", ["law_qa.yaml", "style_lora.yaml"])
def test_a_run_takes_the_fingerprint_that_was_begun_and_does_not_hash_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    config = _config(name)
    hashed = ahead.hash_ahead(config)
    for read in ("base_fingerprint", "part_fingerprints"):
        monkeypatch.setattr(ahead, read, None)
    parts = hashed.result()
    expected = picture_fingerprint(parts) if config.draws else parts["base"]
    assert gather(config, hashed).fingerprints["base"] == expected
