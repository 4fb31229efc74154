"""The commands of a district."""

from typing import Annotated

import typer

from district.pages import Office
from shared.app.cli import HomeOption, out, run
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


def main() -> None:
    """Run the command that was typed."""
    app()
