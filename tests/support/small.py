"""A small district for story and demo, and the processes that a command leaves or does not."""

import os
import select
from contextlib import suppress
from pathlib import Path
from typing import Final

DIVISIONS: Final = """code,name,level,parent
340602,杜集区,district,
340602100,朔里镇,town,340602
340602101,石台镇,town,340602
340602100201,沈集村,village,340602100
340602100202,官庄村,village,340602100
340602101201,窦庄村,village,340602101
"""
"""As many kinds of processes as the whole district has, and nodes that start in a moment."""

NODES: Final = DIVISIONS.count("\n") - 1

END_SECONDS_MAX: Final = 20.0


def divisions_beside(folder: Path) -> str:
    """Write the divisions into a file beside ``folder`` and return its name."""
    file = folder.with_suffix(".csv")
    file.write_text(DIVISIONS, "utf-8")
    return str(file)


class Family:
    """All processes that one has begun, each held fast so that its number is never another's."""

    def __init__(self, pid: int) -> None:
        """Find them; ``pid`` itself is not among them."""
        self.names: list[str] = []
        self._ends: list[int] = []
        self._find(pid)

    def _find(self, pid: int) -> None:
        for task in Path(f"/proc/{pid}/task").glob("*"):
            for child in map(int, (task / "children").read_text().split()):
                with suppress(OSError):  # a short one, such as a broker's look at its disk
                    name = Path(f"/proc/{child}/comm").read_text().strip()
                    self._ends.append(os.pidfd_open(child))
                    self.names.append(name)
                    self._find(child)

    def left(self) -> list[str]:
        """Return the names of those that do not end, given the time that an end takes."""
        named = zip(self.names, self._ends, strict=True)
        left = [name for name, end in named if not select.select([end], [], [], END_SECONDS_MAX)[0]]
        for end in self._ends:
            os.close(end)
        return left
