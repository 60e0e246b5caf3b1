"""Whether a text asks something."""

from __future__ import annotations

import re

_ASKS = re.compile(
    r"[?？]|吗|呢|怎么|怎样|如何|什么|为何|啥|哪|多少|多久|几(?:个|点|天|年|次|号|楼|岁|时)|能否|能不能|是否|可否|可不可以|有没有"
    r"|可以.{0,8}不|(?:^|[.!,;:]\s+|\n)\W*(?:what|how|why|when|where|who|which|can|could|is|are|do|does|should|may|will)\b",
    re.IGNORECASE,
)


def asks(text: str) -> bool:
    """Whether a text holds a word or a sign of a question."""
    return bool(_ASKS.search(text))


def ends_asking(text: str) -> bool:
    """Whether a text ends with a question mark."""
    return text.rstrip(" \t\n”\"')）*_").endswith(("?", "？"))
