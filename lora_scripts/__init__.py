"""lora-scripts: question/answer files and one short YAML file in, a proven LoRA adapter out.

The library face is small and frozen (tests/house/test_face.py); what it names is loaded when first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lora_scripts.adapters.files import load_adapter as load_adapter
    from lora_scripts.assemble import train as train
    from lora_scripts.config import Config as Config
    from lora_scripts.data.pii.find import PiiSpan as PiiSpan
    from lora_scripts.data.pii.find import find_pii as find_pii
    from lora_scripts.data.reading.formats import Reading as Reading
    from lora_scripts.data.reading.formats import read_records as read_records
    from lora_scripts.data.records import Message as Message
    from lora_scripts.data.records import Record as Record
    from lora_scripts.data.render import Document as Document
    from lora_scripts.data.render import render as render

_WHERE = {
    "Config": "config",
    "Document": "data.render",
    "Message": "data.records",
    "PiiSpan": "data.pii.find",
    "Reading": "data.reading.formats",
    "Record": "data.records",
    "find_pii": "data.pii.find",
    "load_adapter": "adapters.files",
    "read_records": "data.reading.formats",
    "render": "data.render",
    "train": "assemble",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
