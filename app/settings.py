"""Settings.from_env(): every variable the product reads, documented here and read nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.settings_words import addresses, database_server, networks, ports

# fmt: off
EU_COUNTRIES = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
    "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
})
# fmt: on
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")


class SettingsError(Exception):
    """A setting is missing or does not fit; the message says which, why, and how to mend it."""


class Mode(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


def variable(name: str, default: object, text: str) -> Any:
    """A dataclass field read from environment variable `name`; `text` is its documentation."""
    return field(default=default, metadata={"variable": name, "text": text})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One frozen object, read once at start."""

    mode: Mode = variable(
        "JUNIER_MODE", Mode.DEVELOPMENT, "development (only on loopback: mails go to an outbox page) or production."
    )
    public_url: str = variable(
        "JUNIER_PUBLIC_URL",
        "http://localhost:8000",
        "The address people open; https in production. Members' passkeys are bound to its host.",
    )
    listen_host: str = variable("JUNIER_LISTEN_HOST", "127.0.0.1", "Address the web process listens on.")
    listen_port: int = variable("JUNIER_LISTEN_PORT", 8000, "Port the web process listens on.")
    trusted_proxies: str = variable(
        "JUNIER_TRUSTED_PROXIES",
        "127.0.0.1,::1",
        "Addresses or networks of the TLS proxy, comma-separated; from anyone else X-Forwarded-For and -Proto are ignored.",
    )
    platform_name: str = variable(
        "JUNIER_PLATFORM_NAME", "Junier", "Name of this installation, shown on pages and mails."
    )
    platform_contact: str = variable(
        "JUNIER_PLATFORM_CONTACT",
        "",
        "E-mail address for questions about the platform, shown to participants; required in production.",
    )
    country: str = variable(
        "JUNIER_COUNTRY",
        "",
        "Country (two letters, such as DE) this machine stands in; needed in production. In the EU it allows an S3 "
        "server of your own on loopback.",
    )
    eu_only: bool = variable(
        "JUNIER_EU_ONLY", True, "true: no media process and no TURN server outside the European Union is ever used."
    )
    register_file: Path | None = variable(
        "JUNIER_REGISTER_FILE",
        None,
        "Register of the third parties that get personal data (TOML, see docs/operators); empty: register.toml in the data folder.",
    )
    data_dir: Path = variable(
        "JUNIER_DATA_DIR",
        Path("var"),
        "Folder for everything kept on this machine: embedded database, folder store, spool, keys.",
    )
    database_url: str = variable(
        "DATABASE_URL",
        "",
        "PostgreSQL >= 15 as role junier_app (postgresql://…); empty: embedded PostgreSQL in the data folder.",
    )
    migration_database_url: str = variable(
        "MIGRATION_DATABASE_URL", "", "The same database as role junier_owner, for migrations."
    )
    keys_dir: Path | None = variable(
        "JUNIER_KEYS_DIR",
        None,
        "Folder of the key store; empty: keys/ in the data folder. Never back it up together with the database.",
    )
    keys_database_url: str = variable(
        "KEYS_DATABASE_URL",
        "",
        "PostgreSQL >= 15 for keys alone (postgresql://…), a server of its own with wal_level = minimal; empty: keys lie "
        "in JUNIER_KEYS_DIR. The ledger of erasures stays in that folder either way.",
    )
    master_key_file: Path | None = variable(
        "JUNIER_MASTER_KEY_FILE",
        None,
        "File with the master key (32 bytes, mode 0600), made on first start; empty: master.key beside the key folder.",
    )
    key_epoch_hours: int = variable(
        "JUNIER_KEY_EPOCH_HOURS",
        24,
        "Hours after which all account keys are made anew and what wrapped them is destroyed: so long an old copy of the "
        "key store can open what was erased since.",
    )
    backup_days: int = variable(
        "JUNIER_BACKUP_DAYS",
        35,
        "Days a backup made by `junier backup` can be opened; then its key is destroyed. Certificates of erasure name the "
        "day until which backups may hold sealed copies.",
    )
    object_store: str = variable("JUNIER_OBJECT_STORE", "folder", "folder (in the data folder) or s3.")
    s3_endpoint: str = variable(
        "JUNIER_S3_ENDPOINT", "", "S3 endpoint URL; endpoint and region must be on the EU list."
    )
    s3_region: str = variable("JUNIER_S3_REGION", "", "S3 region of the bucket.")
    s3_bucket: str = variable("JUNIER_S3_BUCKET", "", "S3 bucket.")
    s3_access_key: str = variable("JUNIER_S3_ACCESS_KEY", "", "S3 access key id.")
    s3_secret_key: str = variable("JUNIER_S3_SECRET_KEY", "", "S3 secret access key.")
    mail: str = variable("JUNIER_MAIL", "outbox", "outbox (development only), mailtrap or smtp.")
    mail_from: str = variable("JUNIER_MAIL_FROM", "", "Sender address of every mail; required with mailtrap and smtp.")
    mailtrap_token: str = variable("JUNIER_MAILTRAP_TOKEN", "", "API token of Mailtrap.")
    mailtrap_host: str = variable("JUNIER_MAILTRAP_HOST", "send.api.mailtrap.io", "API host of Mailtrap.")
    smtp_host: str = variable("JUNIER_SMTP_HOST", "", "SMTP server.")
    smtp_port: int = variable("JUNIER_SMTP_PORT", 587, "Port of the SMTP server.")
    smtp_user: str = variable("JUNIER_SMTP_USER", "", "SMTP user; empty: no sign-in.")
    smtp_password: str = variable("JUNIER_SMTP_PASSWORD", "", "SMTP password.")
    smtp_tls: str = variable("JUNIER_SMTP_TLS", "starttls", "starttls, tls or none (none only on loopback).")
    speech_model: str = variable(
        "JUNIER_SPEECH_MODEL",
        "",
        "faster-whisper model name or folder; empty: the packaged English model if installed.",
    )
    speech_threads: int = variable("JUNIER_SPEECH_THREADS", 2, "CPU threads of one transcription.")
    node_name: str = variable(
        "JUNIER_NODE_NAME", "media-1", "Name of this media process; unique, stable over restarts."
    )
    node_url: str = variable(
        "JUNIER_NODE_URL",
        "http://127.0.0.1:8001",
        "Where the web process reaches this media process (loopback or private address).",
    )
    node_secret: str = variable(
        "JUNIER_NODE_SECRET", "", "Shared secret of web and media; empty: made at first start, kept in the data folder."
    )
    media_addresses: str = variable(
        "JUNIER_MEDIA_ADDRESSES",
        "",
        "Addresses media offers for UDP, comma-separated; empty: all of this machine. 127.0.0.1 for trying and tests.",
    )
    media_announced: str = variable(
        "JUNIER_MEDIA_ANNOUNCED",
        "",
        "Behind 1:1 NAT, as with a cloud's floating address: the public address people reach, for each of "
        "JUNIER_MEDIA_ADDRESSES one, in the same order; empty: those themselves.",
    )
    media_ports: str = variable(
        "JUNIER_MEDIA_PORTS",
        "",
        "UDP ports media uses, such as 40000-41999, to be open to everyone; empty: any free port. One per person and "
        "stream they send or see.",
    )
    stream_kbits: int = variable(
        "JUNIER_STREAM_KBITS",
        4000,
        "Most kbit/s of one camera or screen with its sound. Senders are told; one that sends half as much again for ten "
        "seconds is ended, with the reason.",
    )
    session_streams: int = variable(
        "JUNIER_SESSION_STREAMS", 80, "Most cameras and screens sent in one session at once; more are refused (429)."
    )
    account_streams: int = variable(
        "JUNIER_ACCOUNT_STREAMS", 240, "Most cameras and screens sent in one account's sessions at once."
    )
    recording_minutes: int = variable(
        "JUNIER_RECORDING_MINUTES",
        720,
        "Longest recording of one session in minutes, pauses included; then it is paused for everybody to see.",
    )
    turn_urls: str = variable(
        "JUNIER_TURN_URLS", "", "STUN/TURN servers, comma-separated (turns:turn.example.eu:443?transport=tcp)."
    )
    turn_secret: str = variable("JUNIER_TURN_SECRET", "", "Shared secret with coturn (use-auth-secret).")
    turn_country: str = variable(
        "JUNIER_TURN_COUNTRY",
        "",
        "Country (two letters) the TURN servers stand in; needed in production to offer them.",
    )
    turn_only: bool = variable("JUNIER_TURN_ONLY", False, "true: browsers connect through TURN only.")
    spool_quota_mb: int = variable("JUNIER_SPOOL_QUOTA_MB", 4096, "Room of the sealed local spool in MB.")
    worker_in_web: bool = variable(
        "JUNIER_WORKER_IN_WEB", True, "true: the light worker runs in the web process, transcription as its child."
    )
    worker_silent_s: int = variable(
        "JUNIER_WORKER_SILENT_S", 30, "A worker silent for so many seconds counts as dead: others take over its jobs."
    )
    metrics_port: int = variable(
        "JUNIER_METRICS_PORT",
        0,
        "Private port of this process for /metrics (Prometheus), /health/live and /health/ready; 0: none. With "
        "`junier serve` it is the web process's, and the media process has the next one.",
    )
    metrics_host: str = variable(
        "JUNIER_METRICS_HOST",
        "127.0.0.1",
        "Address of that port: loopback, or a private address that only your monitoring reaches.",
    )

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, **fixed: object) -> Settings:
        """Read and check everything at once. Raises SettingsError naming the variable."""
        env = os.environ if env is None else env
        values: dict[str, object] = {}
        for f in fields(cls):
            name = f.metadata["variable"]
            if name in env and env[name] != "":
                values[f.name] = _parse(name, env[name], f.default)
        values.update(fixed)
        settings = cls(**values)  # type: ignore[arg-type]
        settings.check()
        return settings

    def check(self) -> None:
        """Refuse what cannot be right before anything starts."""
        url = urlsplit(self.public_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise SettingsError("JUNIER_PUBLIC_URL must be a full address such as https://sessions.example.eu")
        if self.mode is Mode.DEVELOPMENT and url.hostname not in LOOPBACK_HOSTS:
            raise SettingsError(
                "JUNIER_MODE=development works only with a JUNIER_PUBLIC_URL on localhost; set JUNIER_MODE=production"
            )
        if self.mode is Mode.PRODUCTION:
            if url.scheme != "https" and url.hostname not in LOOPBACK_HOSTS:
                raise SettingsError(
                    "JUNIER_PUBLIC_URL must start with https:// in production: browsers give no camera without it"
                )
            if self.mail == "outbox":
                raise SettingsError("JUNIER_MAIL=outbox sends nothing; set mailtrap or smtp in production")
            if not self.platform_contact:
                raise SettingsError(
                    "JUNIER_PLATFORM_CONTACT is required in production: participants must know whom to ask"
                )
        if self.mail not in ("outbox", "mailtrap", "smtp"):
            raise SettingsError("JUNIER_MAIL must be outbox, mailtrap or smtp")
        if self.mail != "outbox" and not self.mail_from:
            raise SettingsError("JUNIER_MAIL_FROM is required to send mail")
        if self.mail == "smtp" and not self.smtp_host:
            raise SettingsError("JUNIER_SMTP_HOST is required with JUNIER_MAIL=smtp")
        if self.smtp_tls not in ("starttls", "tls", "none"):
            raise SettingsError("JUNIER_SMTP_TLS must be starttls, tls or none")
        if self.mail == "smtp" and self.smtp_tls == "none" and self.smtp_host not in LOOPBACK_HOSTS:
            raise SettingsError(
                "JUNIER_SMTP_TLS=none sends mail readable to all; it works with a server on localhost only"
            )
        if self.object_store not in ("folder", "s3"):
            raise SettingsError("JUNIER_OBJECT_STORE must be folder or s3")
        if self.object_store == "s3" and not (self.s3_endpoint and self.s3_region and self.s3_bucket):
            raise SettingsError(
                "JUNIER_S3_ENDPOINT, JUNIER_S3_REGION and JUNIER_S3_BUCKET are required with JUNIER_OBJECT_STORE=s3"
            )
        others = {database_server(url) for url in (self.database_url, self.migration_database_url) if url}
        if self.keys_database_url and database_server(self.keys_database_url) in others:
            raise SettingsError(
                "KEYS_DATABASE_URL must name a server of its own: a copy of the other one would hold what the keys open"
            )
        if not 1 <= self.key_epoch_hours <= 24 * 31:
            raise SettingsError("JUNIER_KEY_EPOCH_HOURS must be from 1 to 744")
        if not 1 <= self.backup_days <= 366:
            raise SettingsError("JUNIER_BACKUP_DAYS must be from 1 to 366")
        for name, number, least in (
            ("JUNIER_STREAM_KBITS", self.stream_kbits, 300),
            ("JUNIER_SESSION_STREAMS", self.session_streams, 1),
            ("JUNIER_ACCOUNT_STREAMS", self.account_streams, 1),
            ("JUNIER_RECORDING_MINUTES", self.recording_minutes, 1),
        ):
            if number < least:
                raise SettingsError(f"{name} must be at least {least}")
        if self.worker_silent_s < 3:
            raise SettingsError("JUNIER_WORKER_SILENT_S must be at least 3: a busy worker is not a dead one")
        for name, code in (("JUNIER_COUNTRY", self.country), ("JUNIER_TURN_COUNTRY", self.turn_country)):
            if code and not (len(code) == 2 and code.isascii() and code.isupper()):
                raise SettingsError(f"{name}={code!r} does not fit: two capital letters expected, such as DE")
        for name, text, read in (
            ("JUNIER_TRUSTED_PROXIES", self.trusted_proxies, lambda: self.proxies),
            ("JUNIER_MEDIA_ADDRESSES", self.media_addresses, lambda: self.offer_addresses),
            ("JUNIER_MEDIA_ANNOUNCED", self.media_announced, lambda: self.announced_addresses),
            ("JUNIER_MEDIA_PORTS", self.media_ports, lambda: self.udp_ports),
        ):
            try:
                read()
            except ValueError as wrong:
                raise SettingsError(f"{name}={text!r} does not fit: {wrong}") from None
        if not 0 <= self.metrics_port <= 65534:
            raise SettingsError("JUNIER_METRICS_PORT must be a port below 65535, or 0 for none")

    @property
    def development(self) -> bool:
        return self.mode is Mode.DEVELOPMENT

    @property
    def secure(self) -> bool:
        """True when people reach us over https, so cookies can carry __Host- and Secure."""
        return self.public_url.startswith("https://")

    @property
    def origin(self) -> str:
        """Scheme, host and port of the public address, as browsers send it in Origin."""
        url = urlsplit(self.public_url)
        return f"{url.scheme}://{url.netloc}"

    @property
    def keys_folder(self) -> Path:
        return self.keys_dir or self.data_dir / "keys"

    @property
    def register_path(self) -> Path:
        return self.register_file or self.data_dir / "register.toml"

    @property
    def master_key_path(self) -> Path:
        return self.master_key_file or self.data_dir / "master.key"

    @property
    def contact(self) -> str:
        return self.platform_contact or "operator@localhost"

    @property
    def proxies(self) -> tuple[str, ...]:
        """Raises ValueError. Never everyone: whoever is believed names the address that limits are counted for."""
        return networks(self.trusted_proxies)

    @property
    def udp_ports(self) -> range | None:
        """None: any. Raises ValueError."""
        return ports(self.media_ports) if self.media_ports else None

    @property
    def offer_addresses(self) -> tuple[str, ...]:
        """Empty: all of this machine. Raises ValueError."""
        return addresses(self.media_addresses)

    @property
    def announced_addresses(self) -> tuple[str, ...]:
        """Raises ValueError."""
        announced = addresses(self.media_announced)
        if announced and len(announced) != len(self.offer_addresses):
            raise ValueError("expected one for each of JUNIER_MEDIA_ADDRESSES, in the same order")
        return announced


def child_environment(settings: Settings, **changes: str) -> dict[str, str]:
    """The environment of a child process that shall read the very same settings, with `changes` on top."""
    told = {f.metadata["variable"]: getattr(settings, f.name) for f in fields(settings)}
    return (
        os.environ
        | {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in told.items()
            if value is not None
        }
        | changes
    )


def _parse(name: str, text: str, default: object) -> object:
    try:
        if isinstance(default, bool):
            if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
                raise ValueError
            return text.lower() in ("true", "1", "yes")
        if isinstance(default, Mode):
            return Mode(text)
        if isinstance(default, int):
            return int(text)
        if isinstance(default, Path) or name.endswith(("_DIR", "_FILE")):
            return Path(text)
    except ValueError:
        raise SettingsError(f"{name}={text!r} does not fit: {type(default).__name__} expected") from None
    return text
