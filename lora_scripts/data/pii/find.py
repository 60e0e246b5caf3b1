"""Personal data in Chinese text: which types there are, and where they stand.

Numbers with a check digit are found by it, other numbers by form and by the words around them; names and addresses
by context only, best effort. A public hotline (110, 12348, 400-…) or the number of an article is nobody's data.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from lora_scripts.data.pii.addresses import find_addresses
from lora_scripts.data.pii.codes import find_codes
from lora_scripts.data.pii.names import find_names
from lora_scripts.data.pii.numbers import find_numbers
from lora_scripts.data.pii.plain import KEYCAP, Found, plain_view
from lora_scripts.errors import ConfigError, problem

PII_TYPES = (
    "id_card",
    "phone",
    "landline",
    "email",
    "bank_card",
    "passport",
    "permit",
    "plate",
    "uscc",
    "case_no",
    "medical_no",
    "wechat",
    "qq",
    "ip",
    "mac",
    "amount",
    "name",
    "address",
)
# What training masks unless told otherwise; the others on request, best effort.
DEFAULT_TYPES = (
    "id_card",
    "phone",
    "email",
    "bank_card",
    "passport",
    "permit",
    "plate",
    "wechat",
    "qq",
    "medical_no",
)


@dataclass(frozen=True, slots=True)
class PiiSpan:
    """One piece of personal data: ``value`` is ``text[start:end]`` of the text as given."""

    start: int
    end: int
    type: str
    value: str


def check_types(types: Iterable[str] | None) -> frozenset[str]:
    """``types`` as a set; None is all.

    Raises:
        ConfigError: One of them is no type.
    """
    if types is None:
        return frozenset(PII_TYPES)
    wanted = [types] if isinstance(types, str) else list(types)
    unknown = [name for name in wanted if name not in PII_TYPES]
    if unknown:
        raise ConfigError(
            [problem("desensitize.unknown_type", name=str(name)[:40], known=" ".join(PII_TYPES)) for name in unknown]
        )
    return frozenset(wanted)


def find_pii(text: str, types: Iterable[str] | None = None) -> list[PiiSpan]:
    """Personal data in ``text``, in order, never overlapping; the more certain, then the longer one wins.

    Full-width and Chinese digits, invisible characters, and spaces, dots and dashes inside numbers are seen through;
    offsets are into ``text`` as given.

    Args:
        text: Any text.
        types: Some of ``PII_TYPES``; None is all.

    Raises:
        ConfigError: An unknown type.
    """
    wanted = frozenset(PII_TYPES) if types is None else check_types(types)
    plain, places = plain_view(text)
    found = [*find_numbers(plain, wanted), *find_codes(plain, wanted)]
    if "address" in wanted:
        found += find_addresses(plain)
    if "name" in wanted:
        found += find_names(plain)
    spans = []
    for start, end, kind, _ in _without_overlap(found):
        first, last = (start, end) if places is None else (places[start], places[end - 1] + 1)
        while places is not None and text[last : last + 1] in KEYCAP:
            last += 1
        spans.append(PiiSpan(first, last, kind, text[first:last]))
    return spans


def _without_overlap(found: list[Found]) -> list[Found]:
    taken: list[Found] = []
    for span in sorted(found, key=lambda s: (-s[3], s[0] - s[1], s[0])):
        at = bisect_left(taken, span[0], key=lambda s: s[0])
        free_left = at == 0 or taken[at - 1][1] <= span[0]
        free_right = at == len(taken) or span[1] <= taken[at][0]
        if free_left and free_right and span[0] < span[1]:
            taken.insert(at, span)
    return taken
