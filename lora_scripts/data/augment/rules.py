"""Growing a small set: more ways to ask what it already answers. Answers are never changed.

Each variant names the record that it came from and what made it, is written as ``synthetic`` and counted; what
was made and not used is counted with its reason. Variants by rules are here, those of a model that the user
names in ``augment_endpoint.py``; both pass the same test of faithfulness (`unfaithful`).
"""

from __future__ import annotations

import json
import os
import random
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from lora_scripts.data.augment.wordings import language_of, wordings
from lora_scripts.data.clean import normal
from lora_scripts.data.records import Message, Record
from lora_scripts.errors import DataError, UsageError
from lora_scripts.messages import text

RULES = "rules"
_TRIES = 20  # wordings drawn for each variant that is wanted

# Words that hold a numeral or a negation and say neither.
_NOT_A_NUMBER = re.compile("一[下直定样般些起旦切律向共概致边]|万一|统一|唯一|第一时间|十分|千万别")
_NOT_A_NEGATION = re.compile(
    r"(.)[不没]\1|是否|能否|可否|有无|非常|别人|[特区分级个类告性辨差]别|否则|不过|不仅|不但|不好意思|不同|无论|不管"
)
_NEGATION = re.compile(
    r"[不没未无非别勿莫否]|\b(?:no|not|never|none|nothing|nobody|nor|neither|without|cannot|unless)\b|n['’]t\b", re.I
)
_NUMBER = re.compile(
    r"\d+(?:[.,:：/-]\d+)*%?|[零〇一二两三四五六七八九十百千万亿壹贰叁肆伍陆柒捌玖拾佰仟半]+"
    r"|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|half|dozen|hundred|thousand)\b",
    re.IGNORECASE,
)
_CITATION = re.compile(
    r"《[^《》]+》|第\s*[\d零〇一二两三四五六七八九十百千]+\s*[条款项章节编]"
    r"|(?:§+|\b(?:article|section|art\.|sec\.|clause))\s*\d+(?:[.(][\w.()]*\w\)?)?",
    re.IGNORECASE,
)
_MASK = re.compile(r"\[[^\[\]\n]{1,24}\]|【[^【】\n]{1,24}】|\S+@\S+|\w+://\S+")
_LATIN = re.compile(r"[A-Za-z][A-Za-z0-9+._-]*")
_CAPITAL = re.compile(r"(?<![.?!:] )(?<!^)\b(?!I\b|I['’])[A-Z][\w-]*")
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆"
    "范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔"
)
_PERSON = re.compile(f"[{_SURNAMES}](?:某+[甲乙丙丁]?|先生|女士|小姐|师傅)|[老小][{_SURNAMES}](?=[，,。的说])")


@dataclass(frozen=True, slots=True)
class Variant:
    """A record with its first question asked otherwise: ``source`` is where the record stands, ``by`` what made it
    (``rules`` or ``endpoint:<model>``)."""

    messages: tuple[Message, ...]
    source: str
    by: str


@dataclass(slots=True)
class Growth:
    """The account of a growing: variants made by whom, refused for which reason, records that gave too few.

    ``masked`` counts questions that held personal data; ``seen`` are the questions that no variant may repeat.
    """

    made: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    short: int = 0
    masked: int = 0
    seen: set[str] = field(default_factory=set)

    def refuse(self, reason: str, count: int = 1) -> None:
        """Count what is not used; ``augment.reason.<reason>`` has the words."""
        self.refused[reason] += count


def augment_records(
    records: Sequence[Record],
    *,
    per_record: int,
    seed: int = 0,
    addressees: Sequence[str] = (),
    growth: Growth | None = None,
) -> Iterator[Variant]:
    """Up to ``per_record`` variants of each record by rules: opening, closing, word order, tone, typing habits.

    Of a conversation only the first question varies. A question's variants follow from its words and ``seed``
    alone, wherever it stands.

    Args:
        records: Originals; synthetic ones among them are passed over.
        per_record: Wanted number for each; fewer where the rules have no more.
        seed: Another seed, other variants.
        addressees: Whom the asker may address, as ``律师`` or ``Doctor``; none is invented.
        growth: Is filled. Pass the same one to `ask_endpoint`, and both repeat nothing of each other's.
    """
    account = growth if growth is not None else Growth()
    for record in originals(records, account):
        question = record.question
        rng = random.Random(f"{seed}\0{question}")
        drawn = {question}
        made = 0
        for words in islice(wordings(question, rng, addressees), _TRIES * per_record):
            if words in drawn:
                continue
            drawn.add(words)
            told = _without(words, [who for who in addressees if who not in question])
            if reason := unfaithful(question, told) or ("duplicate" if normal(words) in account.seen else ""):
                account.refuse(reason)
                continue
            made += 1
            yield variant_of(record, words, RULES, account)
            if made == per_record:
                break
        account.short += made < per_record


def originals(records: Sequence[Record], growth: Growth) -> Iterator[Record]:
    """The records that can be varied; the others are counted. All their questions are known before the first is."""
    growth.seen.update(normal(record.question) for record in records)
    for record in records:
        if record.synthetic:
            growth.refuse("synthetic")
        elif not language_of(record.question):
            growth.refuse("other_language")
        else:
            yield record


def variant_of(record: Record, question: str, by: str, growth: Growth) -> Variant:
    """``record`` with its first question replaced, counted in ``growth``."""
    first = next(i for i, message in enumerate(record.messages) if message.role == "user")
    asked = Message("user", question)
    growth.made[by] += 1
    growth.seen.add(normal(question))
    return Variant((*record.messages[:first], asked, *record.messages[first + 1 :]), record.source, by)


def unfaithful(question: str, words: str) -> str:
    """Which facts of ``question`` the wording ``words`` changes: ``citations``, ``numbers``, ``names``, ``negation``,
    or nothing.

    Numbers, citations, masked places and names must be the same, in any order; of negations only that there
    are some. Chinese names are known by surname and title, Latin words in Chinese text and capitals in English
    count as names.
    """
    if _counted(_CITATION, question) != _counted(_CITATION, words):
        return "citations"
    if _counted(_NUMBER, question) != _counted(_NUMBER, words):
        return "numbers"
    if not _same_names(question, words):
        return "names"
    if _denies(question) != _denies(words):
        return "negation"
    return ""


def _counted(pattern: re.Pattern[str], words: str) -> Counter[str]:
    found = pattern.findall(_NOT_A_NUMBER.sub("\0", words))
    return Counter("".join(one.split()).casefold() for one in found)


def _same_names(question: str, words: str) -> bool:
    if any(set(known.findall(question)) != set(known.findall(words)) for known in (_MASK, _PERSON)):
        return False
    one, other = (_MASK.sub("\0", said) for said in (question, words))
    if language_of(question) == "zh":
        return _counted(_LATIN, one) == _counted(_LATIN, other)
    # a capital at the head of a sentence says nothing, and the head moves
    heard, said = ({word.casefold() for word in re.findall(r"[\w-]+", side)} for side in (one, other))
    return all(word.casefold() in said for word in _CAPITAL.findall(one)) and all(
        word.casefold() in heard for word in _CAPITAL.findall(other)
    )


def _without(words: str, some: Sequence[str]) -> str:
    for one in some:
        words = words.replace(one, "")
    return words


def _denies(words: str) -> bool:
    return bool(_NEGATION.search(_NOT_A_NEGATION.sub("", words)))


def write_augmented(path: Path, variants: Iterable[Variant], growth: Growth) -> int:
    """Write ``variants`` as JSONL, whole or not at all, never over a file; returns how many.

    A line is ``{"messages": [...], "synthetic": true, "source": "file:line", "by": …}``; readers know by
    ``synthetic`` that it must not validate.

    Raises:
        UsageError: The file exists or cannot be written.
        DataError: Not one variant was made; no file is left.
    """
    if path.exists():
        raise UsageError("augment.exists", where=path)
    temporary = None
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            for variant in variants:
                file.write(_line(variant) + "\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        if count:
            _place(temporary, path)
    except OSError as e:
        raise UsageError("augment.cannot_write", where=path, reason=e.strerror or str(e)) from e
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    if not count:
        raise DataError("augment.nothing_made", where=path, reasons="; ".join(summary_lines(growth)))
    return count


def _line(variant: Variant) -> str:
    messages = [{"role": message.role, "content": message.content} for message in variant.messages]
    told = {"messages": messages, "synthetic": True, "source": variant.source, "by": variant.by}
    return json.dumps(told, ensure_ascii=False)


def _place(temporary: Path, path: Path) -> None:
    """Give the finished file its name, unless another took it meanwhile."""
    try:
        os.link(temporary, path)
    except OSError as e:  # taken, or a file system without hard links
        if path.exists():
            raise UsageError("augment.exists", where=path) from e
        temporary.rename(path)


def summary_lines(growth: Growth) -> list[str]:
    """What was made, refused and why, in the user's language."""
    lines = [
        text("augment.made", count=count, by=text("augment.by_rules") if by == RULES else by)
        for by, count in sorted(growth.made.items())
    ]
    for reason, count in growth.refused.most_common():
        lines.append(text("augment.refused", count=count, reason=text(f"augment.reason.{reason}")))
    if growth.short:
        lines.append(text("augment.short", count=growth.short))
    if growth.masked:
        lines.append(text("augment.masked", count=growth.masked))
    return lines
