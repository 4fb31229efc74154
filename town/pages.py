"""The pages of a town: its desk."""

from shared.app.desk.pages import Desk


class TownDesk(Desk):
    """A town answers the cases of its villages and publishes to them."""

    answers = ("handler",)
    publishes = ("clerk", "handler")
