"""The commands: what they are called and what they take. Each tier takes those that are its own."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import structlog
import typer

from shared.app import compose
from shared.app.api.tokens import set_token
from shared.app.backup_commands import PassphraseOption, add_backup, keys_in
from shared.app.cli import (
    HomeOption,
    JsonOption,
    TextFile,
    out,
    perform,
    read_file,
    run,
    show_result,
    write_file,
)
from shared.app.evidence_command import add_evidence
from shared.app.membership import join as join_district
from shared.app.moving_command import add_moving
from shared.app.notify import READY, STOPPING, notify
from shared.app.people import set_account
from shared.app.status_tables import show_status
from shared.domain.notices.rules import read_notice
from shared.errors import StorageError
from shared.node.accounts import PASSWORDS_FILE
from shared.node.home import Home
from shared.node.settings import load_settings
from shared.record.feed import Level
from shared.web.site import Surface


def common(level: Level, surface: Callable[[], Surface] | None = None) -> typer.Typer:
    """Return the commands that every tier has.

    Args:
        level: The tier's.
        surface: Makes its pages.
    """
    app = typer.Typer(
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        help=f"A {level.word} node of Sanji 三级互动.",
    )  # fmt: skip
    _add_serving(app, surface)
    _add_notices(app)
    _add_looking(app)
    _add_keeping(app)
    add_moving(app)
    add_backup(app, level)
    add_evidence(app)
    _add_people(app)
    return app


def _read_text(path: Path) -> str:
    """Return the text of a file, title and body together."""
    title, text = read_notice(read_file(path), path.name)
    return f"{title}\n\n{text}".strip()


def _add_serving(app: typer.Typer, surface: Callable[[], Surface] | None) -> None:
    @app.command()
    def serve(
        home: HomeOption,
        port: Annotated[
            int | None, typer.Option(help="Instead of the setting listen_port.")
        ] = None,
        insecure: Annotated[
            bool, typer.Option("--insecure", help="Listen beyond this machine without TLS.")
        ] = False,
    ) -> None:
        """Serve: pages, links, commands; ends with Ctrl-C."""
        place = Home(home)

        async def work() -> None:
            given = {} if port is None else {"listen_port": port}
            settings = load_settings(place.settings_file, **given)
            _diagnose(settings.log_level)
            async with compose.serving(
                place, settings, insecure=insecure, surface=surface() if surface else None
            ) as node:
                out.print(
                    f"{node.identity.label} serves at "
                    f"http{'s' if settings.tls_certificate else ''}://"
                    f"{settings.listen_host}:{settings.listen_port}/  (Ctrl-C stops)"
                )
                notify(READY)
                await compose.until_stopped()
                notify(STOPPING)

        run(work())


def _diagnose(level: str) -> None:
    """Let a serving node say what goes wrong from ``level`` on.

    Its tracebacks are without the values of variables, which structlog would add: passwords and
    what people filed do not belong into a journal.
    """
    plain = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        processors=[*structlog.get_config()["processors"][:-1], plain],
    )


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
                show_status(result)

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
                write_file(cose, bytes.fromhex(result["header_cose"]))
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


def _add_people(app: typer.Typer) -> None:
    @app.command()
    def account(
        home: HomeOption,
        name: str,
        role: Annotated[str, typer.Option(help="What it may do; default: by the name.")] = "",
        as_json: JsonOption = False,
    ) -> None:
        """Make an account for the staff pages, or give it a new password, printed once."""

        async def work() -> None:
            show_result(await set_account(Home(home), name, role), as_json=as_json)

        run(work())

    @app.command()
    def token(
        home: HomeOption,
        name: Annotated[str, typer.Argument(help="What the program is called.")],
        revoke: Annotated[
            bool, typer.Option("--revoke", help="It opens nothing any more.")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Make a token for a program that uses the JSON API, printed once, or revoke it."""

        async def work() -> None:
            show_result(await set_token(Home(home), name, revoke=revoke), as_json=as_json)

        run(work())


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
                # Here, because only who prints a QR shall load it: a village has little memory.
                import segno  # noqa: PLC0415

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
                Home(home), "answer", receipt=receipt, text=_read_text(file),
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
        keys: Annotated[
            Path | None, typer.Option(help="Keys of the lost box that this one replaces.")
        ] = None,
        passphrase_file: PassphraseOption = None,
    ) -> None:
        """Join the district by invitation; waits while the parent is down."""

        async def work() -> None:
            def tell(line: str) -> None:
                sys.stderr.write(line + "\n")

            kept = keys_in(keys, passphrase_file, level) if keys is not None else None
            identity = await join_district(Home(home), token, level=level, kept=kept, tell=tell)
            out.print(f"{identity.division} {identity.label} has joined. Next: `serve`.")
            out.print(handed_out(Home(home)))

        run(work())


def handed_out(home: Home) -> str:
    """Return where the first passwords stand, and what to do with them."""
    return f"Passwords are in {home.path / PASSWORDS_FILE}: hand them out and delete the file."
