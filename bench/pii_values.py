"""Made-up values of personal data, one maker a type, with check digits of their own; for pii_sentences.py."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta


def words(line: str) -> list[str]:
    """The words of a line."""
    return line.split()


AREAS = words(
    "110105 310115 440305 330106 320505 510104 420106 610113 370202 350203 210102 130102 410102 500103 650102"
)


def identity(draw: random.Random) -> str:
    """An 18-digit identity card number."""
    born = date(1945, 1, 1) + timedelta(days=draw.randrange(24_000))
    first = draw.choice(AREAS) + born.strftime("%Y%m%d") + f"{draw.randrange(1000):03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return first + "10X98765432"[sum(int(a) * b for a, b in zip(first, weights, strict=True)) % 11]


def card(draw: random.Random) -> str:
    """A UnionPay card number of 16 or 19 digits with its Luhn digit."""
    head = draw.choice(words("622202 622848 621700 621661 622588 622262 621483 623058 622155 625996"))
    digits = head + "".join(draw.choice("0123456789") for _ in range(draw.choice((9, 12))))
    total = 0
    for place, sign in enumerate(reversed(digits)):
        value = int(sign) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return digits + str(-total % 10)


def credit_code(draw: random.Random) -> str:
    """A unified social credit code."""
    signs = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    first = draw.choice(("91", "91", "92", "12", "51", "52")) + draw.choice(AREAS)
    first += "".join(draw.choice(signs if draw.random() < 0.3 else "0123456789") for _ in range(9))
    weights = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
    return first + signs[-sum(signs.index(a) * b for a, b in zip(first, weights, strict=True)) % 31]


def digits(draw: random.Random, count: int) -> str:
    """``count`` digits, the first not 0."""
    return draw.choice("123456789") + "".join(draw.choice("0123456789") for _ in range(count - 1))


def mobile(draw: random.Random) -> str:
    """A mobile number of an issued segment."""
    head = draw.choice(
        words(
            "130 131 132 135 136 137 138 139 147 150 151 152 155 157 158 159 166 "
            "173 176 177 178 180 181 182 185 186 187 188 189 191 193 195 198 199"
        )
    )
    return head + digits(draw, 9)[1:]


def landline(draw: random.Random) -> str:
    """Area code and number."""
    area, count = draw.choice((("010", 8), ("021", 8), ("0755", 8), ("0571", 8), ("028", 8), ("0535", 7), ("0971", 7)))
    return area + draw.choice(("-", "-", " ", "－")) + draw.choice("25678") + digits(draw, count - 1)


def email(draw: random.Random) -> str:
    """An address at one of many hosts."""
    local = draw.choice(
        words("wang.fang li_na zhao88 sunny-day chen2020 h.y.liu m0bius tom+law guo_jing 2581470 x.y.z_9")
    )
    host = draw.choice(
        words("163.com qq.com corp.com.cn pku.edu.cn sina.cn gmail.com my-firm.net a.b-c.org outlook.com")
    )
    return f"{local}{draw.randrange(100)}@{host}"


def plate(draw: random.Random) -> str:
    """An ordinary, new-energy or special plate."""
    province = draw.choice("京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼")
    city, letters = draw.choice("ABCDEFGHJK"), "ABCDEFGHJKLMNPQRSTUVWXYZ"
    form = draw.randrange(6)
    dot = draw.choice(("", "", "·", " "))
    if form < 3:
        tail = list(digits(draw, 5))
        for _ in range(draw.randrange(3)):
            tail[draw.randrange(5)] = draw.choice(letters)
        return province + city + dot + "".join(tail)
    if form == 3:
        return province + city + dot + draw.choice("DF") + draw.choice("0123456789ABC") + digits(draw, 4)
    if form == 4:
        return province + city + dot + digits(draw, 5) + draw.choice("DF")
    return province + city + digits(draw, 4) + draw.choice("学挂警")


def case_number(draw: random.Random) -> str:
    """A case number of the rules of 2016, or of before."""
    year = draw.randint(2003, 2025)
    left, right = draw.choice((("（", "）"), ("(", ")"), ("〔", "〕"), ("[", "]")))
    if draw.random() < 0.2:
        court = draw.choice(("海民初", "浦刑", "二中民终", "朝行初", "高民申"))
        return f"{left}{year}{right}{court}字第{draw.randint(1, 29999)}号"
    court = draw.choice(("京0108", "沪01", "粤0304", "浙02", "川0191", "新40", "鲁1302", "苏05", "最高法", "京73"))
    kind = draw.choice(("民初", "民终", "刑初", "行终", "执", "执异", "民申", "知民终", "破申", "财保", "刑更", "民再"))
    return f"{left}{year}{right}{court}{kind}{draw.randint(1, 88888)}号"


def address(draw: random.Random) -> str:
    """A postal address down to the room."""
    head = draw.choice(
        ("北京市朝阳区", "上海市浦东新区", "广东省深圳市南山区", "浙江省杭州市西湖区", "成都市武侯区", "江苏省苏州市")
    )
    street = draw.choice(("建国路", "世纪大道", "科技园南路", "文三路", "人民南路", "中山北街", "解放巷"))
    tail = draw.choice(
        (
            "",
            f"{draw.randint(1, 30)}号楼{draw.randint(101, 2805)}室",
            f"{draw.randint(1, 9)}单元{draw.randint(101, 905)}室",
        )
    )
    return f"{head}{street}{draw.randint(1, 999)}号{tail}"


def name(draw: random.Random) -> str:
    """A full name of two to four characters."""
    surname = draw.choice("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕".strip())
    if draw.random() < 0.06:
        surname = draw.choice(words("欧阳 司马 上官 诸葛 慕容 皇甫"))
    given = "伟芳娜敏静丽强磊军洋勇艳杰涛明超霞平刚桂英华玉兰建国志宏思雨欣怡子轩浩然梓涵晓东海燕文博佳琪春梅立新"
    return surname + "".join(draw.choice(given) for _ in range(draw.choice((1, 2, 2, 2))))


def amount(draw: random.Random) -> str:
    """A sum of money."""
    return draw.choice(
        (
            f"{draw.randint(2, 99)}万元",
            f"{draw.randint(100, 99999)}元",
            f"{draw.randint(1, 99)},{draw.randint(100, 999)}.50元",
            "壹万贰仟叁佰元整",
            "三万五千元",
            f"¥{draw.randint(10, 9999)}.00",
            f"人民币{draw.randint(1000, 99999)}元",
        )
    )


def mac(draw: random.Random) -> str:
    """A hardware address."""
    return draw.choice(":-").join(f"{draw.randrange(256):02X}" for _ in range(6))


def ip(draw: random.Random) -> str:
    """An address of version 4 or 6."""
    if draw.random() < 0.2:
        return f"2408:8207:{draw.randrange(4096, 65536):x}::{draw.randrange(1, 65536):x}"
    return ".".join(str(draw.randint(1, 254)) for _ in range(4))


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "id_card": identity,
    "phone": mobile,
    "landline": landline,
    "email": email,
    "bank_card": card,
    "passport": lambda draw: draw.choice(
        ("E" + digits(draw, 8), "G" + digits(draw, 8), "E" + draw.choice("ABCDEFGH") + digits(draw, 7))
    ),
    "permit": lambda draw: draw.choice("HMC") + digits(draw, 8),
    "plate": plate,
    "uscc": credit_code,
    "case_no": case_number,
    "medical_no": lambda draw: draw.choice(("", "ZY", "MZ", "P")) + digits(draw, draw.randint(6, 10)),
    "wechat": lambda draw: (
        draw.choice(("wxid_", "li-", "Mimi", "law_", "z")) + draw.choice(("a1b2c3", "lawyer88", "x_2020", "happy99"))
    ),
    "qq": lambda draw: digits(draw, draw.randint(6, 10)),
    "ip": ip,
    "mac": mac,
    "amount": amount,
    "name": name,
    "address": address,
}
