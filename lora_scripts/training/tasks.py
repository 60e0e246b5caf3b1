"""What a task adds to the loop: how many tokens a micro-batch teaches, and its summed loss.

Shapes: T tokens of a flat row, B documents padded to L tokens, N learned tokens, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from lora_scripts.data.render import Document
from lora_scripts.models.attention import FlatRow
from lora_scripts.models.head import Head
from lora_scripts.models.last_layer import LastLayer
from lora_scripts.models.out_of_memory import in_batches
from lora_scripts.training.losses import cross_entropy, head_cross_entropy


class Task(Protocol):
    """What the loop asks of a kind of training.

    Gradients carry the factor ``loss_scale``, which keeps small ones representable in float16; the loop takes
    it out again.
    """

    @property
    def loss_scale(self) -> float:
        """1 but for float16."""
        ...

    def begin(self, step: int) -> None:
        """What is drawn at random from here on belongs to ``step``, also where a step is begun again."""
        ...

    def count(self, micro_batch: Sequence[int]) -> int:
        """Learned tokens (or pictures) of these records: what the summed loss is divided by."""
        ...

    def tokens(self, micro_batch: Sequence[int]) -> int:
        """All tokens of these records: what speed is stated in."""
        ...

    def backward(self, micro_batch: Sequence[int], weight: float) -> float:
        """Add the gradient of ``weight`` × summed loss; return that weighted loss."""
        ...


class Measured(Protocol):
    """A task that can be measured on documents."""

    def evaluate(self, documents: Sequence[Document], batch_size: int) -> tuple[float, int]:
        """Summed loss, and what to divide it by."""
        ...


def mean_loss(task: Measured, documents: Sequence[Document], batch_size: int) -> float:
    """Loss in nats a learned token (a pair, for preference data) over ``documents``, of which there is one at least."""
    total, count = task.evaluate(documents, batch_size)
    return total / count


@dataclass(slots=True)
class TextTask:
    """Next-token loss on the learned tokens of rendered documents.

    ``flat`` lays the documents of a micro-batch end to end without padding, for a model whose attention is
    set to ``models.attention.FLAT``; otherwise they are padded on the right. Flat, or with ``head``, the head runs at
    learned positions only.
    """

    model: PreTrainedModel
    documents: Sequence[Document]
    flat: bool
    head: Head | None = None
    last_layer: LastLayer | None = None
    pad_id: int = 0
    autocast: torch.dtype | None = None

    def begin(self, step: int) -> None:
        """Nothing: dropout draws from torch's generator, which a checkpoint holds."""

    def count(self, micro_batch: Sequence[int]) -> int:
        """Learned tokens of these documents."""
        return sum(sum(self.documents[i].loss_mask) for i in micro_batch)

    def tokens(self, micro_batch: Sequence[int]) -> int:
        """Tokens of these documents."""
        return sum(len(self.documents[i].input_ids) for i in micro_batch)

    def backward(self, micro_batch: Sequence[int], weight: float) -> float:
        """Add the gradient of these documents, weighted; return their weighted summed loss."""
        with self.read_rows():
            loss = self.loss_sum([self.documents[i] for i in micro_batch]) * weight
            (loss * self.loss_scale).backward()  # type: ignore[no-untyped-call]
        return loss.item()

    @contextmanager
    def read_rows(self) -> Iterator[None]:
        """For forward and backward pass of a loss: afterwards the model computes all rows again, also to answer."""
        try:
            yield
        finally:
            if self.last_layer:
                self.last_layer.read = None

    @property
    def loss_scale(self) -> float:
        """1 but for float16."""
        return 1024.0 if self.autocast == torch.float16 else 1.0

    @torch.no_grad()
    def evaluate(
        self, documents: Sequence[Document], batch_size: int, halved: Callable[[int], None] = lambda size: None
    ) -> tuple[float, int]:
        """Summed loss in nats and learned tokens over ``documents``, without dropout.

        Where memory runs out it goes on with half the batch, told to ``halved``.

        Raises:
            TrainError: One document alone does not fit.
        """
        order = sorted(documents, key=lambda d: len(d.input_ids))

        def loss_of(begin: int, end: int) -> float:
            with self.read_rows():
                return self.loss_sum(order[begin:end]).item()

        self.model.eval()
        try:
            total = sum(in_batches(len(order), batch_size, loss_of, halved))
        finally:
            self.model.train()
        return total, sum(sum(d.loss_mask) for d in documents)

    def loss_sum(self, documents: Sequence[Document]) -> Tensor:
        """Summed loss over the learned tokens of ``documents``; see ``token_losses``."""
        return self.token_losses(documents).sum()

    def token_losses(self, documents: Sequence[Document]) -> Tensor:
        """The loss at each learned token of ``documents``, in order [N]; they go through the model at once.

        Called within ``read_rows``.
        """
        device = self.model.device
        targets = [t for d in documents for t, learned in zip(d.input_ids, d.loss_mask, strict=True) if learned]
        targets_N = torch.tensor(targets, device=device)
        cast: AbstractContextManager[object] = (
            torch.autocast(device.type, self.autocast) if self.autocast else nullcontext()
        )
        with cast:
            inputs, rows, columns = self._flat_row(documents) if self.flat else self._padded_rows(documents)
            if self.last_layer and self.flat:
                self.last_layer.read = columns
            if self.head:
                hidden = self.model.base_model(**inputs, use_cache=False).last_hidden_state
                return head_cross_entropy(hidden[rows, columns], self.head, targets_N)
            if self.flat and "logits_to_keep" in inspect.signature(self.model.forward).parameters:
                logits_NV = self.model(**inputs, use_cache=False, logits_to_keep=columns).logits[0]
            else:
                logits_NV = self.model(**inputs, use_cache=False).logits[rows, columns]
            return cross_entropy(logits_NV, targets_N)

    def _flat_row(self, documents: Sequence[Document]) -> tuple[dict[str, Any], Tensor, Tensor]:
        """The model's arguments, and where in its output the learned tokens are predicted: rows and columns."""
        device = self.model.device
        lengths = [len(d.input_ids) for d in documents]
        ids_T = torch.tensor([t for d in documents for t in d.input_ids], device=device)
        positions_T = torch.cat([torch.arange(n) for n in lengths]).to(device)
        learned_T = [learned for d in documents for learned in d.loss_mask]
        before_N = torch.tensor([i - 1 for i, learned in enumerate(learned_T) if learned], device=device)
        row = FlatRow.of(lengths, device)
        inputs = {"input_ids": ids_T[None], "position_ids": positions_T[None], "flat": row}
        return inputs, torch.zeros_like(before_N), before_N

    def _padded_rows(self, documents: Sequence[Document]) -> tuple[dict[str, Any], Tensor, Tensor]:
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
        inputs = {"input_ids": ids_BL.to(device), "attention_mask": mask_BL.to(device)}
        return inputs, torch.tensor(rows, device=device), torch.tensor(columns, device=device)
