"""The commands of a district."""

from pathlib import Path
from typing import Annotated

import typer

from district.pages import Office
from shared.app.brokers import write_definitions
from shared.app.cli import HomeOption, JsonOption, out, perform, run, show_result
from shared.app.commands import add_answer, add_invite, common, handed_out
from shared.app.membership import RECOVERY_FILE, init_district
from shared.node.home import Home
from shared.record.feed import Level

app = common(Level.DISTRICT, Office)
add_invite(app)
add_answer(app)


@app.command()
def init(
    home: HomeOption,
    code: Annotated[str, typer.Option(help="The district's division code, such as 340602.")],
    name: Annotated[str, typer.Option(help="Its short name, shown to people.")],
) -> None:
    """Found a district: the record on which everything else rests."""

    async def work() -> None:
        identity = await init_district(Home(home), code, name)
        out.print(f"{identity.label} is founded; anchor {identity.anchor.hex()}")
        out.print(
            f"Take {home / RECOVERY_FILE} away: on paper or a stick, in a safe, and delete it here."
        )
        out.print(handed_out(Home(home)))

    run(work())


@app.command()
def confirm(home: HomeOption, rid: str, as_json: JsonOption = False) -> None:
    """Confirm the certificate of a key that replaces a lost one; `status` lists what waits."""

    async def work() -> None:
        show_result(await perform(Home(home), "confirm", rid=rid), as_json=as_json)

    run(work())


@app.command("broker-definitions")
def broker_definitions(
    home: HomeOption,
    file: Annotated[Path, typer.Argument(help="Gets the definitions, as JSON.")],
    passwords: Annotated[
        Path, typer.Option(help="Folder of the passwords, one file a division; kept if there.")
    ],
    vhost: Annotated[str, typer.Option(help="Virtual host on the broker.")] = "sanji",
) -> None:
    """Write users, rights and queues for a RabbitMQ that serves all certified divisions."""

    async def work() -> None:
        levels = await perform(Home(home), "levels")
        new = write_definitions(levels, file, passwords, vhost)
        out.print(f"{len(levels)} divisions, {len(new)} with a new password in {passwords}")
        out.print(f"Next, where the broker runs: rabbitmqctl import_definitions {file}")

    run(work())


def main() -> None:
    """Run the command that was typed."""
    app()
