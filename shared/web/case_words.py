"""What kiosk and desk both call the topics of cases and what people think of answers."""

from typing import Final

from shared.web.i18n import later

TOPICS: Final = {
    "roads": later("路和路灯"),
    "water": later("水和电"),
    "health": later("看病医保"),
    "welfare": later("低保补助"),
    "land": later("田地房屋"),
    "school": later("孩子上学"),
    "waste": later("环境卫生"),
    "safety": later("安全治安"),
    "other": later("别的事"),
}
SCORES: Final = {
    "satisfied": later("满意"),
    "fair": later("基本满意"),
    "unsatisfied": later("不满意"),
}
