"""The commands of a town."""

from shared.app.commands import add_answer, add_invite, add_join, common
from shared.record.feed import Level
from town.pages import TownDesk

app = common(Level.TOWN, TownDesk)
add_invite(app)
add_answer(app)
add_join(app, Level.TOWN)


def main() -> None:
    """Run the command that was typed."""
    app()
