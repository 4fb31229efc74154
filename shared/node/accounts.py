"""Who may use the staff pages of a node: names, roles and the hashes of their passwords.

They live in the home's ``accounts.json`` (0600) and leave the box in no record. Passwords are made
here and never chosen: nobody brings one along that is known elsewhere.
"""

import json
import secrets
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared.errors import InvalidError, NotFoundError, StorageError
from shared.node.home import Home
from shared.record.feed import Level

ACCOUNTS_FILE: Final = "accounts.json"
PASSWORDS_FILE: Final = "accounts.txt"

ROLES: Final = {
    Level.DISTRICT: ("dispatcher", "drafter"),
    Level.TOWN: ("handler", "clerk"),
    Level.VILLAGE: ("clerk",),
}
"""What people do at a node of each level."""

NAME_CHARS_MAX: Final = 40
PASSWORD_CHARS_MAX: Final = 200
ACCOUNTS_MAX: Final = 200

_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without i, l, 1, o and 0: passwords are read from paper."""

_GROUPS: Final = 4
_GROUP_CHARS: Final = 4

# argon2id as OWASP's password storage cheat sheet has it for small machines; the passwords
# themselves have 79 bits, which no guessing reaches.
HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

NOBODY: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1"
    "$yLPW0IJCLJt22eP6PhyIQA$C5MlIM0b3K5V3H9aOfnZcAcWVFEPVI08dI90piD0oRg"
)
"""Hash of a password that was thrown away: a name that nobody has takes as long as any other.

It stands here because to make one at each start would cost each command 30 ms and more.
"""


@dataclass(frozen=True)
class Account:
    """One person, or one chair, at this node.

    Attributes:
        name: As it is typed.
        role: One of the level's ``ROLES``.
        hash: argon2id of the password.
    """

    name: str
    role: str
    hash: str

    def __repr__(self) -> str:
        """Keep the hash out of logs and tracebacks."""
        return f"Account({self.name!r}, {self.role!r})"


class Accounts:
    """The accounts in a home; without a home there are none, and none can be made."""

    def __init__(self, home: Home | None = None) -> None:
        """Read them.

        Raises:
            StorageError: the file cannot be read.
        """
        self._home = home
        self._by_name: dict[str, Account] = {}
        self._writing = threading.Lock()
        if home is not None:
            self._read(home.path / ACCOUNTS_FILE)

    def _read(self, file: Path) -> None:
        try:
            found = json.loads(file.read_text("utf-8"))
            self._by_name = {one["name"]: Account(**one) for one in found}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StorageError(
                f"{file} cannot be read.", advice="Put it aside and set the passwords anew."
            ) from error

    def __contains__(self, name: str) -> bool:
        """Tell whether somebody has that name."""
        return name in self._by_name

    def get(self, name: str) -> Account:
        """Return an account.

        Raises:
            NotFoundError: nobody has that name.
        """
        found = self._by_name.get(name)
        if found is None:
            raise NotFoundError(f"there is no account {name[:NAME_CHARS_MAX]}.")
        return found

    def check(self, name: str, password: str) -> Account | None:
        """Return the account whose password this is. It takes 30 ms and more: use a thread."""
        found = self._by_name.get(name)
        if len(password) > PASSWORD_CHARS_MAX:
            return None
        try:
            HASHER.verify(found.hash if found else NOBODY, password)
        except (VerificationError, InvalidHashError):
            return None
        return found

    def renew(self, name: str, role: str) -> str:
        """Make an account, or give it another password and role; returns the password.

        Raises:
            InvalidError: the name cannot be typed at the login, or there are too many accounts.
            StorageError: the home cannot be written.
        """
        if not 0 < len(name) <= NAME_CHARS_MAX or name != name.strip() or not name.isprintable():
            raise InvalidError(
                f"a name has 1 to {NAME_CHARS_MAX} printable characters, no blank at either end."
            )
        if self._home is None:
            raise StorageError("this node has no home in which accounts could be kept.")
        password = new_password()
        account = Account(name, role, HASHER.hash(password))
        with self._writing:  # several commands may come at once, each in its own thread
            if name not in self and len(self._by_name) >= ACCOUNTS_MAX:
                raise InvalidError(f"there are {ACCOUNTS_MAX} accounts already.")
            made = self._by_name | {name: account}
            listed = [asdict(one) for one in made.values()]
            text = json.dumps(listed, ensure_ascii=False, indent=1)
            self._home.write(ACCOUNTS_FILE, text.encode())
            self._by_name = made
        return password


def new_password() -> str:
    """Return a random password that can be read out: 79 bits in four groups of four."""
    groups = (
        "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_CHARS)) for _ in range(_GROUPS)
    )
    return "-".join(groups)


def make_first(home: Home, level: Level) -> Path:
    """Make one account for each role of ``level`` and write the passwords down once.

    Returns:
        The file with the passwords: to be handed out and deleted.
    """
    accounts = Accounts(home)
    lines = [f"{role}\t{accounts.renew(role, role)}\n" for role in ROLES[level]]
    home.write(PASSWORDS_FILE, "".join(lines).encode())
    return home.path / PASSWORDS_FILE
