"""States what this node holds, as records (protocol 4.7): when, and to whom, ``custody.rules`` says.
"""

import asyncio
from collections.abc import Callable, Sequence

from shared.domain.custody.kinds import STATED, CustodyStated
from shared.domain.custody.rules import Book, Intervals
from shared.errors import InvalidError, StorageError, UnavailableError
from shared.log.log import Log
from shared.node.author import Author, Draft
from shared.node.clock import Clock
from shared.record.feed import Feed, Level
from shared.record.record import Record
from shared.trust.authority import read_as
