"""What the desk calls what stands in records: kinds, channels, outcomes, roles."""

from typing import Final

from shared.app.desk.caselist import Group
from shared.record.feed import Level
from shared.web.i18n import later

GROUPS: Final = {
    Group.LATE: later("已超期"),
    Group.TODAY: later("今天到期"),
    Group.WEEK: later("本周到期"),
    Group.LATER: later("以后到期"),
    Group.ON_THE_WAY: later("区里还没收到"),
    Group.ANSWERED: later("等评价"),
    Group.RATED: later("已评价"),
}
KINDS: Final = {
    "help": later("求助"),
    "ask": later("咨询"),
    "suggest": later("建议"),
    "complain": later("投诉"),
}
CHANNELS: Final = {
    "kiosk": later("触摸屏"),
    "web": later("手机"),
    "phone": later("电话"),
    "visit": later("走访"),
    "meeting": later("会上"),
    "monitor": later("监督员"),
    "open311": later("接口"),
}
OUTCOMES: Final = {
    "settled": later("已解决"),
    "explained": later("解释说明"),
    "passed_on": later("转别处办"),
    "declined": later("解决不了"),
}
PUBLISH: Final = {
    "full": later("全文"),
    "summary": later("摘要"),
    "count": later("只计数"),
}
ROLES: Final = {
    "handler": later("承办人"),
    "clerk": later("信息员"),
    "dispatcher": later("交办员"),
    "drafter": later("拟稿人"),
}
ALARMS: Final = {
    "low on memory": later("内存不够"),
    "low on disk": later("磁盘不够"),
    "low on memory & disk": later("内存和磁盘都不够"),
    "low on disk & memory": later("内存和磁盘都不够"),
}
"""By what RabbitMQ says when it blocks who publishes."""
DESKS: Final = {
    Level.DISTRICT: later("交办台"),
    Level.TOWN: later("办件台"),
}
