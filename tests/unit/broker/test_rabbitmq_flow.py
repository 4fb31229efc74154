"""Order, window and acknowledgement without a broker; messages and addresses as they are read."""

from pathlib import Path
from typing import Any

import pytest
from aio_pika import Message
from hypothesis import given
from hypothesis import strategies as st

from broker.rabbitmq.flow import WINDOW, Arrived, Incoming, Ledger
from broker.rabbitmq.listening import offset_of
from broker.rabbitmq.login import Login, client_tls, place_of, read_password
from broker.rabbitmq.parcel import Kind, Parcel, message_of, parcel_of
from broker.rabbitmq.topology import CHUNK_SECONDS, HEADS_SECONDS
from broker.router import SchemeRouter
from shared.errors import FaultError, InvalidError
from shared.link.carrier import Connection, LinkDownError, Listening
from shared.link.frames import Heads, encode_heads
from tests.support.records import key_of

LINK = "0123456789abcdef" * 2


def arrived(number: int) -> Arrived:
    """Return a frame that says its number."""
    return Arrived(b"%d" % number, lambda: None)


@given(st.permutations(range(WINDOW)), st.lists(st.integers(0, WINDOW - 1), max_size=4))
def test_frames_come_out_in_order_each_once(order: list[int], again: list[int]) -> None:
    """Whatever order and repetition the broker makes of a full window."""
    incoming, out = Incoming(), []
    for number in [*order, *again]:
        out += [int(item.frame) for item in incoming.offer(number, arrived(number))]
    assert out == list(range(WINDOW))
    assert incoming.repeated == len(again)
    assert not incoming.has_gap


def test_more_than_the_window_is_a_fault_of_the_neighbour() -> None:
    """A frame further ahead than what was taken allows is not even kept."""
    incoming = Incoming()
    with pytest.raises(FaultError):
        incoming.offer(WINDOW, arrived(1))
    incoming.offer(0, arrived(1))
    incoming.took()
    assert incoming.offer(WINDOW, arrived(2)) == []
    assert incoming.has_gap
    assert [item.frame for item in incoming.drop()] == [b"2"]


def test_the_sender_is_told_before_its_window_is_used_up() -> None:
    """Half a window after the last time."""
    incoming = Incoming()
    took = [incoming.took() for _ in range(WINDOW)]
    assert took.index(True) == WINDOW // 2 - 1
    assert incoming.tell() == WINDOW
    assert not incoming.took()


def test_only_what_was_handed_on_is_acknowledged() -> None:
    """Up to the first delivery that is still needed, many at once."""
    ledger = Ledger(10)
    for tag in (1, 2, 3, 4):
        ledger.came(tag)
    ledger.done(2)
    assert ledger.take() is None
    ledger.done(1)
    assert ledger.take() == 2
    assert ledger.take() is None
    ledger.done(3)
    ledger.done(4)
    assert ledger.take() == 4


def test_a_slow_link_does_not_hold_up_the_acknowledgement_of_others() -> None:
    """What waits longest counts as done once too much waits."""
    ledger = Ledger(2)
    ledger.came(1)  # of a link whose session takes nothing
    for tag in range(2, 50):
        ledger.came(tag)
        ledger.done(tag)
    assert ledger.take() is None
    ledger.came(50)
    ledger.came(51)
    assert ledger.take() == 49
    ledger.done(1)  # taken at last
    assert ledger.take() is None


HEADS = encode_heads(Heads("1", "2", bytes(8), 1, b"", 0, False, bytes(32)), key_of(1))


@pytest.mark.parametrize(
    ("parcel", "seconds"),
    [
        (Parcel(Kind.FRAME, LINK, 7, b"x" * 9, "u", "reply.1.x"), CHUNK_SECONDS),
        (Parcel(Kind.FRAME, LINK, 0, HEADS, "u", hears_all=True, taken=3), HEADS_SECONDS),
        (Parcel(Kind.TAKEN, LINK, 12, b"", "u"), HEADS_SECONDS),
        (Parcel(Kind.CLOSE, LINK, 0, b"why", "u"), HEADS_SECONDS),
    ],
)
def test_messages_come_back_as_they_were(parcel: Parcel, seconds: int) -> None:
    """And live as long as what they carry is of use."""
    message = message_of(parcel)
    assert parcel_of(message) == parcel
    assert message.expiration == seconds


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "other"}, {"type": None}, {"correlation_id": None}, {"correlation_id": LINK[1:]},
        {"headers": {}}, {"headers": {"n": "1"}}, {"headers": {"n": -1}}, {"headers": {"n": True}},
        {"headers": {"n": 1, "taken": -1}}, {"headers": {"n": 1, "taken": b"1"}},
        {"body": bytes(4 * 1024 * 1024 + 1)}, {"type": "close", "body": bytes(201)},
    ],
)  # fmt: skip
def test_a_message_that_is_none_of_ours_is_a_fault(changes: dict[str, Any]) -> None:
    """Each property that is missing or wrong."""
    good: dict[str, Any] = {
        "type": "frame",
        "correlation_id": LINK,
        "headers": {"n": 1},
        "body": b"",
    }
    given = good | changes
    assert parcel_of(Message(**good)).n == 1
    with pytest.raises(FaultError):
        parcel_of(Message(**given))


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("amqp://Broker/sanji", ("amqp://broker/sanji", "broker", 5672, "sanji", False)),
        ("amqps://b:5671/a%2Fb", ("amqps://b/a%2Fb", "b", 5671, "a/b", True)),
        ("amqp://[::1]:5673", ("amqp://[::1]:5673/", "::1", 5673, "/", False)),
    ],
)
def test_addresses_of_brokers(address: str, parts: tuple[str, str, int, str, bool]) -> None:
    """One form to sign and to compare; ports and the virtual host as RabbitMQ has them."""
    place = place_of(address)
    assert (place.address, place.host, place.port, place.vhost, place.is_tls) == parts


@pytest.mark.parametrize("address", ["ws://b/link", "amqp://u:p@b/v", "amqp://u@b/v", "amqp:///v"])
def test_what_is_no_address_of_a_broker(address: str) -> None:
    """Another scheme, a password, no host."""
    with pytest.raises(InvalidError):
        place_of(address)


def test_a_login_does_not_show_its_password(tmp_path: Path) -> None:
    """Neither does an error about its file."""
    file = tmp_path / "p"
    file.write_text("geheim\n")
    login = Login("u", read_password(str(file)))
    assert login.password == "geheim"
    assert "geheim" not in repr(login)
    file.write_text("\n")
    with pytest.raises(InvalidError, match="is empty"):
        read_password(str(file))
    with pytest.raises(InvalidError, match="cannot be read"):
        read_password(str(tmp_path / "none"))


def test_wrong_tls_files_are_refused_in_words(tmp_path: Path) -> None:
    """None at all means the system's."""
    assert client_tls("", "", "") is None
    with pytest.raises(InvalidError, match="TLS files of the broker"):
        client_tls(str(tmp_path / "none.pem"), "", "")


class Dialled:
    """A carrier that says what it was asked."""

    async def dial(self, peer: str, address: str) -> Connection:
        """Answer with an error that names the address."""
        raise LinkDownError(f"dialled {address}")


async def test_the_scheme_chooses_the_carrier() -> None:
    """One without a carrier is refused with what to do about it."""
    router = SchemeRouter({"ws": Dialled()}, {"amqp": "set a password"})
    with pytest.raises(LinkDownError, match="dialled ws://b/link"):
        await router.dial("1", "ws://b/link")
    with pytest.raises(LinkDownError, match="set a password"):
        await router.dial("1", "amqp://b/v")
    with pytest.raises(LinkDownError, match="no way"):
        await router.dial("1", "http://[")


async def test_only_some_carriers_can_listen() -> None:
    """Each address has the carrier of its scheme; who can only dial is passed over."""

    class Heard(Dialled):
        async def listen(self, source: str, address: str, back_seconds: float | None) -> Listening:
            raise LinkDownError(f"heard {source} {back_seconds}")

    router = SchemeRouter({"ws": Dialled(), "amqp": Heard()}, {})
    with pytest.raises(LinkDownError, match=r"heard 3406 5\.0"):
        await router.listen("3406", "amqp://there/v", 5.0)
    with pytest.raises(LinkDownError, match="nothing is said to all"):
        await router.listen("3406", "ws://there/link", 5.0)
    with pytest.raises(LinkDownError, match="knows no way"):
        await router.listen("3406", "http://there", 5.0)


def test_a_stream_is_begun_by_the_brokers_own_clock() -> None:
    """So long ago, or with the oldest; a bit earlier rather than later."""
    assert [offset_of(3600.0), offset_of(0.2), offset_of(None)] == ["3600s", "1s", "first"]
