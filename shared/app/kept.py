"""The tables that a node has to keep."""

from typing import Final

from shared.app.api.remembered import ANSWERS
from shared.log.tables import LOG_TABLES

KEPT: Final = (LOG_TABLES, ANSWERS)
"""The tables of which nothing may be lost; views are made of them."""
