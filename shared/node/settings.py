"""A node's settings: ``node.toml`` in its home, each overridden by ``SANJI_…`` in the environment.

``docs/reference/settings.md`` lists them; a test compares the two.
"""

from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from shared.domain.custody.bypass import BypassTimes
from shared.domain.custody.rules import Intervals
from shared.errors import InvalidError
from shared.link.timing import Timing
from shared.log.database import check_url


class Settings(BaseSettings):
    """What an operator can set; every default works on one machine."""

    model_config = SettingsConfigDict(
        env_prefix="SANJI_", extra="forbid", frozen=True,
        hide_input_in_errors=True,  # a URL may hold a password that should not be there
    )  # fmt: skip
    _file: ClassVar[Path | None] = None

    listen_host: str = Field("127.0.0.1", description="Address the web server binds to.")
    listen_port: int = Field(8340, ge=0, le=65535, description="Its port; 0: any free one.")
    addresses: tuple[str, ...] = Field(
        (), description="Link addresses told to the nodes below, such as wss://town.example/link."
    )
    tls_certificate: str = Field("", description="PEM file; needed beyond loopback.")
    tls_key: str = Field("", description="PEM file of its private key.")
    tls_ca: str = Field("", description="PEM file of the authority that signs the parent's.")
    broker_url: str = Field(
        "", description="Broker on which a relay answers: amqp[s]://host[:port]/vhost, no password."
    )
    broker_user: str = Field("", description="Its user at brokers; empty: the division's code.")
    broker_password_file: str = Field(
        "", description="File with its password; empty: broker_certificate logs in, over amqps."
    )
    broker_ca: str = Field("", description="PEM file of the authority that signs the broker's.")
    broker_certificate: str = Field("", description="PEM file shown to the broker over amqps.")
    broker_key: str = Field("", description="PEM file of its private key.")
    answer_seconds_min: float = Field(
        2.0, gt=0, description="A frame unanswered for less is not yet missed."
    )
    quiet_seconds: float = Field(3600.0, gt=0, description="Heads on an idle link, this often.")
    lively_seconds: float = Field(600.0, gt=0, description="The same for an hour after traffic.")
    unheard_seconds: float = Field(
        600.0, gt=0, description="The parent unheard for so long: listen to who is above it."
    )
    backoff_seconds_min: float = Field(1.0, gt=0, description="First pause before dialling again.")
    backoff_seconds_max: float = Field(900.0, gt=0, description="Longest pause before that.")
    custody_urgent_seconds: float = Field(
        60.0, ge=0, description="Proof of delivery of urgent records at most this late."
    )
    custody_proof_seconds: float = Field(3600.0, ge=0, description="Of all other records.")
    custody_receipt_seconds: float = Field(
        60.0, ge=0, description="Pause between receipts to one node below."
    )
    custody_beat_seconds: float = Field(21600.0, gt=0, description="Pause between beats.")
    custody_late_seconds: float = Field(
        86400.0, gt=0, description="Without proof for so long, a node below is named late."
    )
    bypass_after_seconds: float = Field(
        93600.0, gt=0, description="Something lacked for so long opens the by-pass."
    )
    bypass_jitter_seconds: float = Field(
        21600.0, ge=0, description="It opens at most so much later, by chance."
    )
    bypass_open_seconds: float = Field(
        86400.0, gt=0, description="It stays open for so long, then it closes on trial."
    )
    bypass_open_seconds_max: float = Field(
        691200.0, gt=0, description="After a failed trial twice as long, at most so long."
    )
    bypass_trial_seconds: float = Field(
        43200.0, gt=0, description="So long the parent has to show that it brings everything."
    )
    database_url: str = Field(
        "",
        description="PostgreSQL database for log and views, such as "
        "postgresql://sanji@127.0.0.1:5432/district; empty: log.db in the home.",
    )
    database_password_file: str = Field("", description="File that holds its password.")
    metrics_listen: str = Field(
        "", description="Where GET /metrics is answered, such as 127.0.0.1:9464; empty: nowhere."
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Verbosity.")

    @field_validator("database_url")
    @classmethod
    def _check_url(cls, text: str) -> str:
        return check_url(text)

    @field_validator("metrics_listen")
    @classmethod
    def _check_listen(cls, text: str) -> str:
        if text:
            split_listen(text)
        return text

    @field_validator("broker_url", "addresses")
    @classmethod
    def _without_password(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        """Refuse user and password in an address: addresses are shown, signed and told to all."""
        for address in (value,) if isinstance(value, str) else value:
            if "@" in urlsplit(address).netloc:
                raise ValueError(
                    "an address must not hold a user or a password; they belong into "
                    "broker_user and broker_password_file"
                )
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order: what a caller gives, the environment, the file."""
        del dotenv_settings, file_secret_settings
        toml = TomlConfigSettingsSource(settings_cls, cls._file)
        return init_settings, env_settings, toml

    def timing(self) -> Timing:
        """Return the clock of the links."""
        return Timing(
            answer_seconds_min=self.answer_seconds_min,
            quiet_seconds=self.quiet_seconds,
            lively_seconds=self.lively_seconds,
            unheard_seconds=self.unheard_seconds,
        )

    def intervals(self) -> Intervals:
        """Return the clock of the custody statements."""
        return Intervals(
            urgent_proof_ms=int(self.custody_urgent_seconds * 1000),
            proof_ms=int(self.custody_proof_seconds * 1000),
            receipt_ms=int(self.custody_receipt_seconds * 1000),
            beat_ms=int(self.custody_beat_seconds * 1000),
            late_ms=int(self.custody_late_seconds * 1000),
        )

    def bypass_times(self) -> BypassTimes:
        """Return the clock of the by-pass."""
        return BypassTimes(
            after_ms=int(self.bypass_after_seconds * 1000),
            jitter_ms=int(self.bypass_jitter_seconds * 1000),
            open_ms=int(self.bypass_open_seconds * 1000),
            open_ms_max=int(self.bypass_open_seconds_max * 1000),
            trial_ms=int(self.bypass_trial_seconds * 1000),
        )


def split_listen(text: str) -> tuple[str, int]:
    """Return the host and the port of ``host:port``; an IPv6 address stands in brackets.

    Raises:
        ValueError: it is something else.
    """
    parts = urlsplit(f"//{text}")
    if not parts.hostname or not parts.port or parts.netloc != text or "@" in text:
        raise ValueError("it must be host:port, such as 127.0.0.1:9464")
    return parts.hostname, parts.port


def load_settings(file: Path, **given: Any) -> Settings:
    """Return the settings of the home whose ``node.toml`` is ``file``; it may be missing.

    Raises:
        InvalidError: a value or a name is wrong; one line that names it.
    """
    located = type("Settings", (Settings,), {"_file": file, "__module__": __name__})
    try:
        return located(**given)  # type: ignore[no-any-return]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise InvalidError(
            f"the setting {name} is wrong: {first['msg']}.",
            advice=f"Mend {file} or the variable SANJI_{name.upper()}.",
        ) from error
    except ValueError as error:
        raise InvalidError(f"{file} cannot be read: {error}.") from error
