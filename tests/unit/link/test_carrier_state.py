"""What a carrier tells of itself: connected or not, how often again, why not."""

from shared.link.carrier import CarrierState


def test_an_alarm_is_told_until_it_is_connected_again() -> None:
    """Who lost a blocked connection is told why; the next connection has no alarm yet."""
    state = CarrierState(answers=False, address="amqps://broker.example/sanji")
    state.connected(1)
    state.alarm = "low on memory"
    state.lost("the broker took nothing for 60 s")
    assert (state.connected_since_ms, state.alarm) == (None, "low on memory")
    assert state.trouble == "the broker took nothing for 60 s"
    state.connected(2)
    assert (state.connected_since_ms, state.alarm, state.reconnects) == (2, "", 1)


def test_one_of_two_connections_is_enough() -> None:
    """The second begins nothing new, and its end ends nothing."""
    state = CarrierState(answers=False)
    state.connected(1)
    state.alarm = "low on disk"
    state.connected(2)
    state.lost("one ended")
    assert (state.connected_since_ms, state.alarm, state.reconnects) == (1, "low on disk", 0)
    state.lost("the other ended")
    assert state.connected_since_ms is None


def test_who_was_never_connected_did_not_reconnect() -> None:
    """Nor has an address that was never used a scheme."""
    state = CarrierState(answers=False)
    assert (state.reconnects, state.scheme, state.connected_since_ms) == (0, "", None)
    state.address = "wss://town.example/link"
    assert state.scheme == "wss"
