"""Sentences with personal data and the truth about them, and sentences that only look so; for pii_detection.py.

They share no code with the detectors: values and their check digits are made in pii_values.py, sentences are written
for this bench, and values come in several forms: plain, full-width, in groups, with zero-width characters, in Chinese
digits.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from pii_values import MAKERS, digits, mobile  # type: ignore[import-not-found]  # it lies beside this file


class Sentence(NamedTuple):
    """A text and its truth: (start, end, type)."""

    text: str
    truth: tuple[tuple[int, int, str], ...]


WIDE = str.maketrans("0123456789X-", "０１２３４５６７８９Ｘ－")
SPOKEN = str.maketrans("0123456789", "〇一二三四五六七八九")
FORMAL = str.maketrans("0123456789", "零壹贰叁肆伍陆柒捌玖")
HOLDING = """
我的身份证是{id_card}，请问要带原件吗？
公民身份号码：{id_card}，户籍已迁出。
{name}，男，{id_card}，住所不明。
身份证号码{id_card}、手机{phone}都登记过了
我把证件号{id_card}填错了一位怎么办
ID：{id_card}
系统里显示{id_card}这个号已被别人用了
老人的证号为 {id_card} ，没有社保卡
{id_card}是我父亲的号码，能代办吗
打{phone}没人接，投诉到哪里？
手机号：{phone}，姓名：{name}。
请在工作日联系{phone}，谢谢。
我在平台留的是{phone}，结果天天有推销
法院说会打我{phone}这个号
{phone}（{name}）
对方电话为{phone}/{phone}，都停机了
号码{phone}是骗子吗？
有事call {phone}
微信同号{phone}，随时可以
座机{landline}，上午有人。
单位电话：{landline}，找人事科
传真 {landline}
材料发到{email}就行
Email: {email}，收到请回。
请把合同扫描件寄往{email}，抄送{email}。
他的邮箱是{email}。
注册用的{email}被盗了怎么找回
工资卡{bank_card}被冻结了
请汇到{bank_card}（开户行：工商银行）
卡号：{bank_card}，户名{name}
我向{bank_card}转了三笔钱
信用卡 {bank_card} 逾期两个月
尾款打到这张卡上：{bank_card}
借记卡号为{bank_card}，密码忘了
护照{passport}过期了还能补办吗
我的护照号是{passport}，签证被拒
护照号码：{passport}
持{passport}护照入境
港澳通行证号{permit}，签注还剩一次
回乡证：{permit}
往来港澳通行证 {permit} 丢失
车牌{plate}的车停在我家门口
{plate}肇事逃逸
我开的是{plate}，被追尾了
小型轿车（号牌号码：{plate}）
昨晚{plate}在路口闯红灯
统一社会信用代码：{uscc}
公司代码{uscc}，已被吊销
纳税人识别号{uscc}的发票能报销吗
{uscc}是这家店的执照号
本院作出{case_no}民事判决，我不服
见{case_no}
案号：{case_no}，什么时候开庭
不服{case_no}裁定，怎么上诉？
根据{case_no}文书，对方应当还款
病历号{medical_no}，昨天做的CT
住院号：{medical_no}，床位12
门诊号是{medical_no}
就诊卡号 {medical_no} ，想查报告
病案号{medical_no}的复印件
加我微信{wechat}详聊
微信号：{wechat}
wx：{wechat}，备注咨询
对方微信是{wechat}，已拉黑
我的QQ是{qq}
QQ：{qq}，加的时候说明来意
扣扣号{qq}
登录IP：{ip}，不是我本人操作
来自{ip}的请求太多
服务器地址{ip}
网卡MAC：{mac}
设备{mac}已绑定
我叫{name}，今年三十二岁。
姓名：{name}
原告{name}诉称被告{name}拖欠工资。
被告{name}于去年三月离职
患者{name}因胸闷入院
{name}女士您好，材料已收到。
委托代理人{name}，某律师事务所律师
联系人：{name}，{phone}
申请人{name}与公司签订了合同
证人{name}出庭作证
收件人{name}
我老公{name}在外面欠了钱
借款人{name}向我借款
{name}先生的快递
法定代表人：{name}，董事长。
我是{name}，想咨询一下离婚的事
员工{name}被辞退
主治医生{name}说要住院
我住在{address}
地址：{address}
送达地址为{address}，邮编不详
家住{address}，拆迁怎么补
公司搬到{address}了
他欠我{amount}不还
赔偿{amount}合理吗？
月工资{amount}，加班费怎么算
"""
EMPTY = """
根据《劳动合同法》第四十四条第{n2}项
依据第{n3}条、第{n3}条之规定
订单号{n18}已发货
订单编号：{n11p}，三天没动静
快递单号{n12}，查不到物流
流水号：{n16}
合同编号 HT{n11p}
发票号码{n8}，金额{n4}元没到账吗
营业收入{n11p}.00元，同比增长
今年销售额为{n11p}元
2023年11月10日10:30开庭
时间：2024-05-06 14:20:35
请拨打12348或12333咨询
电话400-810-{n4}，全国统一
客服热线95588、10086
急救打120，报警打110，消费投诉打12315
800-820-{n4}也可以打
商品条码69{n11p}
序列号SN{n18}
国药准字H{n8}
型号E{n8}的打印机
产品编号：G{n8}
第{n2}号令发布于2020年
身高{n3}厘米，体重{n2}公斤
版本10.2.{n2}.{n2}已经更新
血压120/80，心率{n2}次
国发〔2023〕{n2}号文件
法释（2020）{n2}号
GB 11643-1999 是什么标准
ISBN 978-7-5118-{n4}-{n1}
身份证号要填十八位
我的手机号可以注销吗
微信转账记录能当证据吗
QQ群里的聊天有效吗
银行卡被冻结了怎么办
车牌怎么过户
一共{n5}人参加，占{n2}.{n2}%
面积{n3}.{n2}平方米
电话号码一共十一位
编号{n15}的档案
批次20231110{n4}
《民法典》第一千零四十二条
二〇二三年十月一日起施行
运单SF{n13}
邮编100{n3}
准考证号在网上查
护照丢了要先挂失
工号{n6}，入职三年
原告应当在期限内提交证据
被告公司辩称已经付清
患者高血压多年
申请人于十五日内起诉
客户经理说可以分期
我是应届毕业生
项目经理让我走人
"""


def wrong(draw: random.Random, value: str) -> str:
    """``value`` with one digit changed."""
    place = draw.randrange(8, len(value) - 1)
    other = str((int(value[place]) + draw.randint(1, 9)) % 10) if value[place].isdigit() else "0"
    return value[:place] + other + value[place + 1 :]


def dressed(draw: random.Random, kind: str, value: str) -> str:
    """``value`` in one of the forms that people write."""
    form = draw.random()
    if kind == "phone" and draw.random() < 0.06:
        return draw.choice(("+86 ", "+86-", "86", "+86")) + value
    if form < 0.55 or kind in ("name", "address", "amount", "case_no", "email", "wechat", "mac", "ip"):
        return value
    if form < 0.68:
        return value.translate(WIDE)
    if form < 0.78:
        places = sorted(draw.sample(range(1, len(value)), min(2, len(value) - 1)), reverse=True)
        for place in places:
            value = value[:place] + draw.choice("\u200b\u200d\ufeff\u2060") + value[place:]
        return value
    if form < 0.92:
        sizes = {"phone": (3, 4, 4), "id_card": (6, 8, 4), "bank_card": (4, 4, 4, 4, 4), "uscc": (8, 10)}.get(kind)
        if sizes is None:
            return value
        groups = []
        for size in sizes:
            groups.append(value[:size])
            value = value[size:]
        return draw.choice((" ", "-", " ")).join(g for g in groups if g)
    if kind in ("phone", "id_card", "bank_card"):
        return value.translate(draw.choice((SPOKEN, SPOKEN, FORMAL)))
    return value


def holding(draw: random.Random, template: str) -> Sentence:
    """A sentence with personal data."""
    text, truth = "", []
    while "{" in template:
        words, _, rest = template.partition("{")
        kind, _, template = rest.partition("}")
        value = dressed(draw, kind, MAKERS[kind](draw))
        text += words
        truth.append((len(text), len(text) + len(value), kind))
        text += value
    return Sentence(text + template, tuple(truth))


def empty(draw: random.Random, template: str) -> Sentence:
    """A sentence that looks like it and holds none; amounts in it are amounts."""
    for size in (18, 16, 15, 13, 12, 8, 6, 5, 4, 3, 2, 1):
        while f"{{n{size}}}" in template:
            template = template.replace(f"{{n{size}}}", digits(draw, size), 1)
    while "{n11p}" in template:
        template = template.replace("{n11p}", mobile(draw), 1)
    return Sentence(template, ())


def sentences(count: int, seed: int) -> list[Sentence]:
    """The whole set: two thirds with personal data, the rest hard negatives and numbers with a wrong check digit."""
    draw = random.Random(seed)
    full, none = HOLDING.strip().splitlines(), EMPTY.strip().splitlines()
    out = []
    for index in range(count):
        if index % 3:
            out.append(holding(draw, full[index * 2 // 3 % len(full)]))
        elif index % 12 == 3:
            kind = draw.choice(("id_card", "bank_card", "uscc"))
            out.append(
                Sentence(f"{draw.choice(('号码', '编的假号', '系统提示有误：'))}{wrong(draw, MAKERS[kind](draw))}", ())
            )
        else:
            out.append(empty(draw, none[index // 3 % len(none)]))
    return out
