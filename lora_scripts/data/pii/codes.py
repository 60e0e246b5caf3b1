"""Detectors for what is no plain number: e-mail, passport, permit, plate, case, medical record, WeChat, QQ, IP, MAC.

Where a form alone says too little (WeChat, QQ, medical record, permit), the word in front of it decides.
Sources: GA 36-2018 (number plates), 最高人民法院《关于人民法院案件案号的若干规定》(case numbers), RFC 5321 lengths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from lora_scripts.data.pii.plain import Found, after, before, scan

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
_BEFORE_AT = frozenset(
    ["look", "looking", "meet", "me", "us", "it", "is", "are", "be", "available", "only", "found", "here", "visit", "see", "live", "shop", "read", "more", "out"]
)
_MAY_BE_SPELT = re.compile("#| at |艾特|@", re.IGNORECASE)

_SIGNS = re.compile("[0-9A-Za-z]")
_PROVINCE = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_SIGN = "[A-HJ-NP-Z0-9]"
_PLATE = re.compile(
    rf"(?:[{_PROVINCE}] ?[A-HJ-Z][ ·.\-]{{0,2}}"
    rf"(?P<tail>{_SIGN}{{4}}(?:[挂学警港澳领试超]|{_SIGN}?临(?!时)|应急|{_SIGN}{{1,2}}(?![挂学警港澳领]))"
    rf"|{_SIGN}(?: {_SIGN}){{4,5}}|临[0-9]{{4,5}})"
    rf"|使[ ·]?[0-9]{{3}}[ ·]?[0-9]{{3}}|[{_PROVINCE}] ?[A-HJ-Z] ?[0-9]{{4}}使"
    rf"|WJ ?[0-9]{{2}} ?[\-·] ?[0-9]{{4,5}}|WJ ?[{_PROVINCE}]? ?[·\-]?[0-9A-Z][0-9]{{3,4}}[A-Z0-9]?|[0-9]{{6}}使)(?![A-Za-z0-9])",
    re.IGNORECASE,
)

# Of the army: two letters since 2013, a character for the region before; GJB rules, as seen on the road.
_ARMY_PLATE = re.compile(r"[A-Z][ ·.\-]?[0-9]{5}(?![A-Za-z0-9])")
_ARMY_HEAD = re.compile("军[A-Z]·$|[军海空北沈兰济南广成临] ?$|(?<![A-Za-z0-9])[VKHBSLJNGCEOD]$")
_CAR_NEAR = re.compile("(?<![火列])车(?![间次床])|牌|军|追尾|肇事|撞")

_YEAR = r"[(\[]? ?(?:19|20|一九|二[〇零○0])[0-9〇零○一二三四五六七八九]{2} ?年?度?[)\]]?"
_CASE = re.compile(
    rf"{_YEAR} ?(?P<court>[{_PROVINCE}最兵军](?:[0-9() ]|(?!号)[一-鿿]){{1,24}}"
    rf"|[一-鿿](?:[() ]|(?![字号])[一-鿿]){{1,14}}(?:字|仲裁?) ?第? ?[0-9]{{1,7}})"
    r"(?<=[0-9])(?:-[0-9]{1,3})? ?号(?:之[一二三四五六七八九十0-9]{1,2})?"
)
_CASE_KIND = re.compile("[民刑行执赔破知商申再初终监异保特调裁仲催清认认司财辖督]")
_ARBITRATION = re.compile(
    r"[一-鿿]{1,8}(?:仲|劳裁|诉)[一-鿿]{0,4}[(\[](?:19|20)[0-9]{2}[)\]] ?(?:[一-鿿]{0,3}第)? ?[0-9]{1,7} ?号"
)

_MAC_BARE = re.compile(
    r"(?:mac(?<![A-Za-z].{3})|物理地址|硬件地址|网卡)(?: ?(?:地址|address|addr))?(?:号|是|为)?[ :=\"'(]{0,3}(?P<id>[0-9A-F]{12})(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_WXID = re.compile(r"wxid_(?<![A-Za-z0-9_].{5})[a-z0-9]{6,24}(?![A-Za-z0-9_])")
_Q = re.compile(r"[Qq][:=] ?(?P<id>[1-9][0-9]{4,10})(?![0-9A-Za-z@])")
_CONTACT_AHEAD = re.compile("(?:联系方式|联系|有事|咨询|加|或|我) ?$")
_Q_ALONE = re.compile("(?:^|[^A-Za-z0-9一-鿿.])$")
_GOES_ON = re.compile(r"[一-鿿.%*+/=\-]")
_ANSWER_BELOW = re.compile(r"[^\n]{0,40}(?:[?]|\n\s*(?:A|答)[:.])")

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
_WECHAT = re.compile(
    r"(?:(?P<weak>(?:加|[+➕]) ?[薇徽葳微](?!信)|[薇葳](?=号?:)|(?:加|[+➕]) ?V(?=[ :号])|[+➕] ?V(?=[A-Za-z])|(?<![A-Za-z0-9])V(?=号?:))"
    r"|微信|微 信|薇信|威信|徽信|[威薇]芯|V信|绿泡泡|(?<![A-Za-z0-9_])(?:wechat|weixin|wx|vx)(?![A-Za-z0-9_]))"
    r"(?P<link>(?:同号|账号|账户|帐号|昵称|名称|[ :;=是为号码名ID加我搜索查找联系请您\"'“「(（【\-]){0,10}?)"
    r"(?P<id>[A-Za-z][A-Za-z0-9_\-]{5,19}|[1-9][0-9]{5,11})(?![A-Za-z0-9_@]|\.[A-Za-z]|-[0-9])",
    re.IGNORECASE,
)
_BRANDS_WORDS = """
wechat weixin windows android iphone harmony payment wechatpay alipay official account
"""
_BRANDS = frozenset(_BRANDS_WORDS.split())
_BRAND = re.compile(
    "iphone|ipad|android|windows|huawei|xiaomi|redmi|oppo|vivo|honor|harmony|macos|ios|version", re.IGNORECASE
)
_QQ = re.compile(
    r"(?:(?<![A-Za-z])QQ(?![A-Za-z])|扣扣|企鹅(?=号|[ :])|球球|(?<![一-鿿])扣(?=:)|(?<=[加的我])Q(?=[ :号])|(?<![A-Za-z])Q(?=号))(?:账号|帐号|号码|群号|联系|空间|群|号)?"
    r"[ .:=是为#\"'“「(加我]{0,4}(?P<id>[1-9][0-9](?: ?[0-9]){3,9})(?![0-9A-Za-z@]|\.[0-9]|[万亿]?元)",
    re.IGNORECASE,
)

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
    if "email" in types and ("@" in text or "at]" in text.lower() or "at)" in text.lower() or "艾特" in text):
        yield from _emails(text)
    if "email" in types and _MAY_BE_SPELT.search(text):
        yield from _spelt_emails(text)
    if not _SIGNS.search(text):
        if "amount" in types:
            yield from _amounts(text)
        return
    for kind, pattern, judge in _DETECTORS:
        if kind in types:
            yield from scan(pattern, text, judge)


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


def _plate(match: re.Match[str]) -> Found | None:
    tail = match["tail"]
    if tail is None:
        if match[0][0] in "使0123456789" and not re.search("车|牌", before(match, 12) + after(match, 8)):
            return None
        return match.start(), match.end(), "plate", 78
    digits = sum(sign.isdigit() for sign in tail)
    bare = tail.replace(" ", "")
    if digits < 2 or (bare.isdigit() and _is_measured(match)):
        return None
    if " " in tail and not re.search("车|牌", before(match, 12) + after(match, 8)):
        return None
    if len(bare) == 6 and not bare.isascii():
        return match.start(), match.end(), "plate", 80
    if len(bare) == 6 and not re.fullmatch(r"[A-Z][A-Z0-9][0-9]{4}|[0-9]{5}[A-Z]", bare.upper()):
        return None
    return match.start(), match.end(), "plate", 80


def _is_measured(match: re.Match[str]) -> bool:
    return bool(re.match(r"(?:\.[0-9]|[万亿]?(?:元|吨|股|米|公里|人))", after(match, 3)))


def _case(match: re.Match[str]) -> Found | None:
    if not _CASE_KIND.search(match["court"]) or match["court"].startswith("年"):
        return None
    if match[0][0] not in "([" and not re.match(
        rf"(?:[{_PROVINCE}兵] ?[0-9]{{2,4}}|最高法) ?[民刑行执赔破知商]", match["court"]
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
        before(match, 24) + after(match, 24)
    ):
        return None
    group = "id" if match["id"] else "mrn"
    return match.start(group), match.end(group), "medical_no", 73


def _wechat(match: re.Match[str]) -> Found | None:
    name, link = match["id"], match["link"]
    if match["weak"]:  # V: may be a verb or volts: only what is shaped like an account
        shaped = not name.isalpha() and not name.isdigit()
        return (match.start("id"), match.end("id"), "wechat", 69) if shaped else None
    said = re.search(r"[:=是为号码ID加搜]", link, re.IGNORECASE) or before(match, 1) in ("加", "+")
    if name.isdigit():
        return (match.start("id"), match.end("id"), "wechat", 50) if said else None
    if _BRAND.match(name) and not said:
        return None
    if name.lower() in _BRANDS or (name.isalpha() and not said):
        return None
    return match.start("id"), match.end("id"), "wechat", 70


def _qq(match: re.Match[str]) -> Found | None:
    return match.start("id"), match.end("id"), "qq", 74


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


def _army_plate(match: re.Match[str]) -> Found | None:
    head = _ARMY_HEAD.search(before(match, 3))
    if (
        head is None
        or _NOT_A_PASSPORT.search(before(match, 16)[: -len(head[0])])
        or (head[0][0] != "军" and not _CAR_NEAR.search(before(match, 12) + after(match, 8)))
    ):
        return None
    return match.start() - len(head[0]), match.end(), "plate", 77


def _labelled_mac(match: re.Match[str]) -> Found | None:
    number = match["id"]
    return (
        None
        if number.isdigit() and "地址" not in match[0] and "=" not in match[0]
        else (match.start("id"), match.end("id"), "mac", 77)
    )


def _wxid(match: re.Match[str]) -> Found | None:
    return match.start(), match.end(), "wechat", 79


def _one_letter_qq(match: re.Match[str]) -> Found | None:
    """Q: is also a question, and then no contact stands in front and words or an answer follow."""
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


def _amounts(text: str) -> Iterator[Found]:
    for match in _AMOUNT.finditer(text):
        yield match.start(), match.end(), "amount", 45


def _amount(match: re.Match[str]) -> Found | None:
    return match.start(), match.end(), "amount", 45


_DETECTORS = (
    ("plate", _PLATE, _plate),
    ("plate", _ARMY_PLATE, _army_plate),
    ("case_no", _CASE, _case),
    ("case_no", _ARBITRATION, _arbitration),
    ("medical_no", _MEDICAL, _medical),
    ("wechat", _WECHAT, _wechat),
    ("wechat", _WXID, _wxid),
    ("qq", _QQ, _qq),
    ("qq", _Q, _one_letter_qq),
    ("passport", _PASSPORT, _passport),
    ("permit", _PERMIT, _permit),
    ("ip", _IP4, _ip),
    ("ip", _IP6, _ip),
    ("mac", _MAC, _mac),
    ("mac", _MAC_BARE, _labelled_mac),
    ("amount", _AMOUNT, _amount),
)
