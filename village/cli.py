"""The commands of a village."""

from typing import Annotated

import typer

from shared.app.cli import HomeOption, JsonOption, out, perform, run, show_result
from shared.app.commands import add_join, common
from shared.app.rotation import rotate as replace_key
from shared.node.home import Home
from shared.record.feed import Level
from village.pages import Kiosk

app = common(Level.VILLAGE, Kiosk)
add_join(app, Level.VILLAGE)


@app.command()
def file(
    home: HomeOption,
    kind: Annotated[str, typer.Option(help="ask, suggest, complain or help.")],
    text: Annotated[str, typer.Option(help="What is said.")],
    topic: Annotated[
        str,
        typer.Option(help="roads, water, health, welfare, land, school, waste, safety or other."),
    ] = "",
    place: Annotated[str, typer.Option(help="Where it is.")] = "",
    as_json: JsonOption = False,
) -> None:
    """File what somebody says; prints the receipt, whose secret is kept nowhere else."""

    async def work() -> None:
        result = await perform(Home(home), "file", kind=kind, text=text, topic=topic, place=place)
        show_result(result, as_json=as_json)

    run(work())


@app.command()
def rate(
    home: HomeOption,
    receipt: str,
    score: Annotated[str, typer.Option(help="satisfied, fair or unsatisfied.")],
    cause: Annotated[str, typer.Option(help="Why.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Say what the person thinks of the answer."""

    async def work() -> None:
        result = await perform(Home(home), "rate", receipt=receipt, score=score, cause=cause)
        show_result(result, as_json=as_json)

    run(work())


@app.command()
def rotate(home: HomeOption) -> None:
    """Replace the signing key of the stopped node; its parent has to be reachable."""

    async def work() -> None:
        certificate = await replace_key(Home(home))
        out.print(f"{certificate.division} signs with key {certificate.key.kid.hex()} from now on.")
        out.print("Next: `serve`.")

    run(work())


def main() -> None:
    """Run the command that was typed."""
    app()
