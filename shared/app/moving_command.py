"""The command that moves a log to another database."""

from pathlib import Path
from typing import Annotated

import typer

from shared.app.cli import HomeOption, JsonOption, out, progress_bar, run, show_result
from shared.app.moving import move_store, next_steps
from shared.node.home import Home

ToUrl = Annotated[
    str,
    typer.Argument(help="postgresql://USER@HOST:PORT/DATABASE, or sqlite: log.db in the home."),
]
PasswordFile = Annotated[
    Path | None, typer.Option(help="Holds the password there; default: database_password_file.")
]


def add_moving(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("migrate-store")
    def migrate_store(
        home: HomeOption,
        to_url: ToUrl,
        password_file: PasswordFile = None,
        *,
        as_json: JsonOption = False,
    ) -> None:
        """Move the log of a stopped node to another database, every record checked."""
        place = Home(home)

        async def work() -> None:
            with progress_bar() as progress:
                result = await move_store(place, to_url, password_file, progress)
            if as_json:
                show_result(result, as_json=True)
                return
            for line in next_steps(place, result):
                out.print(line, markup=False)

        run(work())
