"""The simple engine: one answer after another by ``generate``.

For models that cannot be served in pages, for `chat`, and the measure by which the paged engine is judged: same layers,
same sampler, none of the library's batching.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, StoppingCriteriaList

from lora_scripts.messages import text
from lora_scripts.serve.engine.sampler import Writer, write
from lora_scripts.serve.engine.segments import Layout
from lora_scripts.serve.generation import FAILED, EngineDown, Event, Generation

log = logging.getLogger(__name__)


class SimpleEngine:
    """Answers in order of arrival."""

    name = "simple"

    def __init__(self, model: PreTrainedModel, layout: Layout, *, limit_tokens: int) -> None:
        longest = getattr(model.config.get_text_config(), "max_position_embeddings", None) or limit_tokens
        self.limit_tokens = min(int(longest), limit_tokens)
        self._model, self._layout = model, layout
        self._waiting: queue.SimpleQueue[Writer | None] = queue.SimpleQueue()
        self._writers: dict[str, Writer] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether its thread runs."""
        return not self._closing and self._thread.is_alive()

    def submit(self, generation: Generation) -> None:
        """Take a place in the queue.

        Raises:
            EngineDown: It was closed.
        """
        if not self.is_ready:
            raise EngineDown
        writer = self._writers[generation.id] = Writer(generation)
        self._waiting.put(writer)

    def cancel(self, generation_id: str) -> None:
        """Stop answering at the next token."""
        if (writer := self._writers.get(generation_id)) is not None:
            writer.is_over = True

    def figures(self) -> dict[str, float]:
        """Requests that run or wait."""
        return {"running": min(1, len(self._writers)), "waiting": max(0, len(self._writers) - 1)}

    def close(self) -> None:
        """End the thread; what still waits fails."""
        self._closing = True
        for writer in list(self._writers.values()):
            writer.tell(Event(None, FAILED, detail=text("serve.engine_down")))
            writer.is_over = True
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (writer := self._waiting.get()) is not None:
            try:
                if not writer.is_over:
                    self._answer(writer)
            except Exception as error:  # whatever it is, the next answer is another one
                log.exception("an answer failed")
                writer.tell(Event(None, FAILED, detail=str(error)[:200]))
            finally:
                self._layout.clear()
                self._writers.pop(writer.generation.id, None)

    @torch.no_grad()
    def _answer(self, writer: Writer) -> None:
        generation, device = writer.generation, self._model.device
        adapted = [(0, 1 << 30, generation.adapters)] if generation.adapters else []
        self._layout.arrange(adapted, 1 << 30, self._model.get_input_embeddings().weight)
        ids = torch.tensor([generation.prompt_ids], device=device)

        def choose(_ids: Tensor, logits_1V: Tensor) -> Tensor:
            """The library takes the largest logit: make it the one that was chosen."""
            logits_1V = logits_1V.clone()
            logits_1V[0, write(logits_1V, [writer])] = float("inf")
            return logits_1V

        def is_over(ids: Tensor, _scores: Any, **_more: Any) -> Tensor:
            return torch.full((ids.shape[0],), writer.is_over, device=ids.device)

        self._model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=GenerationConfig(
                max_new_tokens=generation.max_new_tokens, do_sample=False, eos_token_id=None, pad_token_id=0
            ),
            logits_processor=LogitsProcessorList([choose]),
            stopping_criteria=StoppingCriteriaList([is_over]),
        )
