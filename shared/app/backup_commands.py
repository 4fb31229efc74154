"""The commands by which a lost box comes back: ``backup``, ``backup-keys``, ``restore``."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from shared.app.cli import (
    HomeOption,
    JsonOption,
    out,
    perform,
    progress_bar,
    read_file,
    run,
    show_result,
)
from shared.app.restore import open_keys, restore
from shared.errors import InvalidError, RefusedError, UnavailableError
from shared.node.home import Home, Identity, Keys
from shared.node.keys_file import pack_keys
from shared.record.feed import Level

KeysOption = Annotated[Path, typer.Option("--keys", help="What `backup-keys` wrote.")]
PassphraseOption = Annotated[
    Path | None, typer.Option(help="Holds the passphrase of the keys; else it is asked for.")
]


def add_backup(app: typer.Typer, level: Level) -> None:
    """Add the commands to those of a tier."""

    @app.command()
    def backup(
        home: HomeOption,
        file: Annotated[Path, typer.Argument(help="Gets all but the keys; must not be there.")],
        as_json: JsonOption = False,
    ) -> None:
        """Write a backup, also while the node serves; all of it is checked. Keys are not inside."""
        path = str(file.absolute())

        async def work() -> None:
            show_result(await perform(Home(home), "backup", path=path), as_json=as_json)

        run(work())

    @app.command("backup-keys")
    def backup_keys(
        home: HomeOption,
        file: Annotated[Path, typer.Argument(help="Gets the keys; must not be there.")],
        passphrase_file: PassphraseOption = None,
    ) -> None:
        """Write the keys apart, under a passphrase; whoever has both is this node."""

        async def work() -> None:
            place = Home(home)
            identity = place.identity()
            passphrase = read_passphrase(passphrase_file, twice=True)
            _write_new(file, pack_keys(identity, place.keys(), passphrase))
            out.print(f"The keys of {identity.division} {identity.label} are in {file}.")
            out.print("Keep it, and apart from it the passphrase, away from this machine.")

        run(work())

    @app.command("restore")
    def restore_command(
        home: HomeOption,
        file: Annotated[Path, typer.Argument(help="What `backup` wrote.")],
        keys: KeysOption,
        passphrase_file: PassphraseOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Bring a lost node back into an empty home, from its backup and its keys."""

        async def work() -> None:
            identity, own = keys_in(keys, passphrase_file, level)
            with progress_bar() as progress:
                result = await restore(Home(home), file, identity, own, progress)
            show_result(result, as_json=as_json)
            if not as_json:
                out.print("Next: `serve`; what was said since comes back from the neighbours.")

        run(work())


def keys_in(file: Path, passphrase_file: Path | None, level: Level) -> tuple[Identity, Keys]:
    """Return whose keys a person's keys file holds, and the keys; see ``open_keys``."""
    data = read_file(file)
    return open_keys(data, read_passphrase(passphrase_file, twice=False), level)


def read_passphrase(file: Path | None, *, twice: bool) -> bytes:
    """Return the passphrase in ``file``, or the one that is typed.

    Raises:
        InvalidError: nobody is there to type it.
    """
    if file is not None:
        return read_file(file).strip()
    if not sys.stdin.isatty():
        raise InvalidError(
            "the keys need a passphrase.", advice="Name a file that holds it: --passphrase-file."
        )
    try:
        typed: str = typer.prompt(
            "Passphrase", hide_input=True, confirmation_prompt=twice, err=True
        )
    except typer.Abort:
        raise InvalidError("no passphrase was typed; nothing was done.") from None
    return typed.encode()


def _write_new(file: Path, data: bytes) -> None:
    """Write a new file for its owner only; what cannot be finished is not left.

    Raises:
        RefusedError: the file is there already.
        UnavailableError: it cannot be written.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise RefusedError(f"{file} is there already.", advice="Name another file.") from None
    except OSError as error:
        raise UnavailableError(f"{file} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        file.unlink(missing_ok=True)
        raise UnavailableError(f"{file} cannot be written: {error.strerror}.") from error
