"""Small random bases of each architecture, with tokenizers of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TURNS = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
WORDS = [
    "加班费怎么算？试用期最长六个月。",
    "你好，请介绍一下你自己。",
    "合同到期了怎么办？",
    "What is the capital of France?",
    "it's 1 of  27 capitals\n\nand 2023 was a year",
    "用人单位应当依照《劳动合同法》支付经济补偿。",
]
SIZES: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "max_position_embeddings": 512, "initializer_range": 0.15,
}  # fmt: skip


def byte_level(folder: Path) -> int:
    letters = Tokenizer(models.BPE())
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    letters.train_from_iterator(
        WORDS, trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet)
    )
    letters.add_tokens([AddedToken("<think>", special=False)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def sentencepiece(folder: Path) -> int:
    """BPE on characters with bytes for the rest, spelled as Gemma's."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    letters = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    letters.normalizer = normalizers.Replace(" ", "▁")
    letters.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    bytes_ = [f"<0x{n:02X}>" for n in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=[*specials, *bytes_])
    letters.train_from_iterator(WORDS, trainer)
    content = json.loads(letters.to_str())  # bytes are plain entries of the vocabulary, not special tokens
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] in specials]
    letters = Tokenizer.from_str(json.dumps(content))
    letters.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    letters.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=letters, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )
    tokenizer.chat_template = TURNS
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def model_of(kind: str, vocabulary: int) -> Any:
    sizes = {**SIZES, "vocab_size": vocabulary, "bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0}
    rope = {"rope_theta": 10_000.0, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 64}  # fmt: skip
    if kind.startswith("llama"):
        more = {"rope_parameters": rope} if kind == "llama-3" else {}
        tied = kind == "llama-tied"
        return LlamaForCausalLM(LlamaConfig(**sizes, **more, num_hidden_layers=2, tie_word_embeddings=tied))
    if kind == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**sizes, num_hidden_layers=2, use_sliding_window=False))
    if kind == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**sizes, num_hidden_layers=2, tie_word_embeddings=True))
    if kind == "gemma3":
        return Gemma3ForCausalLM(
            Gemma3TextConfig(**sizes, num_hidden_layers=6, sliding_window=16, query_pre_attn_scalar=16)
        )
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=vocabulary, n_embd=32, n_layer=2, n_head=2, n_positions=256, bos_token_id=0,
                   eos_token_id=0, initializer_range=0.15)
    )  # fmt: skip


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a model folder."""
    return {name: value for file in folder.glob("*.safetensors") for name, value in load_file(file).items()}


def float_model(folder: Path) -> Any:
    """The model in a folder, by stock transformers, in float32."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
