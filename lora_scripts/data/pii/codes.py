"""Detectors for what is no plain number: passport, permit, case, medical record, IP, MAC, amount; accounts and plates.

Where a form alone says too little (medical record, permit), the word in front of it decides.
Source: 最高人民法院《关于人民法院案件案号的若干规定》(case numbers).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from lora_scripts.data.pii.accounts import ACCOUNT_DETECTORS, find_emails
from lora_scripts.data.pii.plain import Found, after, before, scan
from lora_scripts.data.pii.plates import PLATE_DETECTORS, PROVINCES

_SIGNS = re.compile("[0-9A-Za-z]")


_YEAR = r"[(\[]? ?(?:19|20|一九|二[〇零○0])[0-9〇零○一二三四五六七八九]{2} ?年?度?[)\]]?"
_CASE = re.compile(
    rf"{_YEAR} ?(?P<court>[{PROVINCES}最兵军](?:[0-9() ]|(?!号)[一-鿿]){{1,24}}"
    rf"|[一-鿿](?:[() ]|(?![字号])[一-鿿]){{1,14}}(?:字|仲裁?) ?第? ?[0-9]{{1,7}})"
    r"(?<=[0-9])(?:-[0-9]{1,3})? ?号(?:之[一二三四五六七八九十0-9]{1,2})?"
)
_CASE_KIND = re.compile("[民刑行执赔破知商申再初终监异保特调裁仲催清认认司财辖督]")
_ARBITRATION = re.compile(
    r"[一-鿿]{1,8}(?:仲|劳裁|诉)[一-鿿]{0,4}[(\[](?:19|20)[0-9]{2}[)\]] ?(?:[一-鿿]{0,3}第)? ?[0-9]{1,7} ?号"
)

_MAC_BARE = re.compile(
    r"(?:mac(?<![A-Za-z].{3})|物理地址|硬件地址|网卡)(?: ?(?:地址|address|addr))?(?:号|是|为)?[ :=\"'(]{0,3}"
    r"(?P<id>[0-9A-F]{12})(?![0-9A-Za-z])",
    re.IGNORECASE,
)

_LINK = r"(?:号码|编号|编码|号|码|No\.?|ID)?[ .:=是为#\"'“「(]{0,4}"
_MEDICAL = re.compile(
    r"(?:病历|病案|病例|住院|门诊|就诊|诊疗|急诊|检查|检验|化验|影像|放射|超声|病理|体检|患者|病人|医保|社保|挂号"
    r"|标本|入院"
    r"|健康|医疗|就医|诊断|建档|床位)(?:登记|记录|报告|申请|身份)?(?:卡|证|单|本)?(?:号码|编号|编码|标识|流水号"
    r"|序号|号|(?<=卡)(?=[ :是为])|ID|No\.?)"
    r"[ .:=是为#\"'“「(]{0,4}(?P<id>[A-Za-z]{0,4}[\-]?[0-9][0-9A-Za-z\-]{3,19})(?![0-9A-Za-z])"
    r"|(?<![A-Za-z])(?:MRN|HIS号|PID|patient id|medical record (?:no|number))[ .:=是为#]{0,4}"
    r"(?P<mrn>[A-Za-z]{0,4}\-?[0-9][0-9A-Za-z\-]{3,19})(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_PATIENT_NEAR = re.compile("患者|病人|医院|医生|科室|就诊|门诊|住院|病历|血|尿|超声|核磁|CT|抽血|姓名")

_PASSPORT = re.compile(
    r"(?<![A-Za-z0-9])(?P<id>E[0-9]{8}|E[A-HJ-NP-Z][0-9]{7}|G[0-9]{8}|[DSP]E[0-9]{7}|[DSP][0-9]{7,8}|1[45][0-9]{7}"
    r"|[A-Z]{1,3}[0-9]{6,8}[A-Z]?|[0-9]{8,9})(?![A-Za-z0-9]|\.[0-9])",
    re.IGNORECASE,
)
_STRICT_PASSPORT = re.compile("E[0-9]{8}|E[A-HJ-NP-Z][0-9]{7}|G[0-9]{8}|[DSP]E[0-9]{7}")
_PASSPORT_NEAR = re.compile(
    rf"(?:护照|passport)(?: ?(?:本|原件|信息|证件|number))?[^0-9。；;\n]{{0,6}}{_LINK}$", re.IGNORECASE
)
_NOT_A_PASSPORT = re.compile(
    r"(?:订单|单号|编号|型号|批号|批次|货号|序列|产品|车次|航班|款式|文号|准字|发票|运单|票号|工号|学号|版本|设备"
    r"|代码|合同|档案|料号|料|物料|零件|件号|色号|SKU|报告|登记|固件|软件|批次|生产)"
    r"(?:编?号码?)?[ .:=是为#\"'(\-]{0,4}$"
)
_PERMIT = re.compile(
    r"(?<![A-Za-z0-9])(?P<id>[HM][0-9]{8}(?:[0-9]{2})?|[CWLTKR][A-Z]?[0-9]{7,8}|[0-9]{8}|[0-9]{10}(?:\([A-Z0-9]\)"
    r"|[A-Z])?"
    r"|[A-Z]{3}[0-9]{12})(?![A-Za-z0-9]|\.[0-9])",
    re.IGNORECASE,
)
_PERMIT_NEAR = re.compile(
    r"(?:通行证|回乡证|台胞证|还乡证|往来(?:港澳|台湾|内地|大陆)|来往(?:港澳|台湾|内地|大陆)|永久居留|永居证"
    r"|居留(?:许可|证)"
    r"|港澳(?:居民|同胞)?证件|台湾居民证件|入台证)[^0-9。；;\n]{0,8}$"
)
_IP4 = re.compile(r"(?<![0-9A-Za-z.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z]|\.[0-9])")
_IP6 = re.compile(
    r"(?<![0-9A-Za-z.])(?<![0-9A-Fa-f]:)[0-9A-Fa-f]{0,4}(?::{1,2}[0-9A-Fa-f]{1,4}){2,7}(?:::)?(?![0-9A-Za-z:])"
)
_MAC = re.compile(
    r"(?:(?<![0-9A-Za-z:\-])|(?<=[^0-9A-Fa-f:\-][:\-])|(?<=(?i:mac)[:\-]))(?:[0-9A-Fa-f]{2}(?P<by>[:\-])(?:[0-9A-Fa-f]{2}(?P=by)){4}[0-9A-Fa-f]{2}"
    r"|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4})(?![0-9A-Za-z:\-])"
)
_VERSION = re.compile(r"(?:版本|版|version|ver\.?|v|第|章节|固件|条款)(?:号|为|是)?[ .:]{0,2}$", re.IGNORECASE)

_BIG = "零壹贰叁肆伍陆柒捌玖拾佰仟万亿〇一二两三四五六七八九十百千"
_COIN = r"(?:元|圆|块钱?|美元|美金|港币|港元|欧元|日元|英镑|人民币)"
_AMOUNT = re.compile(
    r"(?:(?:人民币|RMB|CNY|USD|HKD|EUR|[¥$€£]) ?)?"
    rf"(?:[0-9][0-9,]{{0,20}}(?:\.[0-9]{{1,4}})? ?(?:余|多)?[百千万亿]{{0,2}}(?:余|多)?{_COIN}"
    rf"|[{_BIG}]{{1,20}}(?:余|多)?{_COIN})"
    r"(?:[零壹贰叁肆伍陆柒捌玖一二三四五六七八九0-9]{1,2}[角分]){0,2}[整正]?"
    r"|(?:人民币|RMB|CNY|USD|HKD|EUR|[¥$€£]) ?[0-9][0-9,]{0,20}(?:\.[0-9]{1,4})?(?: ?[百千万亿]{1,2})?(?![0-9])"
)


def find_codes(text: str, types: frozenset[str]) -> Iterator[Found]:
    """Everything of ``types`` in plain text that is written with letters and signs."""
    if "email" in types:
        yield from find_emails(text)
    if not _SIGNS.search(text):
        if "amount" in types:
            yield from _amounts(text)
        return
    for kind, pattern, judge in _DETECTORS:
        if kind in types:
            yield from scan(pattern, text, judge)


def _case(match: re.Match[str]) -> Found | None:
    if not _CASE_KIND.search(match["court"]) or match["court"].startswith("年"):
        return None
    if match[0][0] not in "([" and not re.match(
        rf"(?:[{PROVINCES}兵] ?[0-9]{{2,4}}|最高法) ?[民刑行执赔破知商]", match["court"]
    ):
        return None
    return match.start(), match.end(), "case_no", 90


def _arbitration(match: re.Match[str]) -> Found | None:
    head = re.match(
        r"[一-鿿]{0,8}?(?:于|为|是|号|的|据|由|作出|出具|按|见|及|和|与|不服|撤销|收到)(?=[一-鿿]{1,6}(?:仲|劳裁"
        r"|诉))",
        match[0],
    )
    return match.start() + (head.end() if head else 0), match.end(), "case_no", 88


def _medical(match: re.Match[str]) -> Found | None:
    # Goods are tested and buildings inspected, too.
    if re.match("检[查验][^0-9]{0,4}(?:报告|申请)", match[0]) and not _PATIENT_NEAR.search(
        before(match, 24) + after(match)
    ):
        return None
    group = "id" if match["id"] else "mrn"
    return match.start(group), match.end(group), "medical_no", 73


def _is_date(number: str, front: str) -> bool:
    """Whether eight digits are a date that something is valid until."""
    return bool(
        re.fullmatch("(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])", number)
        and re.search(
            r"(?:有效|日期|签发|到期|截止|期限|出生|生日|至|到|自|于|until|expir\w*|issued?)[^0-9]{0,6}$", front
        )
    )


def _passport(match: re.Match[str]) -> Found | None:
    front = before(match, 24)
    if _is_date(match[0], front):
        return None
    if _PASSPORT_NEAR.search(front):
        return match.start(), match.end(), "passport", 72
    number = match["id"]
    if _STRICT_PASSPORT.fullmatch(number) and not _NOT_A_PASSPORT.search(front) and front[-1:] not in ("-", "_", "/"):
        return match.start(), match.end(), "passport", 60
    return None


def _permit(match: re.Match[str]) -> Found | None:
    front = before(match, 24)
    if _is_date(match[0], front):
        return None
    if _PERMIT_NEAR.search(front):
        return match.start(), match.end(), "permit", 73
    number = match["id"].upper()
    if number[0] in "HMCWLT" and re.search(r"证件?(?:号码?)?[ :是为]{0,3}$", front) and "护照" not in front:
        return match.start(), match.end(), "permit", 58
    return None


def _ip(match: re.Match[str]) -> Found | None:
    value = match[0]
    try:
        address = ip_address(value)
    except ValueError:
        return None
    if _VERSION.search(before(match, 8)) or (address.version == 6 and len(re.findall("[0-9A-Fa-f]+", value)) < 3):
        return None
    return match.start(), match.end(), "ip", 76


def _mac(match: re.Match[str]) -> Found | None:
    return match.start(), match.end(), "mac", 78


def _labelled_mac(match: re.Match[str]) -> Found | None:
    number = match["id"]
    return (
        None
        if number.isdigit() and "地址" not in match[0] and "=" not in match[0]
        else (match.start("id"), match.end("id"), "mac", 77)
    )


def _amounts(text: str) -> Iterator[Found]:
    for match in _AMOUNT.finditer(text):
        yield match.start(), match.end(), "amount", 45


def _amount(match: re.Match[str]) -> Found | None:
    return match.start(), match.end(), "amount", 45


_DETECTORS = (
    *PLATE_DETECTORS,
    *ACCOUNT_DETECTORS,
    ("case_no", _CASE, _case),
    ("case_no", _ARBITRATION, _arbitration),
    ("medical_no", _MEDICAL, _medical),
    ("passport", _PASSPORT, _passport),
    ("permit", _PERMIT, _permit),
    ("ip", _IP4, _ip),
    ("ip", _IP6, _ip),
    ("mac", _MAC, _mac),
    ("mac", _MAC_BARE, _labelled_mac),
    ("amount", _AMOUNT, _amount),
)
