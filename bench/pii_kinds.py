"""Kinds of personal data that pii_sentences.py does not have, each with its frames, and texts that only look so.

As there, values and check digits are made here and share no code with the detectors; ``KINDS`` gives the type that a
kind must be found as. ``NEGATIVES`` hold nothing of the types that training masks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta

import pii_values  # type: ignore[import-not-found]
from pii_sentences import Sentence  # type: ignore[import-not-found]  # it lies beside this file

words: Callable[[str], list[str]] = pii_values.words
digits: Callable[[random.Random, int], str] = pii_values.digits
mobile: Callable[[random.Random], str] = pii_values.mobile
name: Callable[[random.Random], str] = pii_values.name

PROVINCES = words("11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65")
COUNTRIES = words("840 826 124 036 250 276 392 410 643 702 356 566 076 380 764")
LOCALS = words("zhang wang.fang li_na zhao88 chen2020 h.y.liu guojing tom.law sunny-day")
HOSTS = words("example.com mail-host.cn pku-test.edu.cn my-firm.net corp.com.cn")


def foreigner(draw: random.Random) -> str:
    """A permanent residence number of 2023: 9, province, country, birthday, serial, check character."""
    born = date(1945, 1, 1) + timedelta(days=draw.randrange(24_000))
    first = (
        "9" + draw.choice(PROVINCES) + draw.choice(COUNTRIES) + born.strftime("%Y%m%d") + f"{draw.randrange(1000):03d}"
    )
    remainder = sum(int(sign) * (2 ** (17 - i) % 11) for i, sign in enumerate(first)) % 11
    return first + "10X98765432"[remainder]


def hong_kong(draw: random.Random, brackets: bool = True) -> str:
    """A Hong Kong identity card number with its check digit."""
    letters = draw.choice(words("A B C D E G H K P R V Y Z WX XA"))
    number = f"{draw.randrange(10**6):06d}"
    values = [36] * (2 - len(letters)) + [ord(sign) - 55 for sign in letters] + [int(sign) for sign in number]
    check = -sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True)) % 11
    sign = "A" if check == 10 else str(check)
    return f"{letters}{number}({sign})" if brackets else f"{letters}{number}{sign}"


def taiwan(draw: random.Random) -> str:
    """A national identification number of Taiwan with its check digit."""
    place = draw.randrange(26)
    codes = words("10 11 12 13 14 15 16 17 34 18 19 20 21 22 35 23 24 25 26 27 28 29 32 30 31 33")
    first = codes[place] + draw.choice("12") + f"{draw.randrange(10**7):07d}"
    total = int(first[0]) + sum(int(sign) * weight for sign, weight in zip(first[1:], range(9, 0, -1), strict=True))
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place] + first[2:] + str(-total % 10)


def card(draw: random.Random) -> str:
    """A card of 16 or 19 digits of any issuer with its Luhn digit."""
    head = draw.choice(words("622202 623058 621700 436742 955880 356833 524094 409666 370246 900010 103000"))
    first = head + "".join(draw.choice("0123456789") for _ in range(draw.choice((9, 12))))
    doubled = [int(sign) * (2 - i % 2) for i, sign in enumerate(reversed(first))]
    return first + str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def signed_phone(draw: random.Random) -> str:
    """A mobile number in groups of 3, 4 and 4 with other signs than a space or a dash between them."""
    sign = draw.choice("/_·，")
    number: str = mobile(draw)
    return sign.join((number[:3], number[3:7], number[7:]))


def keycap_phone(draw: random.Random) -> str:
    """A mobile number in keycap emoji."""
    return "".join(f"{sign}\ufe0f\u20e3" for sign in mobile(draw))


def account(draw: random.Random) -> str:
    """An account name of WeChat."""
    return draw.choice(words("li- Mimi law_ zhao_ sunny")) + draw.choice(words("a1b2c3 wyer88 x_2020 happy99 1987"))


def mail(draw: random.Random, at: str, dot: str) -> str:
    """A mail address with other words for its signs."""
    host = draw.choice(HOSTS)
    return f"{draw.choice(LOCALS)}{at}{host.replace('.', dot)}"


def military(draw: random.Random) -> str:
    """A plate of the army, of today or as of 2004, or of the armed police."""
    form = draw.randrange(3)
    if form == 0:
        return draw.choice("VKHBSLJNGC") + draw.choice("ABCDEFGH") + draw.choice(("", "·")) + digits(draw, 5)
    if form == 1:
        return draw.choice("军海空北沈兰济南广成") + draw.choice("ABCDEK") + draw.choice(("", "·")) + digits(draw, 5)
    return "WJ" + draw.choice("京沪粤川鄂") + draw.choice(("", "·")) + digits(draw, 5)


def temporary(draw: random.Random) -> str:
    """A plate for a car that is not registered yet."""
    return draw.choice("京沪粤川鄂苏浙渝") + draw.choice("ABCDE") + draw.choice(("", "·")) + digits(draw, 4) + "临"


def compound(draw: random.Random) -> str:
    """A name with a surname of two characters."""
    surname = draw.choice(words("欧阳 司马 上官 诸葛 慕容 皇甫 令狐 东方 尉迟 长孙 宇文 夏侯 司徒"))
    return surname + draw.choice(words("静 明月 文博 雪 海涛 晓燕 建华 婉儿 志远 丽"))


def dotted(draw: random.Random) -> str:
    """A name of parts with a dot between them."""
    first = draw.choice(words("买买提 阿不都 古丽娜扎 迪丽 阿依古丽 吐尔逊 热合曼 玉素甫 帕提古丽 艾力 卡米力"))
    last = draw.choice(words("艾买提 热依木 拜合提亚尔 买买提 玉素甫 库尔班 依明 吐尔地 司马义 阿布拉"))
    return first + draw.choice("··•") + last


def english(draw: random.Random) -> str:
    """An English name."""
    first = draw.choice(words("John Mary David Sarah Michael Emily Robert Anna Peter Linda"))
    last = draw.choice(words("Smith Johnson Williams O'Brien Miller Garcia Chen Lee Anderson Taylor"))
    return draw.choice((last, f"{first} {last}", f"{first[0]}. {last}"))


KINDS: dict[str, tuple[str, Callable[[random.Random], str], str]] = {
    "card in a transfer": (
        "bank_card",
        card,
        """
钱已经转账到{}了，对方不认
把货款打到{}，收到请回
昨天打到账号{}，一直没到账
请转到账号：{}
已向对方账户{}转账两笔
汇款至{}后没有下文
让我把押金打给{}
往{}里转账五千""",
    ),
    "permanent residence": (
        "id_card",
        foreigner,
        """
我的永久居留身份证号是{}
外国人永居证号码：{}，能贷款吗
证件号{}，系统提示不存在
号码{}怎么办社保""",
    ),
    "Hong Kong identity card": (
        "id_card",
        hong_kong,
        """
香港身份证{}可以开户吗
HKID: {}
我的身份证号码是{}，在内地工作
持证人{}，已满七年""",
    ),
    "Hong Kong identity card, bare": (
        "id_card",
        lambda draw: hong_kong(draw, brackets=False),
        """
香港身份证号{}可以开户吗
HKID No. {}
香港居民，身份证：{}""",
    ),
    "Taiwan identity card": (
        "id_card",
        taiwan,
        """
台湾身份证{}怎么报税
身分證字號：{}
我是台湾人，身份证号码{}
国民身份证统一编号 {}""",
    ),
    "phone with other signs": (
        "phone",
        signed_phone,
        """
电话{}，晚上联系
我的号码是{}
打{}没人接
联系人手机 {}""",
    ),
    "phone in keycaps": (
        "phone",
        keycap_phone,
        """
加我{}
号码{}，备注来意
电话：{}""",
    ),
    "wxid": (
        "wechat",
        lambda draw: "wxid_" + "".join(draw.choice("abcdefghkmnpqrstuvwxyz0123456789") for _ in range(14)),
        """
他的号是{}，骗了我两千
原始号{}
{}这个人拉黑了我
账号 {} 被封""",
    ),
    "WeChat by other words": (
        "wechat",
        account,
        """
加薇 {} 详聊
加薇{}
V：{}
v:{} 备注咨询
➕v {}
薇：{}
+V {}，发资料""",
    ),
    "QQ by one letter": (
        "qq",
        lambda draw: digits(draw, draw.randint(6, 10)),
        """
有事Q：{}
q:{}，发资料
Q：{}
联系方式 Q: {}。""",
    ),
    "mail with #": (
        "email",
        lambda draw: mail(draw, "#", "."),
        """
邮箱{}，#换成@
发到{}就行
{}（自己换一下）""",
    ),
    "mail in words": (
        "email",
        lambda draw: mail(draw, " at ", " dot "),
        """
邮箱 {}
write to {}, please
联系：{}。""",
    ),
    "mail with at and a dot": (
        "email",
        lambda draw: mail(draw, " at ", "."),
        """
邮箱：{}
email: {}""",
    ),
    "MAC without signs": (
        "mac",
        lambda draw: "".join(draw.choice("0123456789ABCDEF") for _ in range(12)),
        """
MAC地址：{}
网卡物理地址 {}
mac={}
设备MAC {}已绑定""",
    ),
    "military plate": (
        "plate",
        military,
        """
车牌{}的车占道
被一辆号牌{}的车撞了
军车{}停在门口
小车 {} 追尾""",
    ),
    "temporary plate": (
        "plate",
        temporary,
        """
新车{}被拍了
临时号牌{}，过期一天
临牌：{}
{}的车主请挪车""",
    ),
    "passport in English": (
        "passport",
        lambda draw: draw.choice(
            (f"E{digits(draw, 8)}", f"G{digits(draw, 8)}", f"EB{digits(draw, 7)}", digits(draw, 9))
        ),
        """
passport no. {}
my passport number is {} and it expires soon
Passport No: {}
holder of passport {}
(Passport # {})""",
    ),
    "compound surname": (
        "name",
        compound,
        """
对方叫{}，住在楼上
我叫{}，想问离婚
姓名：{}
落款：{}
申请人{}与公司签订合同
{}女士已经来过
证人{}出庭
联系人 {}，下午在""",
    ),
    "name with a dot": (
        "name",
        dotted,
        """
对方叫{}，是我同事
姓名：{}
我叫{}，在工地上班
原告{}诉称被拖欠工资
联系人：{}，电话没人接
{}先生的快递
员工{}已经离职""",
    ),
    "English name with a title": (
        "name",
        english,
        """
Dear Mr. {},
Please contact Dr. {} for details.
Ms. {} signed the contract.
我的主管 Mr. {} 不同意
Prof. {} will call you back
Mrs. {} has paid""",
    ),
    "name in more frames": (
        "name",
        name,
        """
对方叫{}，住在三楼
落款：{}
落款是{}
此致 敬礼 {}
签名：{}
经办人：{}
我同事{}也没有拿到加班费
房东{}不退押金
房东叫{}，不退押金
那个人叫{}，是包工头
老板名叫{}，电话不接
收件人：{}，三号楼
法定代表人{}，已失联
被申请人{}未到庭
患者姓名：{} 性别：男
家属{}已签字
开户人{}
紧急联系人：{}（配偶）
我妈妈{}今年退休
我儿子{}在学校被打
找到{}要求还钱
已经起诉{}了
由{}负责赔偿
{}欠我两万块钱
{}说下周还我
{}（身份证已登记）
代理人{}、律师陈述如下
学生{}，三年级二班
我叫{}。
负责人：{}；地址不详
主治医生{}让我住院
{}医生说要复查
是{}律师接的案子
与{}于二〇一九年登记结婚
委托{}办理
值班员 {}""",
    ),
}

NEGATIVES = """
料号{p}缺货
料号 E{n8}
SKU：{p}
SKU {n16}
报告编号：{n10}
检测报告编号 {p}
登记号：{n8}
软著登记号2023SR{n6}
著作权登记号：{n10}
阅读量{p}
播放量：{p}次
浏览量 {p}
版本{p}
版本号：{n8}
固件版本 E{n8}
护照有效期至20300101
护照有效期：20251231，还能用吗
通行证有效期20280630
身份证有效期20100506-20300506
银行卡有效期2027{n2}，背面有
双卡双待，型号{l16}
双卡手机 {l16}
显卡编号{l16}
网卡序列号 {l16}
打卡记录{l16}
Q：{n8}元的合同怎么交税？
Q：10086是什么电话
Q：123456789这个数字怎么读？
Q：2023年社保基数是多少
Q：{n6}的平方根是多少？
V：verb，动词
V：电压，单位伏特
电压V：220
加薇薇姐聊聊
look at example.com for more
meet me at the office
see page#section.html
C#example 代码
MAC口红{n12}
苹果电脑MAC系统
passport to success 2023
批次VA{n5}
物料SB{n5}
货号HA{n5}
南A楼{n5}
零件号A{n9}
编号B{n9}的合同
色号A{n6}(3)
型号 K{n6}
会议室B{n6}
比例138/0013
价格138，200，300
商品编码{n16}
流水号{n19}
订单{n16}已转账
交易号{n19}
运单号{n16}
参考文献 doi 10.1000/{n8}
质检报告编号{n10}
检验批号{n8}
库存登记编号{n8}
海关登记号{n10}
"""


def luhn_16(draw: random.Random) -> str:
    """Sixteen digits with a Luhn digit, of no card organisation of China."""
    while True:
        number = card(draw)
        if len(number) == 16 and not number.startswith(("62", "9558")):
            return number


def sentences_of_kinds(count: int, seed: int) -> dict[str, list[Sentence]]:
    """``count`` sentences of each kind."""
    draw = random.Random(seed)
    out: dict[str, list[Sentence]] = {}
    for kind, (pii_type, make, frames) in KINDS.items():
        out[kind] = []
        for index in range(count):
            listed = frames.strip().splitlines()
            front, _, rest = listed[index % len(listed)].partition("{}")
            value = make(draw)
            out[kind].append(Sentence(front + value + rest, ((len(front), len(front) + len(value), pii_type),)))
    return out


def negatives(count: int, seed: int) -> list[str]:
    """``count`` fillings of each text that only looks like personal data."""
    draw = random.Random(seed)
    out = []
    for template in NEGATIVES.strip().splitlines() * count:
        for size in (19, 16, 12, 10, 9, 8, 6, 5, 2):
            while f"{{n{size}}}" in template:
                template = template.replace(f"{{n{size}}}", digits(draw, size), 1)
        out.append(template.replace("{p}", mobile(draw)).replace("{l16}", luhn_16(draw)))
    return out
