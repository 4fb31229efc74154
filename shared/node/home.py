"""A node's home: the folder with its keys, its log, its marker and its lock.

* ``node.toml``: settings, written by the operator (may be missing)
* ``identity.json``: who this node is and where its ancestors are; no secrets
* ``signing.key``, ``sealing.key``: PEM, 0600, under a passphrase if one is set
* ``signing.key.next``: there while a key is being replaced; ``owner``: the first one's public half
* ``log.db``: the record log and the views (SQLite), unless ``database_url`` names PostgreSQL
* ``log.db.moved``: what ``log.db`` was when its log was moved; no node opens it
* ``log.elsewhere``: says that they lie in PostgreSQL, for whoever forgets the setting
* ``marker.json``: epoch, own records and machine, to notice a restore or a copy
* ``lock``, ``control.sock``: one writing process at a time, and how to reach it
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shared.errors import NotFoundError, RefusedError, UnavailableError
from shared.record.feed import Level
from shared.trust.keys import SigningKey, sealing_public

PASSPHRASE_VARIABLE: Final = "SANJI_KEY_PASSPHRASE_FILE"  # noqa: S105 - a name, no secret
IDENTITY_FILE: Final = "identity.json"
SIGNING_FILE: Final = "signing.key"
SEALING_FILE: Final = "sealing.key"
LOCK_FILE: Final = "lock"
_NEXT_KEY: Final = "signing.key.next"
_OWNER: Final = "owner"
_MACHINE_ID: Final = Path("/etc/machine-id")


@dataclass(frozen=True)
class Identity:
    """Who a node is.

    Attributes:
        division: Its code.
        label: Its short name.
        level: Its level.
        anchor: rid of the district's founding record, 32 bytes.
        ancestors: (code, link address) of all above, the parent first; none for the district.
    """

    division: str
    label: str
    level: Level
    anchor: bytes
    ancestors: tuple[tuple[str, str], ...] = ()

    @property
    def parent(self) -> str | None:
        """The code of the node above, None for the district."""
        return self.ancestors[0][0] if self.ancestors else None

    def encode(self) -> bytes:
        """Return the bytes of ``identity.json``."""
        value = asdict(self) | {"level": self.level.word, "anchor": self.anchor.hex()}
        return json.dumps(value, ensure_ascii=False, indent=1).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Identity":
        """Return the identity in ``data``.

        Raises:
            ValueError, KeyError, TypeError: there is none.
        """
        value = json.loads(data)
        return cls(
            value["division"],
            value["label"],
            Level.of(value["level"]),
            bytes.fromhex(value["anchor"]),
            tuple((code, address) for code, address in value["ancestors"]),
        )


@dataclass(frozen=True)
class Keys:
    """A node's private keys.

    Attributes:
        signing: Ed25519.
        sealing_seed: X25519 private bytes; opens what is sealed to this node.
        next_public: Public half of the signing key that replaces ``signing``; empty without one.
    """

    signing: SigningKey
    sealing_seed: bytes
    next_public: bytes = b""

    def __repr__(self) -> str:
        """Keep the secrets out of logs and tracebacks."""
        return "Keys(…)"

    def to_pem(self, passphrase: bytes | None) -> tuple[bytes, bytes]:
        """Return signing and sealing key as PEM (PKCS 8), under ``passphrase`` if there is one."""
        signing = Ed25519PrivateKey.from_private_bytes(self.signing.seed)
        sealing = X25519PrivateKey.from_private_bytes(self.sealing_seed)
        return _pem(signing, passphrase), _pem(sealing, passphrase)

    @classmethod
    def from_pem(cls, signing: bytes, sealing: bytes, passphrase: bytes | None) -> "Keys":
        """Return the keys of two PEM texts.

        Raises:
            ValueError, TypeError: the passphrase is missing or wrong, or they are no such keys.
        """
        first, second = (load_pem_private_key(pem, passphrase) for pem in (signing, sealing))
        if not isinstance(first, Ed25519PrivateKey) or not isinstance(second, X25519PrivateKey):
            raise TypeError("they are of another kind")
        return cls(SigningKey(first.private_bytes_raw()), second.private_bytes_raw())

    @property
    def sealing_public(self) -> bytes:
        """The public half of the sealing key, 32 bytes."""
        return sealing_public(self.sealing_seed)


@dataclass(frozen=True)
class Marker:
    """What stands beside the database so that a restore or a copy is noticed (protocol 4.3).

    Attributes:
        epoch: Hex of the epoch that this box wrote last.
        records: How many own records of it were committed. The database may be ahead of the
            marker (it is written without a flush, after the commit), never behind.
        machine: Hash of this machine's id.
    """

    epoch: str
    records: int
    machine: str


class Home:
    """The folder of one node.

    Attributes:
        path: The folder.
        database_file: The log and the views.
        elsewhere_file: There if log and views lie in another database.
        settings_file: What the operator set.
        control_file: The socket of the serving node.
        pending_file: An invitation that is being used.
    """

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is read or made."""
        self.path = path
        self.database_file = path / "log.db"
        self.elsewhere_file = path / "log.elsewhere"
        self.settings_file = path / "node.toml"
        self.control_file = path / "control.sock"
        self.pending_file = path / "joining.json"

    def exists(self) -> bool:
        """Tell whether a node lives here."""
        return (self.path / IDENTITY_FILE).exists()

    def prepare(self) -> None:
        """Make the folder, for its owner only.

        Raises:
            RefusedError: a node lives here already.
        """
        if self.exists():
            raise RefusedError(
                f"a node lives in {self.path} already.", advice="Give another --home."
            )
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def identity(self) -> Identity:
        """Return who lives here.

        Raises:
            NotFoundError: nobody.
        """
        try:
            return Identity.decode((self.path / IDENTITY_FILE).read_bytes())
        except FileNotFoundError:
            raise NotFoundError(
                f"no node lives in {self.path}.",
                advice="Make one with `district init` or `join`, or give --home.",
            ) from None

    def save_identity(self, identity: Identity) -> None:
        """Write who lives here; from then on the home exists."""
        self.write(IDENTITY_FILE, identity.encode())

    def keys(self) -> Keys:
        """Return the private keys, made at the first call.

        Raises:
            UnavailableError: they are under a passphrase that is missing or wrong.
        """
        signing = self._key(SIGNING_FILE, Ed25519PrivateKey)
        sealing = self._key(SEALING_FILE, X25519PrivateKey)
        coming = self.next_key().public.raw if (self.path / _NEXT_KEY).exists() else b""
        return Keys(SigningKey(signing.private_bytes_raw()), sealing.private_bytes_raw(), coming)

    def next_key(self) -> SigningKey:
        """Return the signing key that is to replace the present one, made at the first call.

        Raises:
            UnavailableError: it is under a passphrase that is missing or wrong.
        """
        return SigningKey(self._key(_NEXT_KEY, Ed25519PrivateKey).private_bytes_raw())

    def go_over(self) -> None:
        """Let the next signing key take the place of the present one, at once or not at all."""
        self.write(_OWNER, self.owner().encode())
        (self.path / _NEXT_KEY).replace(self.path / SIGNING_FILE)

    def owner(self) -> str:
        """Return the name under which a database belongs to this home, whatever its key is now."""
        file = self.path / _OWNER
        return file.read_text("utf-8") if file.exists() else self.keys().signing.public.raw.hex()

    def put_keys(self, keys: Keys) -> None:
        """Let this home have the keys of the box that it replaces.

        Raises:
            RefusedError: it has others already.
        """
        there = any((self.path / name).exists() for name in (SIGNING_FILE, SEALING_FILE))
        if there and self.keys() == keys:
            return
        if there:
            raise RefusedError(
                f"there are other keys in {self.path} already.", advice="Give another --home."
            )
        for name, pem in zip((SIGNING_FILE, SEALING_FILE), keys.to_pem(_passphrase()), strict=True):
            self.write(name, pem)

    def _key(self, name: str, kind: type[Any]) -> Any:
        file = self.path / name
        passphrase = _passphrase()
        if not file.exists():
            self.write(name, _pem(kind.generate(), passphrase))
        try:
            return load_pem_private_key(file.read_bytes(), passphrase)
        except (ValueError, TypeError) as error:
            raise UnavailableError(
                f"{file} cannot be opened: {error}.",
                advice=f"Name the file with its passphrase in {PASSPHRASE_VARIABLE}.",
            ) from error

    def marker(self) -> Marker | None:
        """Return the marker, None if it is missing or unreadable, which is doubt enough."""
        try:
            return Marker(**json.loads((self.path / "marker.json").read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def save_marker(self, epoch: bytes, records: int) -> None:
        """Write the marker; unflushed, because being behind the database does no harm."""
        marker = Marker(epoch.hex(), records, machine_id())
        temporary = self.path / "marker.json.new"
        temporary.write_text(json.dumps(asdict(marker)), "utf-8")
        temporary.replace(self.path / "marker.json")

    def say_elsewhere(self) -> None:
        """Note that log and views lie in another database, for whoever forgets the setting."""
        self.write(self.elsewhere_file.name, b"Log and views lie where database_url says.\n")

    def retire_database(self) -> Path:
        """Put ``log.db``, whose log was moved, aside; returns its new name."""
        names = (f"{self.database_file.name}.moved{number}" for number in ("", *range(2, 1000)))
        kept = next(one for one in map(self.path.joinpath, names) if not one.exists())
        return self.database_file.rename(kept)

    def write(self, name: str, data: bytes) -> None:
        """Write a file for the owner only, whole or not at all, flushed."""
        temporary = self.path / (name + ".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / name)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the home alone: two processes never write one log.

        Raises:
            UnavailableError: another process holds it.
        """
        descriptor = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UnavailableError(
                    f"another process works in {self.path}.",
                    advice="If it is the node itself, wait until it has started or stopped.",
                ) from None
            yield
        finally:
            os.close(descriptor)


def machine_id() -> str:
    """Return a hash of this machine's id: it tells machines apart and names none."""
    try:
        raw = _MACHINE_ID.read_bytes()
    except OSError:
        raw = b""
    return hashlib.sha256(b"sanji/machine/v1" + raw).hexdigest()[:16]


def _pem(key: PrivateKeyTypes, passphrase: bytes | None) -> bytes:
    cover: KeySerializationEncryption = NoEncryption()
    if passphrase:
        cover = BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cover)


def _passphrase() -> bytes | None:
    name = os.environ.get(PASSPHRASE_VARIABLE)
    if not name:
        return None
    try:
        return Path(name).read_bytes().strip() or None
    except OSError as error:
        raise UnavailableError(f"{PASSPHRASE_VARIABLE}: {name}: {error.strerror}.") from error
