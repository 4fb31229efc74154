"""What the control page asks of the stage; its tests have one without nodes."""

from typing import Any, Protocol

from demo.district import District, Division


class Staged(Protocol):
    """What is asked of the stage."""

    district: District

    async def ask(self, division: Division, act: str, **given: Any) -> dict[str, Any]:
        """Let a node do something."""

    async def cable(self, division: Division, **faults: float) -> None:
        """Set faults of the line between a division and its parent."""

    async def kill(self, division: Division) -> None:
        """End the process of a division by SIGKILL."""

    def beside(self, division: Division) -> tuple[Division, ...]:
        """Return who lives in the same process."""

    async def revive(self, division: Division) -> None:
        """Start that process again, and its nodes in it."""

    async def flood(self, division: Division, texts: list[str], count: int) -> None:
        """Let many people speak at once."""


class Watched(Staged, Protocol):
    """What the room asks of the stage besides what the switchboard does."""

    def gone(self) -> tuple[Division, ...]:
        """Return one division of each process that has ended."""

    async def carried(self) -> dict[str, list[int]]:
        """Return what each line has carried."""
