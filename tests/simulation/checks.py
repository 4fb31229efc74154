"""What must hold when all is healed."""

from shared.log.store import FeedState
from shared.record.feed import Feed, is_holder
from shared.record.record import Record
from tests.simulation.district import District
from tests.simulation.host import Host
from tests.simulation.virtual import at_once

PROBLEMS_MAX = 5


class Promises:
    """The records whose authors were told that they are committed.

    Attributes:
        bad: rids of records with a wrong signature of their own.
    """

    def __init__(self, district: District) -> None:
        """Promise nothing yet."""
        self.bad: set[bytes] = set()
        self._district = district
        self._made: dict[bytes, Feed] = {}

    def add(self, record: Record) -> None:
        """Note that ``record`` was committed."""
        self._made[record.rid] = record.header.feed

    def forget_lost(self) -> None:
        """Release what a backup that was put back has thrown away: no disk holds it any more."""
        disks = [host.disk for host in self._district.hosts.values()]
        for rid in [rid for rid in self._made if not any(disk.holds(rid) for disk in disks)]:
            del self._made[rid]

    def broken(self) -> list[str]:
        """Return what is missing: in the trunk of a holder, or of a forked feed anywhere."""
        problems: list[str] = []
        hosts = self._district.running()
        for rid, feed in self._made.items():
            if any(_state(host, feed).stopped for host in hosts):
                if not any(host.disk.holds(rid) for host in hosts):
                    problems.append(f"a record of the forked {feed} is nowhere")
            else:
                problems += [
                    f"{host.code} lacks a record of {feed}"
                    for host in hosts
                    if is_holder(feed, host.code) and not host.disk.holds(rid)
                ]
        return problems[:PROBLEMS_MAX]


def find_unequal(district: District, bad: set[bytes]) -> list[str]:
    """Return the feeds of which two holders hold something else."""
    problems: list[str] = []
    hosts = district.running()
    feeds = {feed for host in hosts if host.node for feed in host.node.log.feeds}
    for feed in sorted(feeds, key=lambda one: one.key):
        held = {host.code: _good_state(host, feed, bad) for host in hosts
                if is_holder(feed, host.code)}  # fmt: skip
        if len(set(held.values())) > 1:
            told = ", ".join(
                f"{code} {count} {rid.hex()[:6]}{' stopped' if stopped else ''}"
                for code, (count, rid, stopped) in held.items()
            )
            problems.append(f"{feed} differs: {told}")
    return problems[:PROBLEMS_MAX]


def _state(host: Host, feed: Feed) -> FeedState:
    assert host.node is not None
    return host.node.log.state(feed)


def _good_state(host: Host, feed: Feed, bad: set[bytes]) -> tuple[int, bytes, bool]:
    """Return count, rid and stop; a bad signature at the end is nobody's record yet (5.5)."""
    assert host.node is not None
    state = _state(host, feed)
    count, rid = state.count, state.rid
    while count and rid in bad:
        count -= 1
        found = at_once(host.node.log.store.rids(feed, count - 1, 1)) if count else []
        rid = found[0] if found else b""
    return count, rid, state.stopped
