"""The pages of the district: its office."""

from shared.app.desk.pages import Desk


class Office(Desk):
    """The district answers any case and publishes to everybody."""

    answers = ("dispatcher",)
    publishes = ("drafter",)
