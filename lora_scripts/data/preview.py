"""A document for the eye: what is learned and what is only read."""

from __future__ import annotations

from functools import partial

from lora_scripts.data.chat_format import Tokenizer
from lora_scripts.data.render import Document


def preview_lines(document: Document, tokenizer: Tokenizer) -> list[tuple[str, bool]]:
    """The document as runs of ``(text, learned)``, for printing in colour; joined they are the whole text.

    A run ends only where the text so far decodes to whole characters.
    """
    decode = partial(tokenizer.decode, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    ids, mask = document.input_ids, document.loss_mask
    ends = [i for i in range(1, len(ids)) if mask[i] != mask[i - 1]]
    whole = decode(ids)
    runs: list[tuple[str, bool]] = []
    done = 0
    for end in ends:
        so_far = decode(ids[:end])
        if len(so_far) > done and whole.startswith(so_far):
            runs.append((so_far[done:], mask[end - 1]))
            done = len(so_far)
    if whole[done:]:
        runs.append((whole[done:], mask[-1]))
    return runs
