"""The payload: notices and feedbacks made of few words, always the same ones.

A body has about 590 bytes of JSON. The text repeats a list of 65 words and so packs better than
what people write: numbers of bytes on the wire are to be compared with others on this payload only.
"""

import random
from collections.abc import Iterator
from typing import Any, Final

WORDS: Final = (
    "公告", "通知", "防火", "防汛", "医保", "低保", "社保", "补贴", "养老", "道路",
    "路灯", "供水", "供电", "燃气", "垃圾", "绿化", "河道", "水库", "农田", "灌溉",
    "秋收", "春耕", "种子", "农机", "粮食", "果园", "养殖", "防疫", "体检", "疫苗",
    "学校", "招生", "就业", "培训", "招聘", "宅基", "土地", "流转", "承包", "征收",
    "选举", "公示", "财务", "审计",
    "村委会", "党支部", "监委会", "合作社", "卫生室", "服务站", "文化站", "信息员",
    "网格员", "负责人", "办公室", "星期一", "星期五", "上半年", "下半年", "本季度",
    "已完成", "请配合", "请注意", "可办理", "有疑问",
)  # fmt: skip

PAIRS: Final = 29
"""Pairs of words a text."""


def text_of(chance: random.Random) -> str:
    """Return a text of ``PAIRS`` pairs of words, about 500 bytes of UTF-8."""
    words = chance.choices(WORDS, k=2 * PAIRS)
    return "，".join(first + second for first, second in zip(words[::2], words[1::2], strict=True))


def notices(count: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Yield the bodies of ``count`` notices; the same seed gives the same ones."""
    chance = random.Random(seed)
    for number in range(count):
        yield {
            "stream": "government",
            "category": "public_interest",
            "title": f"{''.join(chance.choices(WORDS, k=4))}{number}",
            "text": text_of(chance),
        }
