"""Captions as they are shown in training: the trigger word in front, tags in another order, or none at all."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaptionRules:
    """What is done with a caption; ``dropout`` is the share that is shown without, ``keep`` tags stay in front."""

    trigger: str = ""
    dropout: float = 0.0
    shuffle: bool = False
    keep: int = 0


def tags_of(caption: str) -> list[str]:
    """The parts between commas, Chinese ones too."""
    return [tag for part in re.split(r"[,，]", caption) if (tag := part.strip())]


def with_trigger(caption: str, trigger: str) -> str:
    """``caption`` behind the trigger word, which comes once."""
    if not trigger or trigger in caption.split():
        return caption
    tags = tags_of(caption)
    if trigger in tags:
        return _comma(caption).join([trigger, *(tag for tag in tags if tag != trigger)])
    return f"{trigger}{_comma(caption)}{caption}" if caption else trigger


def shown_caption(caption: str, rules: CaptionRules, chance: random.Random) -> str:
    """What stands beside a picture this time. Always the same number of draws from ``chance``."""
    dropped, seed = chance.random() < rules.dropout, chance.random()
    if dropped:
        return ""
    whole = with_trigger(caption, rules.trigger)
    if not rules.shuffle:
        return whole
    tags = tags_of(whole)
    first = rules.keep + (tags[:1] == [rules.trigger])
    rest = tags[first:]
    random.Random(seed).shuffle(rest)
    return _comma(caption).join([*tags[:first], *rest])


def _comma(caption: str) -> str:
    return "，" if "，" in caption and "," not in caption else ", "
