"""Personal data in the forms that people use past a filter, cards of other places, and numbers of goods."""

import pytest

from lora_scripts.data.pii.desensitize import desensitize_text
from lora_scripts.data.pii.find import DEFAULT_TYPES, find_pii

TYPES = (*DEFAULT_TYPES, "mac")


def kinds(text):
    return [(s.type, s.value) for s in find_pii(text, TYPES)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("把货款打到3702463788762321，收到请回", "bank_card", "3702463788762321"),
        ("昨天打到账号1030009846346487，没到账", "bank_card", "1030009846346487"),
        ("转账到这个卡4111111111111111谢谢", "bank_card", "4111111111111111"),
        ("到账号4367420012345678901一共3000", "bank_card", "4367420012345678901"),
        ("我的永久居留证号码911124198108030024", "id_card", "911124198108030024"),
        ("永居证号：942764196902014292", "id_card", "942764196902014292"),
        ("香港身份证G123456(A)可以开户吗", "id_card", "G123456(A)"),
        ("HKID: AB987654（3）", "id_card", "AB987654（3）"),
        ("身分證字號：A123456789", "id_card", "A123456789"),
        ("电话187·0452·8531，晚上联系", "phone", "187·0452·8531"),
        ("号码177/6264/1937", "phone", "177/6264/1937"),
        ("打185，1988，5333没人接", "phone", "185，1988，5333"),
        ("手机138_0013_8000", "phone", "138_0013_8000"),
        ("号码1️⃣3️⃣8️⃣0️⃣0️⃣1️⃣3️⃣8️⃣0️⃣0️⃣0️⃣，", "phone", "1️⃣3️⃣8️⃣0️⃣0️⃣1️⃣3️⃣8️⃣0️⃣0️⃣0️⃣"),
        ("他的号是wxid_nvzcyrzez9w50a，", "wechat", "wxid_nvzcyrzez9w50a"),
        ("加薇 zhao_1987 详聊", "wechat", "zhao_1987"),
        ("V：lawyer88", "wechat", "lawyer88"),
        ("有事Q：123456789", "qq", "123456789"),
        ("Q：123456789，验证写咨询", "qq", "123456789"),
        ("发到zhang#example.com就行", "email", "zhang#example.com"),
        ("write to zhang at example dot com, please", "email", "zhang at example dot com"),
        ("邮箱 zhang.san at gmail.com", "email", "zhang.san at gmail.com"),
        ("MAC地址：001A2B3C4D5E", "mac", "001A2B3C4D5E"),
        ("被一辆号牌VB·31374的车撞了", "plate", "VB·31374"),
        ("军A12345停在门口", "plate", "军A12345"),
        ("临时号牌京C4939临，过期一天", "plate", "京C4939临"),
        ("passport no. E12345678", "passport", "E12345678"),
        ("my passport number is 673971331 and it expires", "passport", "673971331"),
    ],
)
def test_forms_past_a_filter_and_cards_of_other_places_are_found(text, kind, value):
    assert kinds(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "料号16680730215缺货",
        "料号 E36212997",
        "SKU：13800138000",
        "报告编号：20231234567",
        "登记号：76299447",
        "软著登记号2023SR175592",
        "海关登记号9766528533",
        "阅读量17880860263",
        "播放量：18217232309次",
        "版本13800138000",
        "护照有效期至20300101",
        "通行证有效期20280630",
        "身份证有效期20100506-20300506",
        "双卡手机 5240949549922521",
        "打卡记录3702463059977897",
        "微信 iPhone15ProMax 双卡版",
        "Q：123456789这个数字怎么读？",
        "Q：12345678元的合同怎么交税？",
        "Q：123456\nA：对的",
        "V：verb，动词",
        "型号VB12345的车床",
        "C#example.net 框架",
        "see page.html#section.com",
        "look at google dot com",
        "MAC口红123456789012",
        "色号A123456(3)",
    ],
)
def test_goods_counters_versions_and_dates_are_nobodys_data(text):
    assert kinds(text) == []


def test_a_wrong_check_digit_is_no_card_of_hong_kong_taiwan_or_a_foreigner():
    for right, wrong in (
        ("香港身份证G123456(A)", "香港身份证G123456(3)"),
        ("身份证A123456789", "身份证A123456788"),
        ("证号911124198108030024", "证号911124198108030034"),
    ):
        assert kinds(right) and not kinds(wrong)


def test_the_permanent_residence_numbers_of_all_provinces_are_found():
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    for province in (*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66)):
        first = f"9{province}84019810803002"
        number = first + "10X98765432"[sum(int(a) * b for a, b in zip(first, weights, strict=True)) % 11]
        assert kinds(f"号码{number}。") == [("id_card", number)]


@pytest.mark.parametrize("form", ["138/0013/8000", "138_0013_8000", "138·0013·8000", "1️⃣3️⃣8️⃣0️⃣0️⃣1️⃣3️⃣8️⃣0️⃣0️⃣0️⃣"])
def test_a_number_with_other_signs_gets_the_pseudonym_of_the_plain_one(form):
    plain, other = (desensitize_text(f"打{text}", mode="pseudonym", key="k")[0] for text in ("13800138000", form))
    assert plain == other != "打13800138000"
