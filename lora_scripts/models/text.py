"""The text base: is this folder one, and load it. What is wrong with a folder is found before torch is loaded."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_scripts.errors import ModelError
from lora_scripts.messages import text
from lora_scripts.models.known_bases import BASES

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.model",
)
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
CAUSAL_LM = re.compile(r"(ForCausalLM|LMHeadModel|ForConditionalGeneration)$")
WHOLE_HASH_BYTES = 2 << 30
SAMPLE_BYTES = 1 << 20
SAMPLE_EVERY = 16
LARGEST_HEADER = 100 << 20  # the limit of the safetensors library


def check_base(path: str) -> Path:
    """The folder of a Hugging Face causal LM that ``path`` names; looks at files only, never at the network.

    Raises:
        ModelError: It is not such a folder; says what it is instead and which command makes one of it.
    """
    folder = Path(path).expanduser()
    if not folder.exists():
        raise _missing(path, folder)
    if folder.is_file():
        raise _not_a_folder(folder)
    ggufs = sorted(folder.glob("*.gguf"))
    if ggufs and not any(folder.glob("*.safetensors")):
        raise _gguf(ggufs[0])
    check_config(folder)
    if not any((folder / name).exists() for name in TOKENIZER_FILES):
        raise ModelError("models.no_tokenizer", where=folder)
    for file in weight_files(folder):
        read_header(file)
    return folder


def is_bare(folder: Path) -> bool:
    """Whether a folder describes a causal LM and its tokenizer but holds no weights: enough for a plan.

    Raises:
        ModelError: What it describes is not a causal LM.
    """
    if not (folder / "config.json").exists() or any(folder.glob("*.safetensors")) or any(folder.glob("*.gguf")):
        return False
    if any(file for pattern in PICKLES for file in folder.glob(pattern)):
        return False
    check_config(folder)
    return any((folder / name).exists() for name in TOKENIZER_FILES)


def _missing(path: str, folder: Path) -> ModelError:
    if folder.name in BASES:
        return ModelError("models.missing_known", where=path, name=folder.name)
    if HUB_NAME.fullmatch(path) and not folder.parent.is_dir():
        return ModelError("models.hub_name", where=path, name=path)
    return ModelError("models.missing", where=path)


def _not_a_folder(file: Path) -> ModelError:
    if file.suffix.lower() == ".gguf":
        return _gguf(file)
    if any(file.match(pattern) for pattern in PICKLES):
        return ModelError("models.pickle_only", where=file, files=file.name, folder=shlex.quote(str(file.parent)))
    return ModelError("models.is_a_file", where=file, folder=file.parent)


def _gguf(file: Path) -> ModelError:
    target = Path("models") / file.stem
    return ModelError("models.gguf", where=file, file=shlex.quote(str(file)), folder=shlex.quote(str(target)))


def check_config(folder: Path) -> None:
    """Do the JSON files of ``folder`` describe a causal LM that transformers builds without code of the model's own?

    Raises:
        ModelError: They do not.
    """
    if not (folder / "config.json").exists():
        if (folder / "adapter_config.json").exists():
            base = read_json(folder / "adapter_config.json").get("base_model_name_or_path") or "?"
            raise ModelError("models.is_adapter", where=folder, base=base)
        if (folder / "model_index.json").exists():
            raise ModelError("models.is_pipeline", where=folder)
        raise ModelError("models.no_config", where=folder)
    config = read_json(folder / "config.json")
    model_type = str(config.get("model_type", ""))
    if config.get("auto_map") and not _native(model_type):
        raise ModelError("models.remote_code", where=folder, model_type=model_type or "?")
    names = [str(name) for name in config.get("architectures") or []]
    if (
        not model_type
        or config.get("is_encoder_decoder")
        or (names and not any(CAUSAL_LM.search(name) for name in names))
    ):
        raise ModelError("models.not_causal", where=folder / "config.json", found=", ".join(names) or model_type or "?")


def _native(model_type: str) -> bool:
    """Does transformers bring this architecture itself? Asked of its folders, since its import loads torch."""
    spec = find_spec("transformers")
    roots = spec.submodule_search_locations if spec else None
    name = model_type.replace("-", "_").removesuffix("_text")
    return bool(roots and name.isidentifier() and (Path(roots[0]) / "models" / name).is_dir())


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ModelError: It cannot be read, or holds something else.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError("models.bad_json", where=file, reason=error) from error
    if not isinstance(found, dict):
        raise ModelError("models.bad_json", where=file, reason=f"{type(found).__name__}, not an object")
    return found


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder, in order of name.

    Raises:
        ModelError: There are none, or only pickles, or one that the index names is missing.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ModelError("models.bad_json", where=index, reason="no weight_map")
        names = sorted({str(name) for name in weight_map.values()})
        if odd := [name for name in names if Path(name).name != name]:
            raise ModelError("models.bad_json", where=index, reason=odd[0])
        if absent := [name for name in names if not (folder / name).exists()]:
            raise ModelError("models.shards_missing", where=folder, names=", ".join(absent), total=len(names))
        return [folder / name for name in names]
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    pickles = [file.name for pattern in PICKLES for file in sorted(folder.glob(pattern))]
    if pickles:
        raise ModelError(
            "models.pickle_only", where=folder, files=", ".join(pickles[:3]), folder=shlex.quote(str(folder))
        )
    raise ModelError("models.no_weights", where=folder)


def read_header(file: Path) -> dict[str, Any]:
    """The header of a safetensors file: name → dtype, shape, data_offsets. https://github.com/huggingface/safetensors

    Raises:
        ModelError: The file is cut short or is not safetensors.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, LARGEST_HEADER):
            raise ModelError("models.truncated", where=file, size=size)
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        short = 8 + length + max(ends, default=0) != size
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ModelError("models.not_safetensors", where=file) from error
    if short:
        raise ModelError("models.truncated", where=file, size=size)
    return dict(header)


def base_fingerprint(path: str | Path) -> str:
    """``sha256:…`` of config.json and all weights.

    Above 2 GiB of weights 1 MiB of every 16 is read, and the ends of each file: ``sha256-sampled:…``. That
    tells two models apart, but may miss a single changed value.
    """
    folder = Path(path)
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    sampled = add_blocks(digest, weight_files(folder), folder)
    return f"sha256{'-sampled' if sampled else ''}:{digest.hexdigest()}"


def add_blocks(digest: hashlib._Hash, files: Sequence[Path], root: Path) -> bool:
    """Add weights to a fingerprint, by their names below ``root``; whether they were only read in part."""
    sampled = sum(file.stat().st_size for file in files) > WHOLE_HASH_BYTES
    for file in files:
        name = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
        digest.update(f"\0{name}\0{file.stat().st_size}\0".encode())
        for block in _blocks(file, sampled):
            digest.update(block)
    return sampled


def _blocks(file: Path, sampled: bool) -> Iterator[bytes]:
    """Large ones where all is read: between two of them a thread waits for its turn in Python."""
    step = SAMPLE_BYTES * SAMPLE_EVERY
    size = file.stat().st_size
    with file.open("rb") as stream:
        for start in range(0, size, step):
            stream.seek(start)
            yield stream.read(SAMPLE_BYTES if sampled else step)
        if sampled:
            stream.seek(max(0, size - SAMPLE_BYTES))
            yield stream.read(SAMPLE_BYTES)


def load_tokenizer(path: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a base folder. No token is added: without a pad token its end-of-text token pads.

    Raises:
        ModelError: It cannot be read, or needs code of its own.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerBase

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers raises anything here; all of it means that the files are unusable
        raise ModelError("models.tokenizer_failed", where=path, reason=_first_line(error)) from error
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise ModelError("models.tokenizer_failed", where=path, reason=type(tokenizer).__name__)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = _padding(tokenizer, Path(path))
    return tokenizer


def _padding(tokenizer: PreTrainedTokenizerBase, folder: Path) -> str:
    """An existing token to fill rows with; what it is does not matter, since it is neither seen nor learned."""
    config = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
    ends = config.get("eos_token_id")
    ends = ends if isinstance(ends, list) else [ends]
    for candidate in (config.get("pad_token_id"), tokenizer.eos_token_id, *ends, tokenizer.unk_token_id, 0):
        if isinstance(candidate, int) and 0 <= candidate < len(tokenizer):
            return str(tokenizer.convert_ids_to_tokens(candidate))
    raise ModelError("models.tokenizer_failed", where=folder, reason="0 tokens")


@contextmanager
def quiet() -> Iterator[None]:
    """While transformers loads: no bars, and no report of missing keys, which ours replaces, and stops."""
    from transformers.utils import logging as hf_logging

    bars, level = hf_logging.is_progress_bar_enabled(), hf_logging.get_verbosity()
    hf_logging.disable_progress_bar()
    hf_logging.set_verbosity_error()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


def refuse_missing(path: str | Path, report: Mapping[str, Collection[str]]) -> None:
    """Hold a report of transformers' loading against what must be there.

    Raises:
        ModelError: A weight is not in the file; it would be random.
    """
    if missing := sorted(report["missing_keys"]):
        raise ModelError("models.weights_missing", where=path, count=len(missing), names=some_of(missing))


def load_model(path: str | Path, *, dtype: torch.dtype, device: str, quantization: str = "none") -> PreTrainedModel:
    """The base, frozen and in eval mode, its weights in ``dtype`` on ``device``, or as ``quantization`` says.

    Raises:
        ModelError: It cannot be loaded, a weight is not in the file (it would be random) or is not finite, or the
            folder is quantised in another way.
    """
    from transformers import AutoModelForCausalLM

    from lora_scripts.models.frozen_linear import use_onednn
    from lora_scripts.models.quantize import broken_in_files, broken_values, check_quantization, loading_options, settle

    check_quantization(path, quantization, device)
    try:
        options = loading_options(path, quantization, dtype, device)
        with quiet():
            model, report = AutoModelForCausalLM.from_pretrained(
                str(path),
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # as above: whatever it raises, the folder is unusable
        if "out of memory" in str(error):  # quantised weights are put on the card while they are read
            raise ModelError("models.no_room", where=path, device=device, reason=_first_line(error)) from error
        raise ModelError("models.load_failed", where=path, reason=_first_line(error)) from error
    refuse_missing(path, report)
    if unexpected := sorted(report["unexpected_keys"]):
        log.warning(text("models.weights_unused", where=path, count=len(unexpected), names=some_of(unexpected)))
    if broken := broken_values(model) or (broken_in_files(weight_files(Path(path))) if options else []):
        raise ModelError("models.not_finite", where=path, count=len(broken), names=some_of(broken))
    model.requires_grad_(False)
    if device == "cpu":
        use_onednn(model)
    if options:
        settle(model, path, dtype, device)
        return model.eval()
    try:
        return model.eval().to(device)
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        raise ModelError("models.no_room", where=path, device=device, reason=_first_line(error)) from error


def some_of(names: list[str]) -> str:
    """The first few of ``names``."""
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def resolve_device(wanted: str) -> tuple[str, list[str]]:
    """The torch device for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``, and notes on what is not as wanted.

    Raises:
        ModelError: No such kind of device, or no card of that number.
    """
    import torch

    kind, _, number = wanted.strip().lower().partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and (kind != "cuda" or not number.isdigit())):
        raise ModelError("models.unknown_device", where="device", device=wanted)
    if kind == "auto":
        return ("cuda" if torch.cuda.is_available() else "cpu"), []
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[kind]:
        return "cpu", [text("models.device_note", device=wanted)]
    if number and int(number) >= torch.cuda.device_count():
        raise ModelError("models.no_such_card", where="device", device=wanted, count=torch.cuda.device_count())
    return f"{kind}:{int(number)}" if number else kind, []


def resolve_precision(wanted: str, device: str) -> tuple[torch.dtype, torch.dtype | None, list[str]]:
    """(dtype of the frozen weights, dtype for autocast or None, notes) for ``auto``, ``bf16``, ``fp16``, ``fp32``.

    Adapter weights stay fp32 in every case. Off CUDA it is fp32: half precision there is many times slower
    (no units for it in most CPUs) and no more exact.

    Raises:
        ModelError: No such precision.
    """
    import torch

    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16}
    if wanted not in ("auto", "bf16", "fp16", "fp32"):
        raise ModelError("models.unknown_precision", where="precision", precision=wanted)
    if not device.startswith("cuda"):
        notes = [text("models.precision_note", precision=wanted, device=device)] if wanted in dtypes else []
        return torch.float32, None, notes
    if wanted == "fp32":
        return torch.float32, None, []
    capable = bool(torch.version.hip) or torch.cuda.get_device_capability(device) >= (8, 0)  # older cards emulate
    chosen = ("bf16" if capable else "fp16") if wanted == "auto" else wanted
    if chosen == "bf16" and not capable:
        return torch.float16, torch.float16, [text("models.no_bf16_note")]
    return dtypes[chosen], dtypes[chosen], []
