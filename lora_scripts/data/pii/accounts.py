"""Detectors for accounts: e-mail, WeChat, QQ, also as people write them past a filter (zhang#qq.com, 加薇, Q：).

Where a form alone says too little, the word in front of it decides. RFC 5321 gives the lengths of an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lora_scripts.data.pii.plain import Found, after, before

_DOMAIN = r"(?:[A-Za-z0-9\-]{1,63}(?:\.| ?[(\[](?:dot|点)[)\]] ?)){1,6}[A-Za-z]{2,24}"
_AT = re.compile(rf" ?(?:@|[(\[](?:at|AT|At|艾特)[)\]]) ?(?P<domain>{_DOMAIN})(?![A-Za-z0-9])")
_LOCAL_PART = re.compile(r"[A-Za-z0-9._%+\-]{1,64}$")
_DOT = r"(?:[.。]| ?[(\[](?:dot|点)[)\]] ?| dot | ?点 ?)"
_TOP_DOMAIN = "com|cn|net|org|edu|gov|info|io|me|cc|hk|tw|top|xyz|vip"
_SPELT_AT = re.compile(
    rf"(?P<sign>#| at | ?艾特 ?|@)(?P<domain>[A-Za-z0-9\-]{{1,63}}(?:{_DOT}[A-Za-z0-9\-]{{1,63}}){{0,3}}{_DOT}"
    rf"(?:{_TOP_DOMAIN}))(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_MAIL_AHEAD = re.compile(r"(?:邮箱|邮件|e-?mail|mail)(?:地址|address)?(?:是|为| is)?[ :]{0,3}$", re.IGNORECASE)
_MAIL_HOST = re.compile(
    "(?:gmail|qq|vip.qq|163|126|139|189|outlook|hotmail|foxmail|sina|yahoo|icloud|sohu|aliyun|yeah)[.]", re.IGNORECASE
)
_BEFORE_AT_WORDS = """
look looking meet me us it is are be available only found here visit see live shop read more out
"""
_BEFORE_AT = frozenset(_BEFORE_AT_WORDS.split())
_MAY_BE_SPELT = re.compile("[#@]| (?:at|AT|At) |艾特")
_WXID = re.compile(r"wxid_(?<![A-Za-z0-9_].{5})[a-z0-9]{6,24}(?![A-Za-z0-9_])")
_Q = re.compile(r"[Qq](?P<link>号[: 是为]{0,2}|[:=] ?| )(?P<id>[1-9][0-9]{4,10})(?![0-9A-Za-z@])")
_PENGUIN = re.compile(r"(?:扣(?<![一-鿿].)|企鹅)号?[: ]{1,2}(?P<id>[1-9][0-9]{4,10})(?![0-9A-Za-z@])")
_CONTACT_AHEAD = re.compile("(?:联系方式|联系|有事|咨询|加|或|我) ?$")
_Q_ALONE = re.compile("(?:^|[^A-Za-z0-9一-鿿.])$")
_GOES_ON = re.compile(r"[一-鿿.%*+/=\-]")
_ANSWER_BELOW = re.compile(r"[^\n]{0,8}(?:[?]|\n\s{0,2}(?:A|答)[:.])")
_ID = (
    r"(?P<link>(?:同号|账号|账户|帐号|昵称|名称|[ :;=是为号码名ID加我搜索查找联系请您\"'“「(（【\-]){0,10}?)"
    r"(?P<id>[A-Za-z][A-Za-z0-9_\-]{5,19}|[1-9][0-9]{5,11})(?![A-Za-z0-9_@]|\.[A-Za-z]|-[0-9])"
)
_WECHAT = re.compile(
    r"(?:微信|微 信|薇信|威信|徽信|[威薇]芯|V信|绿泡泡|(?<![A-Za-z0-9_])(?:wechat|weixin|wx|vx)(?![A-Za-z0-9_]))" + _ID,
    re.IGNORECASE,
)
# Each alternative begins with one character, so that the search is fast.
_WECHAT_SPELT = re.compile(
    r"(?:加 ?(?:[薇徽葳微](?!信)|[Vv](?=[ :号]))|\+ ?(?:[薇徽葳微](?!信)|[Vv](?=[ :号A-Za-z]))"
    r"|➕ ?(?:[薇徽葳微](?!信)|[Vv](?=[ :号A-Za-z]))|薇(?=号?:)|葳(?=号?:)"
    r"|V(?<![A-Za-z0-9].)(?=号?:)|v(?<![A-Za-z0-9].)(?=号?:))" + _ID
)
_BRANDS_WORDS = """
wechat weixin windows android iphone harmony payment wechatpay alipay official account
"""
_BRANDS = frozenset(_BRANDS_WORDS.split())
_BRAND = re.compile(
    "iphone|ipad|android|windows|huawei|xiaomi|redmi|oppo|vivo|honor|harmony|macos|ios|version", re.IGNORECASE
)
_QQ = re.compile(
    r"(?:(?<![A-Za-z])QQ(?![A-Za-z])|扣扣|企鹅号|球球)(?:账号|帐号|号码|群号|联系|空间|群|号)?"
    r"[ .:=是为#\"'“「(加我]{0,4}(?P<id>[1-9][0-9](?: ?[0-9]){3,9})(?![0-9A-Za-z@]|\.[0-9]|[万亿]?元)",
    re.IGNORECASE,
)


def find_emails(text: str) -> Iterator[Found]:
    """Addresses of mail in plain text."""
    if "@" in text or "at]" in text.lower() or "at)" in text.lower() or "艾特" in text:
        yield from _emails(text)
    if _MAY_BE_SPELT.search(text):
        yield from _spelt_emails(text)


def _emails(text: str) -> Iterator[Found]:
    """From each @ outwards, so that a long run of letters costs nothing."""
    for sign in _AT.finditer(text):
        local = _LOCAL_PART.search(text, max(0, sign.start() - 64), sign.start())
        if local is None:
            continue
        start = sign.start() - len(local[0].lstrip(".%+-"))
        # "a @ b.cn" is an address, "see @ user.name" hardly: spaces only where a mail domain is plain to see.
        if sign[0][:1] == " " and not re.search(r"com|cn|net|org|edu|gov|qq|163|126", sign["domain"]):
            continue
        if start < sign.start():
            yield start, sign.end(), "email", 92


def _spelt_emails(text: str) -> Iterator[Found]:
    """Addresses with # or a word in place of @, or a word in place of a dot."""
    for sign in _SPELT_AT.finditer(text):
        local = _LOCAL_PART.search(text, max(0, sign.start() - 64), sign.start())
        name = local[0].lstrip(".%+-") if local else ""
        start = sign.start() - len(name)
        ahead = text[max(0, start - 24) : start]
        plainly = re.search(" dot |点", sign["domain"], re.IGNORECASE) or _MAIL_HOST.match(sign["domain"])
        plainly = plainly or _MAIL_AHEAD.search(ahead)
        if len(name) < 2 or ahead[-1:] in ("/", "#", "=", "&", "?", "@", "."):
            continue
        if name.lower() in _BEFORE_AT:
            continue
        # A sentence may say "at example.com", and a link ends in #section.
        if (sign["sign"] == "#" and not name.endswith((".html", ".htm"))) or plainly:
            yield start, sign.end(), "email", 90


def _wechat(match: re.Match[str]) -> Found | None:
    name, link = match["id"], match["link"]
    said = re.search(r"[:=是为号码ID加搜]", link, re.IGNORECASE) or before(match, 1) in ("加", "+")
    if name.isdigit():
        return (match.start("id"), match.end("id"), "wechat", 50) if said else None
    if _BRAND.match(name) and not said:
        return None
    if name.lower() in _BRANDS or (name.isalpha() and not said):
        return None
    return match.start("id"), match.end("id"), "wechat", 70


def _wechat_spelt(match: re.Match[str]) -> Found | None:
    """V: may be a verb or volts, so only what is shaped like an account counts."""
    shaped = not match["id"].isalpha() and not match["id"].isdigit()
    return (match.start("id"), match.end("id"), "wechat", 69) if shaped else None


def _qq(match: re.Match[str]) -> Found | None:
    return match.start("id"), match.end("id"), "qq", 74


def _wxid(match: re.Match[str]) -> Found | None:
    return match.start(), match.end(), "wechat", 79


def _one_letter_qq(match: re.Match[str]) -> Found | None:
    """Q: is also a question, and then no contact stands in front and words or an answer follow."""
    front = before(match, 1)
    if match["link"][0] == "号" and not (front.isascii() and front.isalnum()):
        return match.start("id"), match.end("id"), "qq", 72
    if match["link"] == " " and front not in ("加", "我", "的"):
        return None
    if not _CONTACT_AHEAD.search(before(match, 5)):
        plain = (
            len(match["id"]) > 5
            and match["id"][-3:] != "000"
            and _Q_ALONE.search(before(match, 1))
            and not _GOES_ON.match(after(match, 1))
        )
        if not plain or _ANSWER_BELOW.match(match.string, match.end()):
            return None
    return match.start("id"), match.end("id"), "qq", 60


ACCOUNT_DETECTORS = (
    ("wechat", _WECHAT, _wechat),
    ("wechat", _WECHAT_SPELT, _wechat_spelt),
    ("wechat", _WXID, _wxid),
    ("qq", _QQ, _qq),
    ("qq", _PENGUIN, _qq),
    ("qq", _Q, _one_letter_qq),
)
