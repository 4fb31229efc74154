"""The commands: what they are called, what they take, how they fail.

A command speaks to the serving node through its control socket, else opens the home itself. Every
failure is one line on standard error that says what to do, and an exit code other than 0.
"""

import asyncio
import json
import logging
import os
import sys
import traceback
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import segno
import structlog
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from shared.app import compose, control
from shared.domain.notices.rules import read_notice
from shared.errors import (
    InvalidError,
    NotFoundError,
    RefusedError,
    SanjiError,
    StorageError,
    UnavailableError,
)
from shared.node.home import Home
from shared.node.settings import load_settings
from shared.record.feed import Level

EXIT_CODES: Final[dict[type[SanjiError], int]] = {
    InvalidError: 2,
    RefusedError: 3,
    NotFoundError: 4,
    UnavailableError: 5,
    StorageError: 6,
}
"""Exit code by error; any other failure is 1."""

FILE_BYTES_MAX: Final = 1024 * 1024

HomeOption = Annotated[
    Path, typer.Option("--home", envvar="SANJI_HOME", help="Folder in which the node lives.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
TextFile = Annotated[Path, typer.Argument(help="UTF-8 text or Markdown; - reads standard input.")]

out = Console(highlight=False, soft_wrap=True)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a command to its end; errors become one line and an exit code."""
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    # Looked up at each line: who runs several commands in one process may have exchanged it.
    structlog.configure(
        wrapper_class=quiet, logger_factory=lambda *_name: structlog.PrintLogger(sys.stderr)
    )
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BaseExceptionGroup as group:
        fail(_first(group))
    except Exception as error:  # noqa: BLE001 - the edge: nothing may end in a traceback
        fail(error)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def fail(error: BaseException) -> None:
    """Say what happened in one line and leave with its exit code.

    Raises:
        typer.Exit: always.
    """
    if isinstance(error, SanjiError):
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        codes = (code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
        raise typer.Exit(next(codes, 1)) from None
    if os.environ.get("SANJI_DEBUG"):
        traceback.print_exception(error)
    reason = " ".join(str(error).split()) or type(error).__name__
    sys.stderr.write(f"this did not work: {reason}. SANJI_DEBUG=1 shows where.\n")
    raise typer.Exit(1) from None


async def perform(home: Home, act: str, **given: Any) -> Any:
    """Do one act of ``shared.app.acts`` on the node in ``home``, serving or not."""
    with Progress(
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(act, total=None, visible=False)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None, visible=True)

        home.identity()
        if home.control_file.exists():
            with suppress(control.NotServingError):
                return await control.ask(home.control_file, act, given, progress)
        async with compose.open_node(home) as node:
            return await control.perform(node, act, given, progress)


def show_result(result: dict[str, Any], *, as_json: bool = False) -> None:
    """Print what an act answered: JSON, or a line a field."""
    if as_json:
        sys.stdout.write(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
        return
    for name, value in result.items():
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        out.print(f"{name}: {shown}", markup=False)


def read_file(path: Path) -> bytes:
    """Return the bytes of a file that a person named, at most 1 MiB.

    Raises:
        NotFoundError: it cannot be read.
        InvalidError: it is too large.
    """
    try:
        source = sys.stdin.buffer if str(path) == "-" else path.open("rb")
        with source:
            data = source.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > FILE_BYTES_MAX:
        raise InvalidError(f"{path} is larger than 1 MiB.", advice="Shorten or split it.")
    return data


def read_text(path: Path) -> str:
    """Return the text of a file, title and body together."""
    title, text = read_notice(read_file(path), path.name)
    return f"{title}\n\n{text}".strip()


def common(level: Level) -> typer.Typer:
    """Return the commands that every tier has."""
    app = typer.Typer(
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        help=f"A {level.word} node of Sanji 三级互动.",
    )  # fmt: skip
    _add_serving(app)
    _add_notices(app)
    _add_looking(app)
    _add_keeping(app)
    return app


def _add_serving(app: typer.Typer) -> None:
    @app.command()
    def serve(
        home: HomeOption,
        insecure: Annotated[
            bool, typer.Option("--insecure", help="Listen beyond this machine without TLS.")
        ] = False,
    ) -> None:
        """Serve: pages, links, commands; ends with Ctrl-C."""
        place = Home(home)

        async def work() -> None:
            settings = load_settings(place.settings_file)
            level = logging.getLevelNamesMapping()[settings.log_level.upper()]
            structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
            async with compose.serving(place, settings, insecure=insecure) as node:
                out.print(
                    f"{node.identity.label} serves at "
                    f"http{'s' if settings.tls_certificate else ''}://"
                    f"{settings.listen_host}:{settings.listen_port}/  (Ctrl-C stops)"
                )
                await compose.until_stopped()

        run(work())


def _add_notices(app: typer.Typer) -> None:
    @app.command()
    def publish(
        home: HomeOption,
        file: TextFile,
        to: Annotated[str, typer.Option(help="Code of a division; it and all below it.")] = "",
        category: Annotated[str, typer.Option(help="decision, finance, village_affairs …")] = "",
        urgent: Annotated[bool, typer.Option("--urgent", help="Ahead of everything else.")] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Publish a notice."""

        async def work() -> None:
            title, text = read_notice(read_file(file), file.name)
            result = await perform(
                Home(home), "publish",
                title=title, text=text, to=to, category=category, urgent=urgent,
            )  # fmt: skip
            show_result(result, as_json=as_json)

        run(work())

    @app.command()
    def correct(
        home: HomeOption,
        rid: str,
        file: TextFile,
        reason: Annotated[str, typer.Option(help="Why it changes; shown to everybody.")] = "更正",
        as_json: JsonOption = False,
    ) -> None:
        """Replace what an own notice says; the earlier version stays."""

        async def work() -> None:
            title, text = read_notice(read_file(file), file.name)
            result = await perform(
                Home(home), "correct", rid=rid, title=title, text=text, reason=reason
            )
            show_result(result, as_json=as_json)

        run(work())

    @app.command()
    def withdraw(
        home: HomeOption,
        rid: str,
        reason: Annotated[str, typer.Option(help="Why; shown to everybody.")],
        as_json: JsonOption = False,
    ) -> None:
        """Withdraw an own notice; its stub and the reason stay."""

        async def work() -> None:
            result = await perform(Home(home), "withdraw", rid=rid, reason=reason)
            show_result(result, as_json=as_json)

        run(work())


def _add_looking(app: typer.Typer) -> None:
    @app.command()
    def status(home: HomeOption, as_json: JsonOption = False) -> None:
        """Say what is held, to whom the node talks, what waits."""

        async def work() -> None:
            result = await perform(Home(home), "status")
            if as_json:
                show_result(result, as_json=True)
            else:
                _show_status(result)

        run(work())

    @app.command()
    def show(
        home: HomeOption,
        rid: str,
        cose: Annotated[
            Path | None, typer.Option(help="Write the signed header to this file.")
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Show one record; 8 or more digits of its id suffice."""

        async def work() -> None:
            result = await perform(Home(home), "show", rid=rid)
            if cose is not None:
                _write_file(cose, bytes.fromhex(result["header_cose"]))
            show_result(result, as_json=as_json)

        run(work())

    @app.command()
    def follow(
        home: HomeOption,
        receipt: str,
        secret: Annotated[str, typer.Option(help="The digits on the receipt.")] = "",
        as_json: JsonOption = False,
    ) -> None:
        """Say where a case stands; with the secret also words and answers."""

        async def work() -> None:
            result = await perform(Home(home), "follow", receipt=receipt, secret=secret)
            show_result(result, as_json=as_json)

        run(work())


def _write_file(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UnavailableError(f"{path} cannot be written: {error.strerror}.") from error


def _add_keeping(app: typer.Typer) -> None:
    @app.command()
    def verify(home: HomeOption, as_json: JsonOption = False) -> None:
        """Check every signature, chain and body; names what is wrong and where."""

        async def work() -> None:
            result = await perform(Home(home), "verify")
            show_result(result, as_json=as_json)
            if result["problem_count"]:
                raise StorageError(
                    f"{result['problem_count']} problems were found.",
                    advice="Put log.db aside and let the node fetch its records again.",
                )

        run(work())

    @app.command()
    def rebuild(home: HomeOption, as_json: JsonOption = False) -> None:
        """Empty all views and make them anew from the log."""

        async def work() -> None:
            show_result(await perform(Home(home), "rebuild"), as_json=as_json)

        run(work())

    @app.command()
    def export(
        home: HomeOption,
        to: Annotated[str, typer.Option(help="Code of the node that shall take it in.")],
        folder: Annotated[Path, typer.Option(help="Where the file shall go.")] = Path(),
        as_json: JsonOption = False,
    ) -> None:
        """Write a bundle for a stick: what the other node lacks."""

        async def work() -> None:
            result = await perform(Home(home), "export", to=to, folder=str(folder.absolute()))
            show_result(result, as_json=as_json)

        run(work())

    @app.command(name="import")
    def take_in(home: HomeOption, file: Path, as_json: JsonOption = False) -> None:
        """Take in a bundle from a stick."""
        path = str(file.absolute())

        async def work() -> None:
            result = await perform(Home(home), "import", path=path)
            show_result(result, as_json=as_json)

        run(work())


def add_invite(app: typer.Typer) -> None:
    """Add the command by which a relay invites a node below."""

    @app.command()
    def invite(home: HomeOption, code: str, name: str, as_json: JsonOption = False) -> None:
        """Invite a division below; prints the invitation as text and QR."""

        async def work() -> None:
            result = await perform(Home(home), "invite", code=code, label=name)
            if as_json:
                show_result(result, as_json=True)
                return
            out.print(result["token"], markup=False)
            if sys.stdout.isatty():
                segno.make(result["token"], error="l").terminal(compact=True)

        run(work())


def add_answer(app: typer.Typer) -> None:
    """Add the command by which a relay answers a case."""

    @app.command()
    def answer(
        home: HomeOption,
        receipt: str,
        file: TextFile,
        outcome: Annotated[
            str, typer.Option(help="settled, explained, passed_on or declined.")
        ] = "explained",
        publish_as: Annotated[str, typer.Option(help="full, summary or count.")] = "summary",
        as_json: JsonOption = False,
    ) -> None:
        """Answer a case."""

        async def work() -> None:
            result = await perform(
                Home(home), "answer", receipt=receipt, text=read_text(file),
                outcome=outcome, publish_as=publish_as,
            )  # fmt: skip
            show_result(result, as_json=as_json)

        run(work())


def add_join(app: typer.Typer, level: Level) -> None:
    """Add the command by which a node joins."""

    @app.command()
    def join(
        home: HomeOption,
        token: Annotated[str, typer.Argument(help="The invitation; none resumes.")] = "",
    ) -> None:
        """Join the district by invitation; waits while the parent is down."""

        async def work() -> None:
            from shared.app.membership import join as join_district

            def tell(line: str) -> None:
                sys.stderr.write(line + "\n")

            identity = await join_district(Home(home), token, level=level, tell=tell)
            out.print(f"{identity.division} {identity.label} has joined. Next: `serve`.")

        run(work())


def _show_status(result: dict[str, Any]) -> None:
    out.print(
        f"{result['label']} {result['division']} ({result['level']}), "
        f"{result['records']} records, {len(result['quarantine'])} frames in quarantine"
    )
    table = Table("neighbour", "link", "backlog", "in flight", "trouble")
    for link in result["links"]:
        state = "open" if link["connected_since_ms"] else "down"
        table.add_row(
            link["peer"], state, str(link["backlog"]), str(link["in_flight"]), link["trouble"]
        )
    out.print(table)
