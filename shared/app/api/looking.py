"""What can be asked about the node itself and the district."""

from typing import Final

from shared.app.api.operation import AnyOperation, Call, Operation
from shared.app.api.requests import Nothing
from shared.app.api.responses import Divisions, Status
from shared.domain.divisions import view
from shared.web.i18n import later


async def status(call: Call[Nothing, Nothing, Nothing]) -> Status:
    """Say what is held, to whom the node talks, what waits."""
    return Status.model_validate(await call.act("status"))


async def divisions(call: Call[Nothing, Nothing, Nothing]) -> Divisions:
    """Return the divisions of the district."""
    return Divisions.model_validate({
        "items": [
            {"code": one.code, "label": one.label, "level": one.level.word, "parent": one.parent,
             "signing_key": one.signing_key, "certificate": one.certificate.hex()}
            for one in await call.look(view.divisions)
        ]
    })  # fmt: skip


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    Operation(
        method="GET", path="/divisions", name="listDivisions",
        summary=later("列出各单位和它们的公钥"), work=divisions, told=Divisions, is_public=True,
    ),
    Operation(
        method="GET", path="/status", name="readStatus",
        summary=later("这台机器存了什么，和谁连着，什么还没送到"), work=status, told=Status,
    ),
)  # fmt: skip
