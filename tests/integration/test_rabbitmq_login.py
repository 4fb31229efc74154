"""Logins at a real broker over TLS: by password, by certificate, and what is said when refused."""

from pathlib import Path

import pytest

from broker.rabbitmq.carrier import RabbitMqCarrier
from broker.rabbitmq.login import Login, client_tls, place_of
from broker.rabbitmq.wire import open_wire
from demo.servers.users import ADMIN, password_of
from shared.link.carrier import LinkDownError
from tests.support.carriers import CHILD, PARENT, RABBIT_TIMING, keys_of, soon
from tests.support.certificates import Authority
from tests.support.rabbit import RabbitServer
from tests.support.tiers import DISTRICT, TOWN, VILLAGE, Tiers, only


def shown(rabbit: RabbitServer, name: str) -> dict[str, str]:
    """Return the settings of who logs in by a certificate of that name."""
    certificate, key = rabbit.authority.issue(name)
    return {
        "broker_ca": str(rabbit.authority.ca), "broker_password_file": "",
        "broker_certificate": str(certificate), "broker_key": str(key),
    }  # fmt: skip


async def test_a_town_and_a_village_log_in_by_certificate(
    tmp_path: Path, rabbit: RabbitServer
) -> None:
    """Records cross both ways, and the broker knows each by the name in its certificate."""
    async with Tiers(tmp_path, rabbit.tls_address) as tiers:
        settings = {code: shown(rabbit, code) for code in (TOWN, VILLAGE)}
        settings[DISTRICT] = {"broker_ca": str(rabbit.authority.ca)}
        await tiers.start({TOWN: only("amqps"), VILLAGE: only("amqps")}, settings)
        await tiers.act(DISTRICT, "publish", title="通知", text="正文")
        await tiers.act(VILLAGE, "file", kind="ask", text="何时通水？")
        await tiers.settled()
        assert await tiers.linked_by(VILLAGE, TOWN) == "amqps"
        told = rabbit.ctl("list_connections", "user", "auth_mechanism").splitlines()
        assert set(told[1:]) == {f"{DISTRICT}\tPLAIN", f"{TOWN}\tEXTERNAL", f"{VILLAGE}\tEXTERNAL"}


async def dial(rabbit: RabbitServer, login: Login, address: str = "") -> None:
    """Dial the parent, whom nobody plays."""
    carrier = RabbitMqCarrier(CHILD, keys_of, login, timing=RABBIT_TIMING)
    await soon(carrier.dial(PARENT.code, address or rabbit.tls_address))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("stranger", "knows no user of the name in broker_certificate"),
        (PARENT.code, f"refused for user '{PARENT.code}'"),
        # Who may do everything may not send in another's name either.
        (ADMIN, f"user_id property set to '{CHILD.code}' but authenticated user was '{ADMIN}'"),
    ],
)
async def test_a_certificate_of_another_is_refused(
    rabbit: RabbitServer, name: str, says: str
) -> None:
    """By the broker, in words that tell what is wrong."""
    certificate, key = rabbit.authority.issue(name)
    ssl = client_tls(str(rabbit.authority.ca), str(certificate), str(key))
    with pytest.raises(LinkDownError, match=says):
        await dial(rabbit, Login(CHILD.code, None, ssl))


async def test_a_child_is_told_that_its_certificate_is_seen_only_over_tls(
    rabbit: RabbitServer,
) -> None:
    """The address comes from its parent, so it is a link that fails and not the node."""
    with pytest.raises(LinkDownError, match="needs amqps"):
        await dial(rabbit, Login(CHILD.code, None), rabbit.address)


async def test_a_broker_without_the_plugin_takes_no_certificate(rabbit: RabbitServer) -> None:
    """In clear the broker offers what one without the plugin offers everywhere."""
    place = place_of(rabbit.address)
    with pytest.raises(LinkDownError, match="takes no login by EXTERNAL"):
        await soon(open_wire(place, Login(CHILD.code, None), RABBIT_TIMING, "t"))


async def test_tls_needs_a_certificate_that_is_trusted(
    rabbit: RabbitServer, tmp_path: Path
) -> None:
    """The broker's is checked against the CA file; ours is shown, and checked there, if set."""
    ours, key = rabbit.authority.issue("village")
    foreign, foreign_key = Authority(tmp_path).issue("village")
    ca = str(rabbit.authority.ca)

    async def log_in(certificate: Path | str, key: Path | str, ca: str = ca) -> None:
        ssl = client_tls(ca, str(certificate), str(key))
        login = Login(CHILD.code, password_of(CHILD.code), ssl)
        place = place_of(rabbit.tls_address)
        await soon((await soon(open_wire(place, login, RABBIT_TIMING, "t"))).close())

    await log_in("", "")
    await log_in(ours, key)
    with pytest.raises(LinkDownError, match="certificate verify failed"):
        await log_in("", "", ca="")
    with pytest.raises(LinkDownError):
        await log_in(foreign, foreign_key)
