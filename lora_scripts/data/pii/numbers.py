"""Detectors for numbers: identity card, mobile, landline, bank card, unified social credit code.

Sources: GB 11643-1999 (citizen identification number, ISO 7064 MOD 11-2), GB 32100-2015 (unified social credit
identifier, modulo 31), ISO/IEC 7812-1 (Luhn), the numbering plan of the Ministry of Industry and Information
Technology for mobile and area codes. Numbers abroad are judged by phonenumbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import cache

from lora_scripts.data.pii.identity_cards import HONG_KONG, TAIWAN, hong_kong_card, taiwan_card
from lora_scripts.data.pii.plain import Found, after, before, scan

_SEP = r"[ .\-]{0,3}"
_ANY_NUMBER = re.compile(r"[0-9A-Z](?:[ .\-/_·,、|~*]{0,3}[0-9]){6}", re.IGNORECASE)
_ID = re.compile(rf"(?<![0-9])[1-9](?:{_SEP}[0-9]){{14}}(?:(?:{_SEP}[0-9]){{2}}{_SEP}[0-9Xx])?(?![0-9])")
_PHONE = re.compile(rf"(?<![0-9])(?:(?:\(?\+|\(|00)?86\)?{_SEP})?(?P<number>1{_SEP}[3-9](?:{_SEP}[0-9]){{9}})(?![0-9])")
_SIGNED_PHONE = re.compile(
    r"(?P<number>1(?<![0-9].)(?:[3-9][0-9](?P<by> ?[/_·,、|~*] ?)(?:[0-9]{4}(?P=by)[0-9]{4}|[0-9]{8})"
    r"|(?P<each>[/_·,、|~*])[3-9](?:(?P=each)[0-9]){9}))(?![0-9])"
)
_ABROAD = re.compile(r"\+(?!86)[1-9][0-9]{0,3}(?:[ .\-()]{0,2}[0-9]){5,13}(?![0-9])")
_LANDLINE = re.compile(
    r"(?<![0-9])(?:\+?86[ \-]{0,2})?\(?0?(?P<area>10|2[0-9]|[3-9][0-9]{2})\)?(?P<gap>[ \-]{0,3})"
    r"(?P<local>[2-9][0-9]{2,3}[ \-]?[0-9]{4}|[2-9][0-9][ \-][0-9]{2}[ \-][0-9]{2}(?:[ \-][0-9]{2})?)(?![0-9])"
    r"(?:[ \-]{0,2}(?:转|分机号?|ext\.?|x|-)[ :]{0,2}[0-9]{1,6}(?![0-9]))?",
    re.IGNORECASE,
)
_LOCAL = re.compile(
    r"(?:电话|座机|固话|传真|致电|tel|fax|phone)(?:号码?|是|为)?[ :.]{0,3}(?P<number>[2-9][0-9]{2,3}[ \-]?[0-9]{4})"
    r"(?![0-9\-]|\.[0-9])",
    re.IGNORECASE,
)
_CARD = re.compile(rf"(?<![0-9])[1-9](?:{_SEP}[0-9]){{11,18}}")
_USCC = re.compile(
    r"(?<![0-9A-Za-z])[1-9A-HJ-NPQRTUWXY][1-9]"
    r"(?:[ \-]{0,2}[0-9]){6}(?:[ \-]{0,2}[0-9A-HJ-NPQRTUWXY]){10}(?![0-9A-Za-z])",
    re.IGNORECASE,
)

_PROVINCES_WORDS = """
11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83 91
"""
_PROVINCES = frozenset(_PROVINCES_WORDS.split())
# Registering office and kind of body, GB 32100 table 1.
_OFFICES_WORDS = """
11 12 13 19 21 29 31 32 33 34 35 39 41 49 51 52 53 54 55 59 61 62 69 71 72 79 81 89 91 92 93 A1 A9 N1 N2 N3 N9
Y1
"""
_OFFICES = frozenset(_OFFICES_WORDS.split())
_USCC_SIGNS = "0123456789ABCDEFGHJKLMNPQRTUWXY"

# Words right in front of a number that is none of ours.
_SERIAL = re.compile(
    r"(?:订单|单号|运单|快递|包裹|物流|流水|编号|序列|序号|发票|票号|票据|批号|货号|型号|条码|条形码|批次|工单"
    r"|交易|参考|凭证|合同"
    r"|档案|学号|工号|纳税人|税号|设备|许可证|批准文号|准字|注册证|产品|商品|货物|房产证|不动产|保单|单据|账单|电表|水表|燃气|户号|优惠券|兑换|激活|验证|校验|书号|车架|发动机|证书|备案|专利|申请号|航班|车次|机身|受理|回执"
    r"|取件码?|编码|代码|料号|料|物料|零件|色号|固件|报告编?号|报告单号|登记号|登记编?号|有效期限?|双卡|双卡双待|显卡|声卡|网卡"
    r"|(?:阅读|播放|浏览|点击|访问|下载|转发|评论|点赞|收藏|关注|曝光)(?:总?量|次?数)|销量|粉丝数?"
    r"|识别码|追踪|版本|彩票|图书|ISBN|ISSN|IMEI|IMSI|ICCID|SKU|SN|NO|order|serial|invoice|tracking|ticket|batch"
    r"|item|part|ref"
    r"|ID)(?:编?号码?|码|序号|ID|no|number)?[ .:#=是为\"'“「(\-]{0,4}$",
    re.IGNORECASE,
)
_MONEY_BEFORE = re.compile(
    r"(?:[¥$€£]|RMB|CNY|人民币|金额|合计|总计|共计|总额|余额|总价|单价|价格|价款|货款|营收|收入|利润|销售额|市值"
    r"|产值|资产|资本"
    r"|规模|赔偿|标的额)[ :=是为共约达额了款]{0,4}$",
    re.IGNORECASE,
)
_MONEY_AFTER = re.compile(
    r" ?(?:\.[0-9]{1,2}(?![0-9])|[多余]?[万亿]?(?:元(?!旦)|圆|块钱?|美元|美金|港币|港元|欧元|日元|股|吨|公斤|千克)"
    r"|[万亿][^一-鿿]|%)"
)
_JOINED = re.compile(r"[0-9A-Za-z][\-_.#]$|[A-Za-z]/?$|(?<![0-9 \-])[0-9]{1,6}/$")
_CALL = re.compile(r"(?:tel|phone|mobile|mob|cell|call|wx|vx|wechat|sms|电话|手机)[ .:\-_]{0,2}$", re.IGNORECASE)
_CALL_NEAR = re.compile(r"电话|手机|联系|致电|拨打|来电|号码|短信|微信|tel|phone|mobile|call|打给", re.IGNORECASE)
_HOW_MOBILES_ARE_GROUPED = frozenset(
    {
        (11,),
        (3, 4, 4),
        (3, 8),
        (7, 4),
        (4, 4, 3),
        (4, 3, 4),
        (4, 7),
        (3, 3, 5),
        (5, 6),
        (6, 5),
        (5, 3, 3),
        (3, 5, 3),
        (3, 3, 3, 2),
        (2, 3, 3, 3),
        (3, 2, 2, 2, 2),
        (3, 4, 2, 2),
        (1,) * 11,
    }
)
_CARD_NEAR = re.compile(
    r"(?<![双显声网打饭房门名贺])卡(?![片顿车尺通])|账户|帐户|账号|帐号|银行|转账|汇款|打款|收款|还款|尾号|bank|card|visa|master|jcb",
    re.IGNORECASE,
)
# Right in front of a number of 16 or 19 digits these make it an account, with or without a check digit.
_ACCOUNT_AHEAD = re.compile(
    r"(?:(?:转|打|汇|存|付|退)(?:款|账|帐|钱|了|过去)?(?:到|至|给|入|进|往)(?:了|他|她|我|你|对方|这个|此|以下|下面|指定|的)*"
    r"|(?<![信微博戏录Q])(?<!登录)(?<!付宝))(?:银行|对公|个人|收款|工资)?"
    r"(?:账号|帐号|账户|帐户|卡号|银行卡|卡)(?:里|上)?[ :是为]{0,3}$"
    r"|(?:转|打|汇|存|付|退)(?:款|账|帐|钱)?(?:到|至|给|入|进|往)(?:了)?[ :]{0,3}$"
)
_TRANSFER_NEAR = re.compile(r"转[账帐给到入]|打[到给款入]|汇[到款给入至]|存[入到]|收款|退[到款给]")
_RUN = re.compile("[0-9]+")
_UNION_PAY = ("62", "9558", "9559")


def find_numbers(text: str, types: frozenset[str]) -> Iterator[Found]:
    """Identity cards, mobiles, landlines, bank cards and credit codes of ``types`` in plain text."""
    if not _ANY_NUMBER.search(text):
        return
    for kind, pattern, judge in _DETECTORS:
        if kind in types:
            yield from scan(pattern, text, judge)


def _bare(value: str) -> str:
    return re.sub(r"[ .\-]", "", value).upper()


def identity_check(first: str) -> str:
    """The check character for the first 17 digits of an identity card number (GB 11643, MOD 11-2)."""
    total = sum(int(digit) * pow(2, 17 - i, 11) for i, digit in enumerate(first))
    return "10X98765432"[total % 11]


def is_identity_number(number: str) -> bool:
    """Province, date of birth and, for 18 digits, the check character are right; 15 digits have none."""
    # Since 2023 the number of a foreigner's permanent residence: 9, province, country (ISO 3166-1), then as below.
    foreign = len(number) == 18 and number[0] == "9" and number[1:3] in _PROVINCES and number[3:6] < "900"
    if number[:2] not in _PROVINCES and not foreign:
        return False
    born = number[6:14] if len(number) == 18 else "19" + number[6:12]
    try:
        day = date(int(born[:4]), int(born[4:6]), int(born[6:]))
    except ValueError:
        return False
    if not day.year >= 1880 or day > date.today():
        return False
    return len(number) == 15 or identity_check(number[:17]) == number[17]


def _identity(match: re.Match[str]) -> Found | None:
    number = _bare(match[0])
    if len(number) == 18 and is_identity_number(number):
        return match.start(), match.end(), "id_card", 100
    groups = re.findall("[0-9]+", match[0])
    if [len(group) for group in groups] == [15] and is_identity_number(number) and not _is_serial(match):
        return match.start(), match.end(), "id_card", 66
    if len(number) == 18 and len(groups[0]) == 15 and is_identity_number(groups[0]) and not _is_serial(match):
        return match.start(), match.start() + 15, "id_card", 66
    return None


def _is_serial(match: re.Match[str]) -> bool:
    return bool(_SERIAL.search(before(match)))


def _is_money(match: re.Match[str]) -> bool:
    return bool(_MONEY_AFTER.match(after(match)) or _MONEY_BEFORE.search(before(match)))


def _phone(match: re.Match[str]) -> Found | None:
    number, front, back = match["number"], before(match), after(match)
    if _is_money(match) or re.match(r"[\-_][0-9]{1,3}(?![0-9])", back):
        return None
    if (_JOINED.search(front) and not _CALL.search(front)) or _SERIAL.search(front):
        return None
    sizes = tuple(len(group) for group in re.findall("[0-9]+", number))
    if sizes not in ((11,), (3, 4, 4), (3, 8)) and (
        re.search(r"[0-9][ .\-]{1,3}$", front) or re.match(r"[ .\-]{1,3}[0-9]", back)
    ):
        return None
    gaps = set(re.findall("[^0-9]+", number))
    if sizes == (3, 8) and not gaps <= {" ", "-", "."} and not _CALL_NEAR.search(front):
        return None
    if "." in gaps and sizes not in ((3, 4, 4), (1,) * 11):
        return None
    if not (len(gaps) < 2 and sizes in _HOW_MOBILES_ARE_GROUPED) and not _CALL_NEAR.search(front):
        return None
    return match.start(), match.end(), "phone", 70


@cache
def _is_number_abroad(number: str) -> bool:
    import phonenumbers  # slow to import, seldom needed

    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(number)))
    except phonenumbers.NumberParseException:
        return False


def _abroad(match: re.Match[str]) -> Found | None:
    return (match.start(), match.end(), "phone", 68) if _is_number_abroad(match[0]) else None


def _landline(match: re.Match[str]) -> Found | None:
    area, gap, local = match["area"], match["gap"], re.sub(r"[ \-]", "", match["local"])
    head = match[0][: match.start("area") - match.start()]
    # 0 and area code, or +86 and area code without the 0; 400 and 800 numbers have neither.
    if (
        not ("0" in head or "86" in head)
        or area in ("400", "800")
        or len(local) not in (7, 8)
        or (len(area) == 2 and len(local) == 7)
    ):
        return None
    front = before(match)
    if _is_money(match) or _SERIAL.search(front) or (_JOINED.search(front) and not _CALL.search(front)):
        return None
    if not gap and ")" not in match[0] and len(area) == 3 and len(local) == 7 and not _CALL_NEAR.search(front):
        return None
    return match.start(), match.end(), "landline", 55


def _local(match: re.Match[str]) -> Found | None:
    digits = _bare(match["number"])
    if re.match(r"400|800", digits) or _MONEY_AFTER.match(after(match)):
        return None
    return match.start("number"), match.end("number"), "landline", 52


def luhn(digits: str) -> bool:
    """The last digit checks the others (ISO/IEC 7812-1)."""
    doubled = [int(digit) * (2 if i % 2 else 1) for i, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _is_period(digits: str) -> bool:
    """Two dates one behind the other: since when and until when something is valid."""
    return bool(re.fullmatch("(?:(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])){2}", digits))


def _card(match: re.Match[str]) -> Found | None:
    text, start = match.string, match.start()
    ends = [run.end() for run in _RUN.finditer(text, start, match.end())]
    if re.match("[0-9]", after(match, 1)):
        ends.pop()
    front = before(match)
    if _SERIAL.search(front) or _MONEY_BEFORE.search(front) or (front[-1:] == "." and front[-2:-1].isdigit()):
        return None
    near = None
    account = bool(_ACCOUNT_AHEAD.search(front))
    for end in reversed(ends):
        digits = _bare(text[start:end])
        if len(digits) < 12 or len(set(digits)) < 2 or (len(digits) == 16 and _is_period(digits)):
            continue
        if account and len(digits) in (16, 19) and end == ends[-1]:
            return start, end, "bank_card", 84
        if not luhn(digits):
            continue
        if (len(digits) == 17 and text[end : end + 1] in ("X", "x")) or _MONEY_AFTER.match(text, end):
            continue
        if digits.startswith(_UNION_PAY) and len(digits) >= 16 and not re.search("[A-Za-z_]$", front):
            return start, end, "bank_card", 85
        if near is None:
            near = bool(_CARD_NEAR.search(before(match, 24)) or _CARD_NEAR.search(text, end, end + 12))
            near = near or bool(_TRANSFER_NEAR.search(before(match, 12)) or _TRANSFER_NEAR.search(text, end, end + 8))
        if near and (
            len(digits) in (15, 16, 19)
            or digits.startswith(_UNION_PAY)
            or re.search(r"卡号?[ :是为]{0,3}$|[账帐][户号][ :是为]{0,3}$", front)
        ):
            return start, end, "bank_card", 83
    return None


def credit_code_check(first: str) -> str:
    """The check character for the first 17 characters of a unified social credit code (GB 32100, modulo 31)."""
    total = sum(_USCC_SIGNS.index(sign) * pow(3, i, 31) for i, sign in enumerate(first))
    return _USCC_SIGNS[-total % 31]


def _credit_code(match: re.Match[str]) -> Found | None:
    code = _bare(match[0])
    if code[:2] not in _OFFICES or code[2:4] not in _PROVINCES | {"10"}:
        return None
    if credit_code_check(code[:17]) != code[17]:
        return None
    if re.search(r"(?:订单|单号|运单|流水|序列|交易|快递)(?:编?号码?)?[ :]{0,3}$", before(match)):
        return None
    return match.start(), match.end(), "uscc", 95


_DETECTORS = (
    ("id_card", _ID, _identity),
    ("id_card", HONG_KONG, hong_kong_card),
    ("id_card", TAIWAN, taiwan_card),
    ("uscc", _USCC, _credit_code),
    ("bank_card", _CARD, _card),
    ("phone", _PHONE, _phone),
    ("phone", _SIGNED_PHONE, _phone),
    ("phone", _ABROAD, _abroad),
    ("landline", _LANDLINE, _landline),
    ("landline", _LOCAL, _local),
)
