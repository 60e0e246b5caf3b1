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
    """``caption`` behind the trigger word, which comes once: within a phrase ("my sks dog") it stays where it is."""
    tags = tags_of(caption)
    if not trigger or (tags[:1] == [trigger] and tags.count(trigger) == 1):
        return caption
    if trigger in tags:
        return _comma(caption).join([trigger, *(tag for tag in tags if tag != trigger)])
    if holds_trigger(caption, trigger):
        return caption
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
    own = tags_of(rules.trigger)
    first = rules.keep + (len(own) if tags[: len(own)] == own else 0)
    loose = [i for i in range(first, len(tags)) if not holds_trigger(tags[i], rules.trigger)]
    order = random.Random(seed).sample(loose, len(loose))
    places = dict(zip(loose, order, strict=True))
    return _comma(caption).join(tags[places.get(i, i)] for i in range(len(tags)))


def holds_trigger(words: str, trigger: str) -> bool:
    """Whether the trigger word stands in a text as a word of its own; Chinese is not parted into words."""
    if not trigger.isascii():
        return trigger in words
    return bool(trigger) and re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", words, re.ASCII) is not None


def _comma(caption: str) -> str:
    return "，" if "，" in caption and "," not in caption else ", "
