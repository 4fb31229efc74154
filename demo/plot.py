"""What the chapters share: who plays which part, the words that are said, what was counted."""

from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from demo.district import District, Division
from demo.stage import Stage
from shared.errors import InvalidError

RURAL = ("关于秋冬季秸秆禁烧的通知", "请各村于本月底前完成田间秸秆清理，严禁露天焚烧。")
TOWN_ONLY = ("镇区道路维修期间绕行的通知", "本周五至周日，镇区主路封闭维修，请绕行北环路。")
ONE_VILLAGE = ("请核对低保公示名单", "附件所列名单请于三日内在村务公开栏张贴。")
URGENT = ("暴雨红色预警", "今夜有特大暴雨，低洼处住户请立即转移到村部。")
VOICES = (
    ("ask", "村东头的路灯坏了半个月，什么时候能修好？", "村东头"),
    ("suggest", "建议卫生室周末也开门，老人拿药不方便。", "村卫生室"),
)
ANSWERS = ("路灯已报修，三天内修好。", "已与卫生院商定，下月起周六上午开诊。")


@dataclass
class Cast:
    """Who plays which part.

    Attributes:
        district: The district's node.
        town: Answers a case; above ``cut`` and ``lossy``.
        killed: The town whose process is killed; above ``altered``.
        cut: The village that is cut off and files meanwhile.
        lossy: The village on the bad line.
        altered: The village on whose line a record is altered.
    """

    district: Division
    town: Division
    killed: Division
    cut: Division
    lossy: Division
    altered: Division


@dataclass
class Plot:
    """What the chapters share.

    Attributes:
        stage: The nodes.
        cast: The parts.
        console: Where the story is told.
        notice: Title and text of the district's first notice.
        counted: Figures that only running nodes can tell.
        cases: Receipt and secret of what was filed.
    """

    stage: Stage
    cast: Cast
    console: Console
    notice: tuple[str, str]
    counted: dict[str, int] = field(default_factory=dict)
    cases: list[dict[str, Any]] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Tell one thing that happened."""
        self.console.print(f"  {text}")


def cast_for(district: District) -> Cast:
    """Choose the parts: the two towns with the most villages, and villages of theirs.

    Raises:
        InvalidError: there are not two towns with villages.
    """
    towns = sorted(district.towns, key=lambda town: -len(district.villages_of(town)))
    if len(towns) < 2 or not district.villages_of(towns[1]):  # noqa: PLR2004 - two towns
        raise InvalidError("the story needs a district with two towns that have villages.")
    first, second = district.villages_of(towns[0]), district.villages_of(towns[1])
    return Cast(district.top, towns[0], towns[1], first[0], first[-1], second[0])
