"""What one side of a link holds of the feeds that both carry, and its root (protocol 5.2)."""

from collections import UserDict

from shared.link.frames import Entry, State, encode_entry, root_of
from shared.record.feed import Feed


class Holdings(UserDict[Feed, Entry]):
    """Entries by feed. The root is taken again only over what changed since."""

    def __init__(self) -> None:
        """Start with nothing held."""
        self._encoded: dict[bytes, bytes] = {}
        self._stale: set[Feed] = set()
        self._root = root_of(())
        super().__init__()

    def __setitem__(self, feed: Feed, entry: Entry) -> None:
        """Hold ``entry`` of ``feed``."""
        super().__setitem__(feed, entry)
        self._stale.add(feed)

    def __delitem__(self, feed: Feed) -> None:
        """Hold nothing of ``feed``."""
        super().__delitem__(feed)
        self._stale.add(feed)

    def count(self, feed: Feed) -> int:
        """Return how many records of ``feed`` are held."""
        entry = self.get(feed)
        return entry.count if entry else 0

    def listed(self) -> list[Entry]:
        """Return what stands in a Heads with all entries."""
        return [entry for entry in self.values() if entry.count or entry.state is not State.OK]

    @property
    def root(self) -> bytes:
        """SHA-256 over the entries in order; feeds without a record count only if forked."""
        if self._stale:
            for feed in self._stale:
                entry = self.get(feed)
                if entry is not None and _is_covered(entry):
                    self._encoded[feed.key] = encode_entry(entry)
                else:
                    self._encoded.pop(feed.key, None)
            self._stale.clear()
            self._root = root_of(self._encoded[key] for key in sorted(self._encoded))
        return self._root

    def covered(self) -> "Holdings":
        """Return those entries that the root speaks of: what a side with the same root holds."""
        same = Holdings()
        same._root = self.root
        same._encoded = self._encoded.copy()
        same.data = {feed: entry for feed, entry in self.items() if _is_covered(entry)}
        return same


def _is_covered(entry: Entry) -> bool:
    return entry.count > 0 or entry.state is State.STOPPED
