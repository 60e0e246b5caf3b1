"""What a task adds to the loop: how many tokens a micro-batch teaches, and its summed loss.

Shapes: T tokens of a flat row, B documents padded to L tokens, N learned tokens, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from lora_scripts.data.render import Document
from lora_scripts.models.attention import FlatRow
from lora_scripts.training.losses import summed_cross_entropy


class Task(Protocol):
    """What the loop asks of a kind of training.

    Gradients carry the factor ``loss_scale``, which keeps small ones representable in float16; the loop takes
    it out again.
    """

    @property
    def loss_scale(self) -> float:
        """1 but for float16."""
        ...

    def count(self, micro_batch: Sequence[int]) -> int:
        """Learned tokens (or elements) of these records: what the summed loss is divided by."""
        ...

    def tokens(self, micro_batch: Sequence[int]) -> int:
        """All tokens of these records: what speed is stated in."""
        ...

    def backward(self, micro_batch: Sequence[int], weight: float) -> float:
        """Add the gradient of ``weight`` × summed loss; return that weighted loss."""
        ...


@dataclass(slots=True)
class TextTask:
    """Next-token loss on the learned tokens of rendered documents.

    ``flat`` lays the documents of a micro-batch end to end without padding, for a model whose attention is
    set to ``models.attention.FLAT``; otherwise they are padded on the right. Either way the head runs at learned
    positions only.
    """

    model: PreTrainedModel
    documents: Sequence[Document]
    flat: bool
    pad_id: int = 0
    autocast: torch.dtype | None = None

    def count(self, micro_batch: Sequence[int]) -> int:
        """Learned tokens of these documents."""
        return sum(sum(self.documents[i].loss_mask) for i in micro_batch)

    def tokens(self, micro_batch: Sequence[int]) -> int:
        """Tokens of these documents."""
        return sum(len(self.documents[i].input_ids) for i in micro_batch)

    def backward(self, micro_batch: Sequence[int], weight: float) -> float:
        """Add the gradient of these documents, weighted; return their weighted summed loss."""
        loss = self.loss_sum([self.documents[i] for i in micro_batch]) * weight
        (loss * self.loss_scale).backward()  # type: ignore[no-untyped-call]
        return loss.item()

    @property
    def loss_scale(self) -> float:
        """1 but for float16."""
        return 1024.0 if self.autocast == torch.float16 else 1.0

    @torch.no_grad()
    def evaluate(self, documents: Sequence[Document], batch_size: int) -> tuple[float, int]:
        """Summed loss in nats and learned tokens over ``documents``, without dropout."""
        self.model.eval()
        order = sorted(documents, key=lambda d: len(d.input_ids))
        total = 0.0
        for i in range(0, len(order), batch_size):
            total += self.loss_sum(order[i : i + batch_size]).item()
        self.model.train()
        return total, sum(sum(d.loss_mask) for d in documents)

    def loss_sum(self, documents: Sequence[Document]) -> Tensor:
        """Summed loss over the learned tokens of ``documents``, which go through the model at once."""
        device = self.model.device
        cast: AbstractContextManager[object] = (
            torch.autocast(device.type, self.autocast) if self.autocast else nullcontext()
        )
        with cast:
            logits_NV = self._flat_logits(documents) if self.flat else self._padded_logits(documents)
        targets = [t for d in documents for t, learned in zip(d.input_ids, d.loss_mask, strict=True) if learned]
        return summed_cross_entropy(logits_NV, torch.tensor(targets, device=device))

    def _flat_logits(self, documents: Sequence[Document]) -> Tensor:
        device = self.model.device
        lengths = [len(d.input_ids) for d in documents]
        ids_T = torch.tensor([t for d in documents for t in d.input_ids], device=device)
        positions_T = torch.cat([torch.arange(n) for n in lengths]).to(device)
        learned_T = [learned for d in documents for learned in d.loss_mask]
        before_N = torch.tensor([i - 1 for i, learned in enumerate(learned_T) if learned], device=device)
        out = self.model(
            input_ids=ids_T[None],
            position_ids=positions_T[None],
            flat=FlatRow.of(lengths, device),
            use_cache=False,
            logits_to_keep=before_N,
        )
        return out.logits[0]  # type: ignore[no-any-return]

    def _padded_logits(self, documents: Sequence[Document]) -> Tensor:
        device = self.model.device
        longest = max(len(d.input_ids) for d in documents)
        ids_BL = torch.full((len(documents), longest), self.pad_id)
        mask_BL = torch.zeros_like(ids_BL)
        rows, columns = [], []
        for row, document in enumerate(documents):
            ids_BL[row, : len(document.input_ids)] = torch.tensor(document.input_ids)
            mask_BL[row, : len(document.input_ids)] = 1
            before = [i - 1 for i, learned in enumerate(document.loss_mask) if learned]
            rows += [row] * len(before)
            columns += before
        kept = sorted(set(columns))
        places = torch.searchsorted(torch.tensor(kept), torch.tensor(columns))
        more = {"logits_to_keep": torch.tensor(kept, device=device)} if keeps_logits(self.model) else {}
        out = self.model(input_ids=ids_BL.to(device), attention_mask=mask_BL.to(device), use_cache=False, **more)
        picked = places if more else torch.tensor(columns)
        return out.logits[torch.tensor(rows, device=device), picked.to(device)]  # type: ignore[no-any-return]


def keeps_logits(model: PreTrainedModel) -> bool:
    """Whether the model can run its head at chosen positions only; flat rows need it."""
    return "logits_to_keep" in inspect.signature(model.forward).parameters
