"""Preference training: of two answers to one question the chosen one is made likelier, the rejected one less likely.

Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, equation 7): with the log-ratios
r = log π(answer | question) - log π_ref(answer | question) of both answers, the loss of a pair is
-log σ(β (r_chosen - r_rejected)). The reference π_ref is the same model with the adapter off.

Shapes: B documents, N learned tokens, P pairs (B = 2P).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor

from lora_scripts.data.render import Document, halves
from lora_scripts.models.out_of_memory import in_batches
from lora_scripts.training.tasks import TextTask


@dataclass(slots=True)
class PreferenceTask:
    """The loss of equation 7 on pairs, each of them one document as ``data.render.joined`` makes it.

    A reference is computed once, for one pair at a time, so that its last bits do not depend on micro-batches: a
    resumed run goes on exactly. It is kept as long as the task, some 150 bytes a document.

    Attributes:
        model: Holds the adapter that is trained; off, it is the reference.
        text: How documents go through that model; its ``documents`` are the pairs.
        beta: β, how dearly the model pays for leaving the reference.
        accuracy: After ``evaluate``: the share of pairs whose chosen answer has the higher log-ratio.
        margin: After ``evaluate``: the mean of β (r_chosen - r_rejected), in nats.
    """

    model: PeftModel
    text: TextTask
    beta: float = 0.1
    accuracy: float | None = None
    margin: float | None = None
    _references: dict[bytes, float] = field(default_factory=dict, repr=False)

    @property
    def loss_scale(self) -> float:
        """1 but for float16."""
        return self.text.loss_scale

    def begin(self, step: int) -> None:
        """Nothing: dropout draws from torch's generator, which a checkpoint holds."""

    def count(self, micro_batch: Sequence[int]) -> int:
        """Pairs."""
        return len(micro_batch)

    def tokens(self, micro_batch: Sequence[int]) -> int:
        """Tokens of both documents of these pairs."""
        return self.text.tokens(micro_batch)

    def backward(self, micro_batch: Sequence[int], weight: float) -> float:
        """Add the gradient of these pairs, weighted; return their weighted summed loss."""
        documents = [half for i in micro_batch for half in halves(self.text.documents[i])]
        reference_B = self._reference(documents)
        with self.text.read_rows():
            loss = -F.logsigmoid(self._margins(documents, reference_B)).sum() * weight
            (loss * self.loss_scale).backward()  # type: ignore[no-untyped-call]
        return loss.item()

    @torch.no_grad()
    def evaluate(
        self, documents: Sequence[Document], batch_size: int, halved: Callable[[int], None] = lambda size: None
    ) -> tuple[float, int]:
        """Summed loss in nats and number of the pairs ``documents``, without dropout; as ``TextTask.evaluate``."""
        if not documents:  # the share of one rank may be empty
            return 0.0, 0
        order = sorted(documents, key=lambda pair: len(pair.input_ids))

        def margins_of(begin: int, end: int) -> Tensor:
            some = [half for pair in order[begin:end] for half in halves(pair)]
            reference_B = self._reference(some)
            with self.text.read_rows():
                return self._margins(some, reference_B)

        self.model.eval()
        try:
            margins_P = torch.cat(in_batches(len(order), batch_size, margins_of, halved))
        finally:
            self.model.train()
        self.accuracy = (margins_P > 0).float().mean().item()
        self.margin = margins_P.mean().item()
        return -F.logsigmoid(margins_P).sum().item(), len(order)

    def log_probabilities(self, documents: Sequence[Document]) -> Tensor:
        """log π of the learned tokens of each document, summed [B], in float32 nats. Within ``text.read_rows``."""
        losses_N = self.text.token_losses(documents)
        learned = torch.tensor([sum(d.loss_mask) for d in documents], device=losses_N.device)
        owners_N = torch.repeat_interleave(learned)
        return -losses_N.new_zeros(len(documents)).index_add(0, owners_N, losses_N)

    def _margins(self, documents: Sequence[Document], reference_B: Tensor) -> Tensor:
        """β (r_chosen - r_rejected) of each pair [P]."""
        ratios_B = self.log_probabilities(documents) - reference_B
        return self.beta * (ratios_B[0::2] - ratios_B[1::2])

    def _reference(self, documents: Sequence[Document]) -> Tensor:
        """log π_ref of each document [B], computed where it is not known yet; with neither adapter nor dropout."""
        keys = [_key(document) for document in documents]
        missing = [i for i in range(0, len(keys), 2) if not {keys[i], keys[i + 1]} <= self._references.keys()]
        if missing:
            self._compute([(keys[i : i + 2], documents[i : i + 2]) for i in missing])
        return torch.tensor([self._references[key] for key in keys], device=self.text.model.device)

    @torch.no_grad()
    def _compute(self, pairs: Iterable[tuple[Sequence[bytes], Sequence[Document]]]) -> None:
        was_training = self.model.training
        self.model.eval()
        try:
            with self.model.disable_adapter():
                for keys, documents in pairs:
                    with self.text.read_rows():
                        self._references.update(zip(keys, self.log_probabilities(documents).tolist(), strict=True))
        finally:
            self.model.train(was_training)


def _key(document: Document) -> bytes:
    """What the reference follows from: the ids, and which of them are learned."""
    seen = blake2b(array("i", document.input_ids).tobytes(), digest_size=16)
    seen.update(bytes(document.loss_mask))
    return seen.digest()
