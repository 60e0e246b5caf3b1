"""Make ``models/tiny-zh``: the embedded Chinese base model, from plain text to a Hugging Face folder.

    python tools/pretrain_tiny.py --corpus DIR [--output models/tiny-zh] [--steps 3000]

DIR holds ``zh_law_corpus/statutes.txt.gz`` (form-feed separated), ``zh_medical/内科.txt`` (GB18030) and
``zh_finance/*.json``. Statutes are read as running text; medical and finance questions and answers are laid
out in the model's own ChatML, so that its role and end-of-turn tokens are trained ones. The same seed and
corpus give the same model on the same machine; a stopped run goes on from ``--work-dir``.

Hidden matrices are stepped by Muon (Jordan et al. 2024, ``torch.optim.Muon``), all else by AdamW.
"""

import argparse
import gzip
import json
import math
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCAB_SIZE = 8192
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CONTEXT_TOKENS = 256
ROWS_PER_STEP = 12
HELD_OUT_DOCUMENTS = 30
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def turn(question: str, answer: str) -> str:
    """One question and answer in ChatML."""
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"


def read_corpus(root: Path) -> list[str]:
    """All documents of the corpus: statutes as they are, question/answer files as ChatML turns."""
    with gzip.open(root / "zh_law_corpus/statutes.txt.gz", "rt", encoding="utf-8") as file:
        documents = file.read().split("\f")
    for block in (root / "zh_medical/内科.txt").read_text(encoding="gb18030").split("\n\n\n"):
        question, _, answer = block.strip().partition("\n")
        if answer.strip():
            title, _, detail = question.partition(",")
            documents.append(turn(detail.strip() or title.strip(), " ".join(answer.split())))
    for name in ("consulting_part", "retrieval_part", "task_part"):
        for row in json.loads((root / f"zh_finance/{name}.json").read_text(encoding="utf-8")):
            question = "\n".join(part for part in (row.get("instruction", ""), row.get("input", "")) if part)
            documents.append(turn(question, row["output"]))
    return documents


def train_tokenizer(documents: list[str]) -> Tokenizer:
    """A byte-level BPE whose pieces keep a run of letters (so also of Chinese characters) together."""
    tokenizer = Tokenizer(models.BPE())
    pieces = Regex(r"\s?[\p{L}]+|\s?\p{N}|[^\s\p{L}\p{N}]+|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pieces, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=24,
        show_progress=False,
    )
    slices = (text[i : i + 2000] for text in documents for i in range(0, len(text), 2000))
    tokenizer.train_from_iterator(slices, trainer)
    return tokenizer


def build_model() -> LlamaForCausalLM:
    """A Llama of 6.4 M parameters with tied embeddings."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCAB_SIZE,
            hidden_size=256,
            intermediate_size=672,
            num_hidden_layers=6,
            num_attention_heads=8,
            num_key_value_heads=4,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=0,
        )
    )


def encode(tokenizer: Tokenizer, documents: list[str]) -> torch.Tensor:
    """All documents as one int32 row of ids, each closed by <|endoftext|>."""
    ids: list[int] = []
    for encoding in tokenizer.encode_batch(documents):
        ids += [*encoding.ids, 0]
    return torch.tensor(ids, dtype=torch.int32)


@torch.no_grad()
def held_out_nats(model: LlamaForCausalLM, ids: torch.Tensor, windows: int = 320) -> float:
    """Mean loss in nats a token over the first ``windows`` windows of the held-out ids."""
    model.eval()
    total, count = 0.0, 0
    starts = list(range(0, len(ids) - CONTEXT_TOKENS - 1, CONTEXT_TOKENS))[:windows]
    for i in range(0, len(starts), 8):
        rows = torch.stack([ids[s : s + CONTEXT_TOKENS + 1] for s in starts[i : i + 8]]).long()
        logits = model(rows[:, :-1], use_cache=False).logits
        total += F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="sum").item()
        count += rows[:, 1:].numel()
    model.train()
    return total / count


def optimizers(model: LlamaForCausalLM, rate: float, muon_rate: float) -> list[torch.optim.Optimizer]:
    hidden = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.dim() != 2 or "embed" in n]
    made: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            others if muon_rate else list(model.parameters()), lr=rate, betas=(0.9, 0.95), weight_decay=0.01
        )
    ]
    if muon_rate:
        made.append(torch.optim.Muon(hidden, lr=muon_rate, weight_decay=0.1, momentum=0.95))
    for optimizer in made:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return made


def save_state(path: Path, model: LlamaForCausalLM, made: list[torch.optim.Optimizer], step: int) -> None:
    tensors = {f"model.{n}": p.detach() for n, p in model.named_parameters()}
    tensors["step"] = torch.tensor(step)
    for i, optimizer in enumerate(made):
        for j, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{j}.{k}": torch.as_tensor(v) for k, v in state.items()}
    fresh = path.with_suffix(".new")
    save_file({k: v.contiguous() for k, v in tensors.items()}, fresh)
    fresh.replace(path)


def load_state(path: Path, model: LlamaForCausalLM, made: list[torch.optim.Optimizer]) -> int:
    tensors = load_file(path)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
    for i, optimizer in enumerate(made):
        whole = optimizer.state_dict()
        for name, value in tensors.items():
            if name.startswith(f"optimizer.{i}."):
                _, _, j, key = name.split(".")
                whole["state"].setdefault(int(j), {})[key] = value
        optimizer.load_state_dict(whole)
    return int(tensors["step"])


def rate_share(step: int, steps: int) -> float:
    """Share of the peak rate: 100 steps of warm-up, then linear to zero."""
    return min(1.0, (step + 1) / 100) * (1 - step / steps)


def pretrain(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    documents = read_corpus(args.corpus)
    random.Random(args.seed).shuffle(documents)
    held_out, documents = documents[:HELD_OUT_DOCUMENTS], documents[HELD_OUT_DOCUMENTS:]
    tokenizer_file = args.work_dir / "tokenizer.json"
    if not tokenizer_file.exists():
        train_tokenizer(documents).save(str(tokenizer_file))
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    ids, held_out_ids = encode(tokenizer, documents), encode(tokenizer, held_out)
    held_out_chars = sum(map(len, held_out))
    print(f"{len(ids)} tokens, {sum(map(len, documents)) / len(ids):.2f} characters a token", flush=True)

    model = build_model()
    made = optimizers(model, args.rate, args.muon_rate)
    state_file = args.work_dir / "state.safetensors"
    step = load_state(state_file, model, made) if state_file.exists() else 0
    began, began_step = time.time(), step
    while step < args.steps:
        generator = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
        starts = torch.randint(0, len(ids) - CONTEXT_TOKENS - 1, (ROWS_PER_STEP,), generator=generator)
        rows = torch.stack([ids[s : s + CONTEXT_TOKENS + 1] for s in starts.tolist()]).long()
        hidden = model.model(rows[:, :-1], use_cache=False).last_hidden_state
        loss = F.cross_entropy(model.lm_head(hidden).flatten(0, 1), rows[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in made:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * rate_share(step, args.schedule_steps or args.steps)
            optimizer.step()
            optimizer.zero_grad()
        step += 1
        if step % 50 == 0:
            speed = (step - began_step) * ROWS_PER_STEP * CONTEXT_TOKENS / (time.time() - began)
            print(f"step {step} loss {loss.item():.3f} {speed:.0f} tokens/s", flush=True)
        if step % 250 == 0 or step == args.steps:
            save_state(state_file, model, made, step)
        if step % 500 == 0 or step == args.steps:
            nats = held_out_nats(model, held_out_ids)
            bits = nats / math.log(2) * len(held_out_ids) / held_out_chars
            print(f"step {step} held-out {nats:.3f} nats a token, {bits:.3f} bits a character", flush=True)

    model.half().save_pretrained(args.output)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=CHAT_TEMPLATE,
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(args.output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("models/tiny-zh"))
    parser.add_argument("--work-dir", type=Path, default=Path("output/pretrain_tiny"))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--schedule-steps", type=int, help="length of the rate schedule, for a run cut short")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak rate of AdamW")
    parser.add_argument("--muon-rate", type=float, default=2e-2, help="peak rate of Muon; 0 leaves all to AdamW")
    parser.add_argument("--seed", type=int, default=0)
    pretrain(parser.parse_args())


if __name__ == "__main__":
    main()
