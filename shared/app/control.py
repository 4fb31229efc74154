"""The control socket: how a command reaches the node that serves (0600, in its home).

One request a connection, one JSON object a line: ``{"act": …, "with": {…}}`` goes in;
``{"done": …, "total": …}`` come out while long work goes on, then ``{"result": …}`` or
``{"error": …, "exit": …}``.
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import structlog

from shared.app.acts import ACTS, Act, Progress
from shared.errors import (
    FaultError,
    InvalidError,
    NotFoundError,
    RefusedError,
    SanjiError,
    StorageError,
    UnavailableError,
)
from shared.node.node import Node


class NotServingError(UnavailableError):
    """The node does not serve."""


ERRORS: Final[dict[str, type[SanjiError]]] = {
    kind.__name__: kind
    for kind in (
        SanjiError, InvalidError, FaultError, RefusedError, NotFoundError, UnavailableError,
        StorageError,
    )
}  # fmt: skip
"""How an error keeps its class, and so its exit code, on its way through the socket."""

LINE_BYTES_MAX: Final = 1024 * 1024
PROGRESS_EVERY: Final = 50

logger = structlog.get_logger(__name__)


async def perform(
    node: Node,
    act: str,
    given: dict[str, Any],
    progress: Progress,
    more: Mapping[str, Act] = MappingProxyType({}),
) -> Any:
    """Do one act, of those that every node has or of ``more``.

    Raises:
        InvalidError: there is no such act, or it takes other arguments.
        SanjiError: whatever the act refuses.
    """
    function = ACTS.get(act) or more.get(act)
    if function is None:
        raise InvalidError(f"there is no act {act[:40]!r}")
    return await function(node, progress, **given)


def _known_class(error: SanjiError) -> str:
    names = (kind.__name__ for kind in type(error).__mro__)
    return next(name for name in names if name in ERRORS)


class ControlServer:
    """Listens on the home's socket while the node serves."""

    def __init__(
        self, node: Node, path: Path, more: Mapping[str, Act] = MappingProxyType({})
    ) -> None:
        """Serve acts on ``node`` at ``path``; ``more`` are those of a node that serves only."""
        self._node = node
        self._more = more
        self._path = path
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; an old socket file is replaced (the lock says that nobody uses it)."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._serve, str(self._path), limit=LINE_BYTES_MAX
            )
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(reader, writer)
            writer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
            await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> dict[str, Any]:
        def progress(done: int, total: int) -> None:
            if done % PROGRESS_EVERY == 0 or done == total:
                writer.write(json.dumps({"done": done, "total": total}).encode() + b"\n")

        try:
            request = json.loads(await reader.readline())
            act, given = request["act"], request["with"]
            return {"result": await perform(self._node, act, given, progress, self._more)}
        except SanjiError as error:
            return {"error": str(error), "type": _known_class(error)}
        except (ValueError, KeyError, TypeError) as error:
            return {"error": f"not a request: {error}", "type": "InvalidError"}
        except Exception:  # the socket answers in words whatever happens; the log has the rest
            logger.exception("act failed")
            return {"error": "the node failed; its log says why.", "type": "SanjiError"}


async def ask(
    path: Path, act: str, given: dict[str, Any], progress: Callable[[int, int], None]
) -> Any:
    """Let the serving node at ``path`` do one act.

    Raises:
        NotServingError: nobody serves there.
        SanjiError: what the node answered.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=16 * LINE_BYTES_MAX)
    except OSError:
        raise NotServingError from None
    try:
        writer.write(json.dumps({"act": act, "with": given}).encode() + b"\n")
        await writer.drain()
        while line := await reader.readline():
            answer = json.loads(line)
            if "result" in answer:
                return answer["result"]
            if "error" in answer:
                raise ERRORS.get(answer.get("type", ""), SanjiError)(answer["error"])
            progress(answer["done"], answer["total"])
        raise UnavailableError("the node stopped before it answered.")
    finally:
        writer.close()
