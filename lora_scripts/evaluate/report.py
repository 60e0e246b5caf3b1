"""Base against adapter on the same held-out questions: the content of eval.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lora_scripts.data.records import Message
from lora_scripts.evaluate.copying import TrainingText, copied_shares, copy_rate
from lora_scripts.evaluate.measures import measure
from lora_scripts.evaluate.rules import broken_rules, read_rules


def comparison(
    *,
    questions: Sequence[tuple[str, str, str]],
    base_answers: Sequence[str],
    adapter_answers: Sequence[str],
    losses: Mapping[str, float | None],
    rules: Mapping[str, Any],
    prompts: Sequence[Sequence[Message]] = (),
    training: TrainingText | None = None,
    leaks: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The content of eval.json.

    Args:
        questions: (source, question, reference answer).
        base_answers: Of the base, in the same order.
        adapter_answers: Of the adapter.
        losses: Of ``base`` and ``adapter``, in nats a learned token over all validation records.
        rules: ``answer_rules``, as ``read_rules`` takes them.
        prompts: The whole conversation that asked each question, where it is more than the question.
        training: Training answers, to find copies of them.
        leaks: What ``leak.leaks`` found, by ``base`` and ``adapter``.

    Raises:
        ConfigError: The rules cannot be read.
    """
    references = [reference for _, _, reference in questions]
    asked = prompts or [(Message("user", question),) for _, question, _ in questions]
    told = ["\n".join(message.content for message in messages) for messages in asked]
    house = read_rules(rules)
    answers = {"base": base_answers, "adapter": adapter_answers}
    copied = {side: copied_shares(given, training, told) if training else [] for side, given in answers.items()}
    sides: dict[str, dict[str, Any]] = {}
    for side, given in answers.items():
        loss = losses.get(side)
        figures = {"loss": loss, "perplexity": math.exp(loss)} if loss is not None else {}
        sides[side] = {**figures, **measure(given, references, house)}
        if (rate := copy_rate(copied[side])) is not None:
            sides[side]["copy_rate"] = rate
        if leaks and side in leaks:
            sides[side]["leak"] = dict(leaks[side])
    entries = []
    for i, (source, question, reference) in enumerate(questions):
        entry: dict[str, Any] = {
            "source": source,
            "question": question,
            "messages": [{"role": message.role, "content": message.content} for message in asked[i]],
            "reference": reference,
            "base": base_answers[i],
            "adapter": adapter_answers[i],
        }
        if house.names:
            entry["broken"] = {side: broken_rules(given[i], house) for side, given in answers.items()}
        if training:
            entry["copied"] = {side: round(copied[side][i], 4) for side in answers}
        entries.append(entry)
    sampled = {"copy_runs_held": training.share} if training and training.share < 1 else {}
    return {"questions_asked": len(questions), "rules": dict(rules), **sides, **sampled, "answers": entries}
