"""A Llama of 88 thousand random weights with a SentencePiece-like tokenizer: grouped heads, tied head, no template."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ["<unk>", "<s>", "</s>"]
TEXT = [
    "He said hello to the old keeper of the light, and the keeper said hello to him.",
    "The ferry leaves at nine, and the second one at noon. Why does it wait? It waits for the tide.",
    "Yes, she said, the boat is ready; the oars are in the shed behind the house.",
]


def sentencepiece() -> PreTrainedTokenizerFast:
    """512 pieces as a converted Llama 2 tokenizer has them: ``▁`` for a space, bytes for characters it has not."""
    letters = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    letters.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(
        vocab_size=512, special_tokens=[*SPECIAL, *(f"<0x{n:02X}>" for n in range(256))], max_token_length=12,
        show_progress=False,
    )  # fmt: skip
    # no token spans two words, although a normaliser without a pre-tokenizer leaves a sentence whole
    letters.train_from_iterator([word for sentence in TEXT * 4 for word in sentence.split()], trainer)
    content = json.loads(letters.to_str())  # bytes are plain entries of the vocabulary, not special tokens
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] in SPECIAL]
    letters = Tokenizer.from_str(json.dumps(content))
    letters.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    letters.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=letters, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<unk>",
        model_max_length=512,
    )  # fmt: skip


def save(folder: Path, seed: int = 0) -> Path:
    """The folder of such a base."""
    tokenizer = sentencepiece()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=8,
        num_key_value_heads=4, head_dim=8, max_position_embeddings=512, tie_word_embeddings=True, bos_token_id=1,
        eos_token_id=2, pad_token_id=0, initializer_range=0.4,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
