"""Base against adapter on the same held-out questions: the content of eval.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lora_scripts.evaluate.measures import measure


def comparison(
    *,
    questions: Sequence[tuple[str, str, str]],
    base_answers: Sequence[str],
    adapter_answers: Sequence[str],
    losses: Mapping[str, float | None],
    rules: Mapping[str, str],
) -> dict[str, Any]:
    """The content of eval.json. ``questions`` are (source, question, reference answer).

    ``losses`` has ``base`` and ``adapter``: nats a learned token over all validation records.
    """
    references = [reference for _, _, reference in questions]
    sides = {}
    for name, answers in (("base", base_answers), ("adapter", adapter_answers)):
        loss = losses.get(name)
        figures = {"loss": loss, "perplexity": math.exp(loss)} if loss is not None else {}
        sides[name] = {**figures, **measure(answers, references, rules)}
    return {
        "questions_asked": len(questions),
        "rules": dict(rules),
        **sides,
        "answers": [
            {"source": source, "question": question, "reference": reference, "base": before, "adapter": after}
            for (source, question, reference), before, after in zip(
                questions, base_answers, adapter_answers, strict=True
            )
        ],
    }
