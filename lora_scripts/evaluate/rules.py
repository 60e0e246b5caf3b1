"""House rules: what every answer must keep, whatever it is about."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_scripts.data.reading.encodings import decode
from lora_scripts.errors import ConfigError, DataError, Problem, problem

RULES = ("opening", "disclaimer", "forbidden", "min_length", "max_length", "statutes")

_NUMERAL = "[0-9零〇○一二三四五六七八九十百千万两]+"
_ARTICLE = rf"第\s*(?P<article>{_NUMERAL})\s*条(?:\s*之\s*(?P<sub>{_NUMERAL}))?"
_ARTICLE += rf"(?:\s*第\s*(?P<paragraph>{_NUMERAL})\s*款)?"
# what may stand between the name of a law and the article: the year of the version, a word of connection
_CITED_LAW = re.compile(rf"《(?P<law>[^《》]{{1,80}})》\s*(?:\([^()]{{0,20}}\))?\s*的?\s*(?={_ARTICLE})")
_CITED = re.compile(_ARTICLE)
_NEXT_CITED = re.compile(
    rf"(?:\s*第\s*{_NUMERAL}\s*[款项目])*\s*(?:、|和|与|及|以及|或|或者|,)\s*(?=第\s*{_NUMERAL}\s*条)"
)
_NAME = re.compile(
    rf"《(?P<marked>[^《》]{{1,80}})》\s*(?:\([^()]{{0,20}}\))?|(?P<bare>[^《》]{{1,80}}?)(?=\s*第\s*{_NUMERAL}\s*条|\s*$)"
)
_TO = re.compile(r"\s*[至到~—-]+\s*")
_VERSION = re.compile(r"\(\d{4}[^()]*\)$")
_DIGIT = {word: value for value, words in enumerate(("零〇○0", *"一二三四五六七八九")) for word in words} | {"两": 2}
_UNIT = {"十": 10, "百": 100, "千": 1000}

# (law, article, 之…, paragraph); 0 stands for no 之 and for the whole article
Citation = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Statutes:
    """What may be cited: ``whole`` laws, articles of others, each with the paragraphs that were listed (0: any)."""

    whole: frozenset[str]
    articles: Mapping[tuple[str, int, int], frozenset[int]]

    def hold(self, citation: Citation) -> bool:
        """Whether the citation is in the list; a bare article is, where a paragraph of it is."""
        law, article, sub, paragraph = citation
        listed = self.articles.get((law, article, sub), frozenset())
        return law in self.whole or (bool(listed) and (not paragraph or 0 in listed or paragraph in listed))


@dataclass(frozen=True, slots=True)
class HouseRules:
    """Rules ready for use; lengths are in characters, 0 for no bound."""

    opening: re.Pattern[str] | None = None
    disclaimer: str = ""
    forbidden: Mapping[str, re.Pattern[str]] | None = None
    min_length: int = 0
    max_length: int = 0
    statutes: Statutes | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rules that are set, in the order of ``RULES``."""
        return tuple(name for name in RULES if getattr(self, name))


def read_rules(rules: Mapping[str, Any]) -> HouseRules:
    """``answer_rules`` ready for use.

    Args:
        rules: ``opening`` (regular expression that an answer starts with), ``disclaimer`` (text that must occur),
            ``forbidden`` (words or phrases), ``min_length``, ``max_length`` (characters), ``statutes`` (path of a list
            of what may be cited, see ``read_statutes``).

    Raises:
        ConfigError: A rule that does not exist, lengths that no answer can have, or a list that cannot be read.
    """
    unknown = [name for name in rules if name not in RULES]
    if unknown:
        raise ConfigError("evaluate.unknown_rule", where="answer_rules", name=unknown[0], known=" ".join(RULES))
    least, most = int(rules.get("min_length") or 0), int(rules.get("max_length") or 0)
    if most and least > most:
        raise ConfigError("evaluate.lengths_crossed", where="answer_rules", least=least, most=most)
    words = rules.get("forbidden") or ()
    return HouseRules(
        opening=re.compile(rules["opening"]) if rules.get("opening") else None,
        disclaimer=rules.get("disclaimer") or "",
        forbidden={word: _word(word) for word in ([words] if isinstance(words, str) else words)},
        min_length=least,
        max_length=most,
        statutes=read_statutes(rules["statutes"]) if rules.get("statutes") else None,
    )


def broken_rules(answer: str, rules: HouseRules) -> dict[str, str]:
    """The rules that ``answer`` breaks: name, and by what (the word, the citation, the length)."""
    broken = {}
    if rules.opening and not rules.opening.match(answer):
        broken["opening"] = answer[:20]
    if rules.disclaimer and "".join(_plain(rules.disclaimer).split()) not in "".join(_plain(answer).split()):
        broken["disclaimer"] = rules.disclaimer
    plain = " ".join(_plain(answer).split())
    if said := [word for word, pattern in (rules.forbidden or {}).items() if pattern.search(plain)]:
        broken["forbidden"] = " ".join(said)
    length = len(answer.strip())
    if length < rules.min_length:
        broken["min_length"] = str(length)
    if rules.max_length and length > rules.max_length:
        broken["max_length"] = str(length)
    if rules.statutes:
        strange = [words for citation, words in citations(answer) if not rules.statutes.hold(citation)]
        if strange:
            broken["statutes"] = " ".join(dict.fromkeys(strange))
    return broken


def citations(text: str) -> list[tuple[Citation, str]]:
    """Every ``《…》第…条(第…款)`` of ``text``, and how to write it; ``《…》第三条、第五条`` are two.

    An article whose law stands elsewhere (该法第三条) cannot be looked up and is not one.
    """
    found = []
    plain = unicodedata.normalize("NFKC", text)
    for law in _CITED_LAW.finditer(plain):
        place: int | None = law.end()
        while place is not None and (article := _CITED.match(plain, place)):
            found.append((_citation(law["law"], article), f"《{law['law'].strip()}》{''.join(article[0].split())}"))
            more = _NEXT_CITED.match(plain, article.end())
            place = more.end() if more else None
    return found


def read_statutes(path: str | Path) -> Statutes:
    """A list of what may be cited: a law or article a line.

    ``《劳动合同法》第十条`` allows the article with all its paragraphs, ``…第十条第一款`` this paragraph,
    ``《劳动合同法》第一条至第九十八条`` a stretch of articles, and a name alone (with 《》 or without) the whole law.
    Arabic and Chinese numerals are the same, 中华人民共和国 before a name and the year behind it do not count. Empty
    lines and lines that begin with ``#`` are passed over.

    Raises:
        ConfigError: The file cannot be read, is empty, or has a line that names no law.
    """
    try:
        lines = decode(Path(path).expanduser().read_bytes(), str(path)).text.splitlines()
    except OSError as error:
        raise ConfigError("evaluate.statutes_unreadable", where=path, reason=error.strerror or error) from None
    except DataError as error:
        raise ConfigError(error.problems) from None
    whole: set[str] = set()
    articles: dict[tuple[str, int, int], set[int]] = {}
    wrong: list[Problem] = []
    for number, raw in enumerate(lines, 1):
        line = unicodedata.normalize("NFKC", raw).strip()
        if not line or line.startswith("#"):
            continue
        listed = _listed(line)
        if listed is None:
            wrong.append(problem("evaluate.statute_line", f"{path}:{number}", line=line[:60]))
        elif isinstance(listed, str):
            whole.add(listed)
        else:
            for law, article, sub, paragraph in listed:
                articles.setdefault((law, article, sub), set()).add(paragraph)
    if wrong:
        raise ConfigError(wrong)
    if not whole and not articles:
        raise ConfigError("evaluate.statutes_empty", where=path)
    return Statutes(frozenset(whole), {key: frozenset(listed) for key, listed in articles.items()})


def _listed(line: str) -> str | list[Citation] | None:
    """A line of the list: a whole law, articles of one, or neither."""
    name = _NAME.match(line)
    if not name or _CITED.match(line):
        return None
    law, rest = name["marked"] or name["bare"], line[name.end() :].strip()
    if not rest:
        return _law(law)
    first = _CITED.match(rest)
    if not first:
        return None
    start = _citation(law, first)
    if first.end() == len(rest):
        return [start]
    to = _TO.match(rest, first.end())
    last = _CITED.fullmatch(rest, to.end()) if to else None
    if not last or last["paragraph"] or last["sub"] or start[2] or start[3]:
        return None
    return [(start[0], article, 0, 0) for article in range(start[1], _number(last["article"]) + 1)] or None


def _citation(law: str, article: re.Match[str]) -> Citation:
    sub, paragraph = (_number(article[part]) if article[part] else 0 for part in ("sub", "paragraph"))
    return _law(law), _number(article["article"]), sub, paragraph


def _law(name: str) -> str:
    return _VERSION.sub("", "".join(name.split())).removeprefix("中华人民共和国")


def _number(words: str) -> int:
    """``47`` of 47, 四十七 or 四七."""
    if words.isdigit() and words.isascii():
        return int(words)
    if not any(word in _UNIT or word == "万" for word in words):
        return int("".join(str(_DIGIT.get(word, word)) for word in words))
    whole = part = digit = 0
    for word in words:
        if word == "万":
            whole, part, digit = (whole + part + digit) * 10_000, 0, 0
        elif word in _UNIT:
            part, digit = part + (digit or 1) * _UNIT[word], 0
        else:
            digit = _DIGIT[word] if word in _DIGIT else 10 * digit + int(word)
    return whole + part + digit


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _word(word: str) -> re.Pattern[str]:
    """``word`` in plain text; one of Latin letters only where no letter or digit touches it."""
    plain = " ".join(_plain(word).split())
    front = r"(?<![a-z0-9])" if re.match("[a-z0-9]", plain) else ""
    back = r"(?![a-z0-9])" if re.search("[a-z0-9]$", plain) else ""
    return re.compile(front + re.escape(plain) + back)
