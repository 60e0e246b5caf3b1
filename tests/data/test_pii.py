"""Personal data are found where they stand, in every dress, and nothing else is."""

import json
import random
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_scripts.data.pii.find import DEFAULT_TYPES, PII_TYPES, find_pii
from lora_scripts.errors import ConfigError


def kinds(text, types=None):
    return [(s.type, s.value) for s in find_pii(text, types)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("身份证号：11010519491231002X。", "id_card", "11010519491231002X"),
        ("证件 110105 19491231 002x 已核验", "id_card", "110105 19491231 002x"),
        ("身份证１１０１０５１９４９１２３１００２Ｘ", "id_card", "１１０１０５１９４９１２３１００２Ｘ"),
        ("旧身份证110105491231002，一代证", "id_card", "110105491231002"),
        ("联系电话 138 0013 8000", "phone", "138 0013 8000"),
        ("打13800138000没人接", "phone", "13800138000"),
        ("号码+86-138-0013-8000", "phone", "+86-138-0013-8000"),
        ("手机138\u200b0013\u200b8000", "phone", "138\u200b0013\u200b8000"),
        ("我的电话是一三八〇〇一三八〇〇〇", "phone", "一三八〇〇一三八〇〇〇"),
        ("幺三八零零幺三八零零零打给我", "phone", "幺三八零零幺三八零零零"),
        ("call +852 9123 4567 please", "phone", "+852 9123 4567"),
        ("电话０１０－６５５５１２３４", "landline", "０１０－６５５５１２３４"),
        ("公司(0755)26551234转801", "landline", "(0755)26551234转801"),
        ("座机：65551234，白天", "landline", "65551234"),
        ("邮箱：a.b@corp.com.cn", "email", "a.b@corp.com.cn"),
        ("写给ｌｉ＠ｑｑ．ｃｏｍ吧", "email", "ｌｉ＠ｑｑ．ｃｏｍ"),
        ("卡号 6222 0212 3456 7890 128 已冻结", "bank_card", "6222 0212 3456 7890 128"),
        ("信用卡4111111111111111逾期", "bank_card", "4111111111111111"),
        ("统一社会信用代码91110000600037341L", "uscc", "91110000600037341L"),
        ("车牌沪AD12345的车", "plate", "沪AD12345"),
        ("京A·12345追尾", "plate", "京A·12345"),
        ("教练车粤B1234学", "plate", "粤B1234学"),
        ("（2023）京0108民初12345号判决", "case_no", "（2023）京0108民初12345号"),
        ("见(2010)海民初字第123号", "case_no", "(2010)海民初字第123号"),
        ("〔2021〕最高法知民终5号", "case_no", "〔2021〕最高法知民终5号"),
        ("(2023)京民终123号", "case_no", "(2023)京民终123号"),
        ("（2022）深国仲裁1234号", "case_no", "（2022）深国仲裁1234号"),
        ("京海劳人仲字[2023]第123号", "case_no", "京海劳人仲字[2023]第123号"),
        ("我打13800138000元旦前都行", "phone", "13800138000"),
        ("加V：lilei88", "wechat", "lilei88"),
        ("就诊卡：0012345678", "medical_no", "0012345678"),
        ("刘洋与公司签订劳动合同", "name", "刘洋"),
        ("乙方（签字）：王强", "name", "王强"),
        ("送到广州市天河区体育西路103号维多利广场A座2801", "address", "广州市天河区体育西路103号维多利广场A座2801"),
        ("护照号码E12345678", "passport", "E12345678"),
        ("港澳通行证C12345678已过期", "permit", "C12345678"),
        ("微信号 wx_lilei88", "wechat", "wx_lilei88"),
        ("加微信lawyer_zhang详聊", "wechat", "lawyer_zhang"),
        ("QQ：123456789", "qq", "123456789"),
        ("病历号：0012345678", "medical_no", "0012345678"),
        ("住院号ZY202312", "medical_no", "ZY202312"),
        ("从192.168.31.7登录", "ip", "192.168.31.7"),
        ("来自2408:8207:78cc::1的请求", "ip", "2408:8207:78cc::1"),
        ("MAC 00:1A:2B:3C:4D:5E", "mac", "00:1A:2B:3C:4D:5E"),
        ("欠款壹万贰仟元整未还", "amount", "壹万贰仟元整"),
        ("赔了3.5万元", "amount", "3.5万元"),
        ("我叫李雷，想咨询", "name", "李雷"),
        ("被告王小明于去年离职", "name", "王小明"),
        ("原告欧阳娜诉称", "name", "欧阳娜"),
        ("吴某提交了材料", "name", "吴某"),
        ("王某某与公司", "name", "王某某"),
        ("张建国先生您好", "name", "张建国"),
        ("我住在北京市朝阳区建国路88号3号楼1201室", "address", "北京市朝阳区建国路88号3号楼1201室"),
    ],
)
def test_each_type_is_found_in_the_forms_people_write(text, kind, value):
    assert kinds(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "根据《劳动合同法》第四十四条第1项",
        "订单号202311100012345678已发货",
        "订单编号：13800138000",
        "请拨打12333或12348咨询，急救120，报警110",
        "2023年11月10日10:30",
        "电话400-810-1234，800-820-8820",
        "客服热线95588",
        "合同编号HT13800138000",
        "序列号SN110105194912310021",
        "型号E12345678的打印机",
        "国发〔2023〕12号文件",
        "2023年最高人民法院发布第12号文件",
        "版本10.2.3.4已更新",
        "会议时间：2024-05-06 14:20:35",
        "商品条码6913800138000",
        "微信转账记录能当证据吗，QQ群里的话呢",
        "患者高血压多年，被告公司辩称已付，原告方认为应当赔偿，被告向法院申请延期",
        "客户经理说可以分期，项目经理让我走人，高级律师收费贵",
        "我是应届毕业生",
    ],
)
def test_numbers_and_words_that_only_look_like_it_stay(text):
    assert kinds(text) == []


def test_a_sum_of_eleven_digits_is_money_and_no_mobile():
    for text in ("金额13812345678.00元", "收入13812345678元", "余额：13812345678", "¥13812345678"):
        assert [k for k, _ in kinds(text) if k != "amount"] == []


def test_one_wrong_digit_is_no_identity_card_no_bank_card_and_no_credit_code():
    for value, kind in (
        ("11010519491231002X", "id_card"),
        ("6222021234567890128", "bank_card"),
        ("91110000600037341L", "uscc"),
    ):
        for place in range(len(value) - 1):
            if value[place].isdigit():
                for change in range(1, 10):
                    other = value[:place] + str((int(value[place]) + change) % 10) + value[place + 1 :]
                    assert value not in [v for _, v in kinds(other)]
                    assert kind not in [k for k, _ in kinds(other)], other


def test_thousand_identity_cards_made_by_the_standard_are_all_found():
    draw = random.Random(3)
    for _ in range(1000):
        first = f"{draw.choice(('110101', '440305', '650102'))}{draw.randint(1950, 2005)}{draw.randint(1, 12):02d}"
        first += f"{draw.randint(1, 28):02d}{draw.randint(0, 999):03d}"
        remainder = sum(int(d) * (2 ** (17 - i) % 11) for i, d in enumerate(first)) % 11
        number = first + "10X98765432"[remainder]
        assert ("id_card", number) in kinds(f"号码{number}。", ("id_card",))


def test_two_numbers_side_by_side_are_two():
    assert kinds("13800138000 13900139000") == [("phone", "13800138000"), ("phone", "13900139000")]
    assert kinds("2023-11-10 13800138000") == [("phone", "13800138000")]
    assert kinds("6222021234567890128 13800138000") == [
        ("bank_card", "6222021234567890128"),
        ("phone", "13800138000"),
    ]


def test_only_the_types_asked_for_are_found():
    text = "我叫李雷，手机13800138000，邮箱a@b.cn，（2023）京0108民初1号"
    assert [k for k, _ in kinds(text)] == ["name", "phone", "email", "case_no"]
    assert [k for k, _ in kinds(text, DEFAULT_TYPES)] == ["phone", "email"]
    assert [k for k, _ in kinds(text, ["name"])] == ["name"]


def test_an_unknown_type_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError) as error:
        find_pii("x", ["phone", "telefon"])
    assert "telefon" in str(error.value) and "medical_no" in str(error.value)


def test_a_name_found_once_is_found_everywhere_in_the_text():
    assert kinds("我叫李雷蕾。昨天李雷蕾去了法院。", ["name"]) == [("name", "李雷蕾"), ("name", "李雷蕾")]


BITS = st.lists(
    st.sampled_from(
        [
            "13800138000",
            "11010519491231002X",
            "6222021234567890128",
            "91110000600037341L",
            "a.b@c.cn",
            "京A12345",
            "微信",
            "QQ",
            "护照",
            "E12345678",
            "我叫",
            "李雷",
            "被告",
            "，",
            "。",
            " ",
            "-",
            "\u200b",
            "0",
            "1",
            "9",
            "〇",
            "一",
            "三",
            "八",
            "（2023）",
            "京0108民初1号",
            "元",
            "万",
            "@",
            ".",
            ":",
            "女士",
            "路",
            "88号",
            "北京市",
            "病历号",
            "[电话]",
            "０",
            "Ｘ",
            "\n",
            "+86",
            "::",
            "某",
            "和",
            "、",
        ]
    ),
    max_size=30,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.one_of(BITS, st.text(max_size=200)))
def test_spans_are_in_order_inside_the_text_and_never_overlap(text):
    spans = find_pii(text)
    for span in spans:
        assert 0 <= span.start < span.end <= len(text)
        assert text[span.start : span.end] == span.value
        assert span.type in PII_TYPES
    assert all(a.end <= b.start for a, b in pairwise(spans))


UNITS = (
    "1|1 |13|a|a.|@|a@|a@b.|6222 |京A|（2023）京|一三八|路"
    "|1号|北京市|王|王某|和王|我叫|微信|QQ|微信 |0:|1.|元|1,|护照|¥|病历号"
    "|\u200b1|我叫王|86|仲|A1B2|-|(|、李四|通行证H"
)


@pytest.mark.parametrize("unit", UNITS.split("|"))
def test_time_grows_with_length_and_not_faster(unit):
    def seconds(count):
        text = (unit * count)[:count]
        begin = time.process_time()
        find_pii(text)
        return time.process_time() - begin

    seconds(100)  # jieba loads once
    small, large = (min(seconds(count) for _ in range(2)) for count in (4_000, 16_000))  # a collection counts once
    assert large < max(0.25, 10 * small), f"{unit!r}: {small:.3f} s, four times the length {large:.3f} s"


def test_ordinary_text_goes_faster_than_a_megabyte_a_second():
    text = "根据《劳动合同法》第四十四条第1项，劳动合同期满的，劳动合同终止。请于2023年11月10日前提交材料。\n" * 5000
    begin = time.process_time()
    assert find_pii(text, DEFAULT_TYPES) == []
    assert len(text.encode()) / 1e6 / (time.process_time() - begin) > 1


def test_real_cases_and_consultations_hold_next_to_nothing(shared_data):
    cases = [p.read_text(encoding="utf-8") for p in sorted((shared_data / "zh_law_cases").glob("*.md"))]
    medical = (shared_data / "zh_medical" / "内科.txt").read_bytes().decode("gb18030")
    assert len(cases) == 10 and len(medical) > 500_000
    assert [s for text in [*cases, medical] for s in find_pii(text, DEFAULT_TYPES)] == []
    finance = "".join(p.read_text(encoding="utf-8") for p in sorted((shared_data / "zh_finance").glob("*.json")))
    assert [s.type for s in find_pii(finance, DEFAULT_TYPES)] == ["wechat"]  # 联系微信号：…, an editor's


def test_anonymised_parties_of_real_cases_are_found_as_names(shared_data):
    text = "".join(p.read_text(encoding="utf-8") for p in sorted((shared_data / "zh_law_cases").glob("*.md")))
    names = [s.value for s in find_pii(text, ["name"])]
    assert names.count("张某") == text.count("张某") > 30
    assert len([n for n in names if "某" not in n]) <= len(names) * 0.15


def test_statutes_hold_nothing_private(shared_data):
    rows = [json.loads(line) for line in (shared_data / "qa_statutes" / "statute_qa.jsonl").open(encoding="utf-8")]
    found = [
        s for row in rows for value in row.values() if isinstance(value, str) for s in find_pii(value, DEFAULT_TYPES)
    ]
    assert len(rows) > 1000 and found == []
