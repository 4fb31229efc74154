"""One tree of errors. Each says what happened and what the reader can do about it.

Results that are expected (a gap, a duplicate, a fork) are values, not errors; see
``shared.log.accept``. Three tables translate errors at the edges: the HTTP status in
``shared.web.server``, the exit code in ``shared.app.cli``, the broker's acknowledgement in the
carriers.
"""

from typing import ClassVar


class SanjiError(Exception):
    """Something a person or an operator must hear about.

    The class docstring's first line is the default message; ``advice`` says what to do.

    Attributes:
        advice: One sentence for the person who meets the error; may be empty.
    """

    advice: ClassVar[str] = ""

    def __init__(self, message: str = "", *, advice: str = "") -> None:
        """Keep ``message`` (default: the docstring's first line) and ``advice``."""
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])
        self.hint = advice or self.advice

    def __str__(self) -> str:
        """Render message and advice as one line."""
        text = super().__str__()
        return f"{text} {self.hint}".strip() if self.hint else text


class InvalidError(SanjiError):
    """What was given breaks a rule of the protocol or a limit."""


class FaultError(InvalidError):
    """Bytes that came over a link are not what the protocol allows: a fault of that link."""


class RefusedError(SanjiError):
    """The request is understood and not allowed."""


class NotFoundError(SanjiError):
    """Nothing of that name is here."""


class UnavailableError(SanjiError):
    """It cannot be done now, perhaps later."""


class StorageError(SanjiError):
    """The record log could not be written; what was accepted before is safe."""

    advice = "Check free disk space and permissions, then start the node again."
