"""Everybody outside this machine who gets personal data under the live settings, and the register that says
under which safeguard they do (GDPR Art. 28 and 44-46).

Who is one follows from the settings alone, so nobody can be forgotten. What the settings cannot know (country,
safeguard, contract, date of the next review) stands in a file of the operator, one table per host:

    ["smtp.example.eu"]
    country = "DE"
    safeguard = "Processing contract, servers in the EU only"
    document = "https://mail.example.eu/dpa"
    since = 2026-01-10
    review_by = 2027-01-10
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from app.errors import Unavailable
from app.language import _, country_name, translate_only
from app.settings import EU_COUNTRIES, LOOPBACK_HOSTS, Mode, Settings, SettingsError
from recordings.storage.regions import Place, place_of


class ReviewOverdue(Unavailable):
    """A third party of the platform has to be reviewed before anything new is given to it."""


class Purpose(StrEnum):
    """What a third party is there for; an overdue review stops just this."""

    STORAGE = "storage"
    MAIL = "mail"
    RELAY = "relay"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the register says of one host. Every field is required: a safeguard without a date is none."""

    country: str
    safeguard: str
    document: str
    since: date
    review_by: date


@dataclass(frozen=True, kw_only=True)
class ThirdParty:
    """Somebody else who gets data: who, for what, which data, where, and under which safeguard since when.

    host: as the register names it; safeguard and document: empty, since and review_by: None without an entry."""

    use: Purpose
    host: str
    name: str
    purpose: str
    data: str
    place: str
    safeguard: str = ""
    document: str = ""
    since: date | None = None
    review_by: date | None = None

    @property
    def ours(self) -> bool:
        """A server on this very machine: nobody else's."""
        return self.host in LOOPBACK_HOSTS

    def overdue(self, today: date) -> bool:
        """Its review should have been done; nothing new is given to it until it was."""
        return self.review_by is not None and self.review_by < today

    def shown(self) -> dict[str, str]:
        """What a participant reads of it: the facts a consent rests on."""
        facts = {"name": self.name, "purpose": self.purpose, "data": self.data, "place": self.place}
        return facts | ({"safeguard": self.safeguard} if self.safeguard else {})


def third_parties(settings: Settings) -> tuple[ThirdParty, ...]:
    """All of them, in the language spoken."""
    return (*_storage(settings), *_mail(settings), *_relays(settings))


def overdue(settings: Settings, use: Purpose, today: date) -> ThirdParty | None:
    """Who must not be given anything new for this use, since their review is overdue."""
    return next((one for one in third_parties(settings) if one.use is use and one.overdue(today)), None)


def require_reviewed(settings: Settings, use: Purpose, today: date) -> None:
    """Before something new is given to whoever is there for `use`. Raises ReviewOverdue."""
    late = overdue(settings, use, today)
    if late is not None:
        raise ReviewOverdue(
            f"The platform's review of {late.host} is overdue, so nothing new is given to it. Please write to "
            f"{settings.contact}."
        )


def check_third_parties(settings: Settings) -> None:
    """Before anything starts in production: everybody has an entry, and nobody stands where they may not.
    Raises SettingsError saying what to write."""
    if settings.mode is not Mode.PRODUCTION:
        return
    for party in third_parties(settings):
        if not party.ours and not party.safeguard:
            raise SettingsError(
                f"{party.host} gets personal data but stands in no register: add a table [{party.host!r}] with "
                f"{', '.join(Entry.__dataclass_fields__)} to {settings.register_path}"
            )
    if settings.eu_only and settings.country not in EU_COUNTRIES:
        raise SettingsError(
            "JUNIER_COUNTRY must be the two letters of the EU country this machine stands in (JUNIER_EU_ONLY is true)"
        )


def relay_allowed(settings: Settings) -> bool:
    """May the TURN servers be offered? With *EU only* their country must be known and in the EU; while trying on
    this machine an unnamed country is taken for this one."""
    country = settings.turn_country
    return not settings.eu_only or country in EU_COUNTRIES or (not country and settings.development)


def register(settings: Settings) -> Mapping[str, Entry]:
    """The operator's register; empty without the file. Raises SettingsError."""
    return _read(settings.register_path)


@lru_cache(maxsize=8)
def _read(path: Path) -> Mapping[str, Entry]:
    """Read once: a change of it is a change of settings, and takes a restart."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return {host: _entry(host, table) for host, table in tables.items()}
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, ValueError) as wrong:
        raise SettingsError(f"{path}: {wrong}") from None


def _entry(host: str, table: object) -> Entry:
    if not isinstance(table, dict) or table.keys() != Entry.__dataclass_fields__.keys():
        raise ValueError(f"[{host!r}] needs exactly {', '.join(Entry.__dataclass_fields__)}")
    texts, dates = ("country", "safeguard", "document"), ("since", "review_by")
    if not all(isinstance(table[name], str) and table[name].strip() for name in texts):
        raise ValueError(f"[{host!r}] {', '.join(texts)} are texts in quotes")
    if not all(type(table[name]) is date for name in dates):
        raise ValueError(f"[{host!r}] {', '.join(dates)} are dates such as 2027-01-31")
    return Entry(**table)


def _storage(settings: Settings) -> list[ThirdParty]:
    if settings.object_store != "s3":
        return []
    place = storage_place(settings)
    where = translate_only(place.where)
    if place.operator_outside_eu:
        where = _("%(where)s, run by a company from outside the EU", where=where)
    host = urlsplit(place.origin).hostname or ""
    return [
        _party(
            settings,
            use=Purpose.STORAGE,
            host=host,
            name=f"{place.provider} ({host})",
            purpose=_("keeps the recordings"),
            data=_("encrypted recordings and transcripts it cannot open"),
            place=where,
        )
    ]


def _mail(settings: Settings) -> list[ThirdParty]:
    if settings.mail not in ("mailtrap", "smtp"):
        return []
    mailtrap = settings.mail == "mailtrap"
    host = settings.mailtrap_host if mailtrap else settings.smtp_host
    return [
        _party(
            settings,
            use=Purpose.MAIL,
            host=host,
            name=f"Mailtrap ({host})" if mailtrap else host,
            purpose=_("sends our e-mails"),
            data=_("your first name, your e-mail address and the text of our mails to you"),
            place=_registered_place(settings, host)
            or (_("may be outside the EU") if mailtrap else _("where the account's mail provider runs it")),
        )
    ]


def _relays(settings: Settings) -> list[ThirdParty]:
    if not relay_allowed(settings):
        return []
    return [
        _party(
            settings,
            use=Purpose.RELAY,
            host=host,
            name=host,
            purpose=_("passes the live connection on when your network needs it"),
            data=_("your network address and the encrypted live connection; nothing is stored"),
            place=country_name(settings.turn_country)
            if settings.turn_country
            else _("where the platform's operator runs it"),
        )
        for host in _relay_hosts(settings.turn_urls)
    ]


def _party(settings: Settings, *, host: str, **facts: object) -> ThirdParty:
    entry = register(settings).get(host)
    said = {} if entry is None else {name: getattr(entry, name) for name in vars(entry) if name != "country"}
    return ThirdParty(host=host, **facts, **said)  # type: ignore[arg-type]


def _registered_place(settings: Settings, host: str) -> str:
    entry = register(settings).get(host)
    return "" if entry is None else country_name(entry.country)


def storage_place(settings: Settings) -> Place:
    """Where the bucket is; the store itself refuses to start anywhere else (recordings.storage.regions)."""
    return place_of(settings.s3_endpoint, settings.s3_region, loopback_allowed=True)


def storage_name(settings: Settings) -> str:
    """Provider and region, as a recording's row notes them; no one's name who runs this machine."""
    if settings.object_store != "s3":
        return f"this machine, {settings.country}".rstrip(", ")
    place = storage_place(settings)
    return f"{place.provider} {place.region}"


def _relay_hosts(turn_urls: str) -> list[str]:
    """turn:host:3478?transport=udp, turns:host:443 (RFC 7065) -> hosts, each once."""
    hosts: list[str] = []
    for url in (part.strip() for part in turn_urls.split(",") if part.strip()):
        host = urlsplit("//" + url.partition(":")[2].partition("?")[0]).hostname
        if host and host not in hosts:
            hosts.append(host)
    return hosts
