"""Which language a page or mail speaks, and its words: gettext over app/translations, read once, never compiled.

A text is written in English where it is shown and marked there: `_("…")` and ngettext in templates, Python and
the room's modules, N_("…") where a text is kept before it is shown. English needs no catalogue; a text that has no
German is shown in English.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from jinja2 import Environment
from markupsafe import Markup

from app.escaping import as_text

FOLDER = Path(__file__).parent / "translations"
ROOM_TEXTS = "app/static/"  # texts with this place in the catalogue are sent to the page's modules


class Language(StrEnum):
    """A language that participants' pages and mails speak."""

    EN = "en"
    DE = "de"

    @property
    def own_name(self) -> str:
        return {"en": "English", "de": "Deutsch"}[self]


@dataclass(kw_only=True)
class Reader:
    """What is known of the language of whoever reads this answer; more may become known on the way.

    header: Accept-Language; study: the language of the study they take part in."""

    explicit: str | None = None
    stored: str | None = None
    header: str | None = None
    study: str | None = None

    @property
    def language(self) -> Language:
        return choose(self.header, self.explicit, self.stored, self.study)


_reader: ContextVar[Reader | None] = ContextVar("reader", default=None)
_LOCALES = {Language.EN: Locale.parse("en_GB"), Language.DE: Locale.parse("de_DE")}
_DAY = {Language.EN: "d MMMM y", Language.DE: "d. MMMM y"}


@lru_cache(maxsize=1000)
def choose(
    accept_language: str | None, explicit: str | None, stored: str | None, fallback: str | None = None
) -> Language:
    """What the person chose, else chose before, else what the browser asks for (RFC 9110 §12.5.4), else the
    study's language, else English. What we do not speak or cannot read counts as not said."""
    for said in (explicit, stored, _preferred(accept_language or ""), fallback):
        known = read_language(said)
        if known is not None:
            return known
    return Language.EN


def read_language(said: str | None) -> Language | None:
    """en, de-AT -> Language; None for anything else."""
    primary = (said or "").strip().lower().replace("_", "-").partition("-")[0]
    return Language(primary) if primary in set(Language) else None


def speak_to(reader: Reader) -> None:
    """From here on this request speaks to `reader`; what becomes known of them later counts too."""
    _reader.set(reader)


def reader() -> Reader:
    """Whom this request speaks to, to be told more of them."""
    return _reader.get() or Reader()


def spoken() -> Language:
    """The language of this request; English until somebody was met."""
    return reader().language


def kept_in_address() -> str:
    """?language=de, for a page that will not know this reader, where the browser alone would not say it."""
    alone = choose(reader().header, None, None)
    return "" if alone is spoken() else f"?language={spoken()}"


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """`language` for what is rendered inside: a mail in its reader's language."""
    before = _reader.set(Reader(explicit=language))
    try:
        yield
    finally:
        _reader.reset(before)


def N_(message: str) -> str:
    """Marks a text that is translated later, when it is shown."""
    return message


def NN_(singular: str, plural: str) -> tuple[str, str]:
    """Marks a text in two forms, for ngettext(*…, n)."""
    return singular, plural


def gettext(message: str, /, **values: object) -> str:
    """The message in the language spoken, with %(name)s filled in when there are values."""
    translated = translate_only(message)
    return translated % values if values else translated


def ngettext(singular: str, plural: str, n: int, /, **values: object) -> str:
    """The form for `n`, with %(n)s and %(name)s filled in."""
    return translations(spoken()).ngettext(singular, plural, n) % {"n": n, **values}


def translate_only(message: str) -> str:
    """The message as it stands in the catalogue; nothing is filled in, so that any text may be given."""
    return translations(spoken()).gettext(message) if message else ""


_ = gettext


@lru_cache
def catalogue(language: Language) -> Catalog:
    """The .po file of a language; an empty one for English."""
    file = FOLDER / language / "LC_MESSAGES/junier.po"
    if not file.exists():
        return Catalog(locale=_LOCALES[language], domain="junier")
    with file.open("rb") as lines:
        return read_po(lines, locale=_LOCALES[language].language, domain="junier")


@lru_cache
def translations(language: Language) -> NullTranslations:
    """Fuzzy entries are left out: better English than a guess."""
    if language is Language.EN:
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, catalogue(language))
    compiled.seek(0)
    return GNUTranslations(compiled)


@lru_cache
def room_words(language: Language) -> dict[str, str | list[str]]:
    """What the page's modules say, from English: a text, or [one, many]; read by static/js/words.js."""
    words: dict[str, str | list[str]] = {}
    for message in catalogue(language):
        if message.id and message.string and any(place.startswith(ROOM_TEXTS) for place, _line in message.locations):
            if isinstance(message.id, str):
                words[message.id] = str(message.string)
            else:
                words[message.id[0]] = list(message.string)
    return words


def install(environment: Environment) -> None:
    """`_`, ngettext and {% trans %} in templates, newstyle: values are filled in, escaped, by the call itself.
    Jinja's own callables make a context anew for every text in a loop, a quarter of a long page's time; these need
    none."""
    text = Markup if environment.autoescape else str

    @lru_cache(maxsize=4000)
    def known(language: Language, message: str) -> str:
        return text(translations(language).gettext(message) if message else "")

    def filled(message: str, values: Mapping[str, object]) -> str:
        """Each value escaped; Markup's own % wraps every one of them in an object first."""
        if not environment.autoescape:
            return message % values
        return text(str.__mod__(message, {name: as_text(value) for name, value in values.items()}))

    def one(message: str, /, **values: object) -> str:
        found = known(spoken(), message)
        return filled(found, values) if values or "%" in found else found

    @lru_cache(maxsize=4000)
    def known_of_two(language: Language, singular: str, plural: str, n: int) -> str:
        return translations(language).ngettext(singular, plural, n)

    def one_of_two(singular: str, plural: str, n: int, /, **values: object) -> str:
        return filled(known_of_two(spoken(), singular, plural, n), {"num": n} | values)

    environment.newstyle_gettext = True  # type: ignore[attr-defined]
    environment.globals |= {"_": one, "gettext": one, "ngettext": one_of_two}
    environment.policies["ext.i18n.trimmed"] = True
    environment.globals |= {"spoken": spoken, "spoken_languages": tuple(Language), "room_words": room_words}
    environment.filters |= {"translated": translate_only}


def say_day(at: date, zone: str = "UTC") -> str:
    """3 May 2027, 3. Mai 2027; a moment is shown as the day it falls on in `zone`."""
    return _day_of(at, zone, spoken()) if isinstance(at, datetime) else _say(at, _DAY[spoken()], spoken())


def say_moment(at: datetime, zone: str = "UTC", *, weekday: bool = False) -> str:
    """3 May 2027, 14:32 (Europe/Berlin); the zone is always named."""
    return _moment(at, zone, weekday, spoken())


@lru_cache(maxsize=4000)
def _moment(at: datetime, zone: str, weekday: bool, language: Language) -> str:
    """The lines of a page share few moments too."""
    local = at.astimezone(ZoneInfo(zone))
    day = _say(local.date(), ("EEEE, " if weekday else "") + _DAY[language], language)
    return f"{day}, {local:%H:%M} ({zone})"


@lru_cache(maxsize=4000)
def _day_of(at: datetime, zone: str, language: Language) -> str:
    return _say(at.astimezone(ZoneInfo(zone)).date(), _DAY[language], language)


@lru_cache(maxsize=4000)
def _say(day: date, pattern: str, language: Language) -> str:
    """A day by a pattern of UTS 35: the lines of a page share few days, and finding the words for one is slow."""
    return format_date(day, pattern, locale=_LOCALES[language])


def country_name(code: str) -> str:
    """DE -> Germany, Deutschland; a code nobody knows stays as it is."""
    return str(_LOCALES[spoken()].territories.get(code, code))


def say_duration(length: timedelta) -> str:
    """42 min 10 s."""
    minutes, seconds = divmod(round(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return _("%(hours)s h %(minutes)s min", hours=hours, minutes=minutes)
    return (
        _("%(minutes)s min %(seconds)s s", minutes=minutes, seconds=seconds)
        if minutes
        else _("%(seconds)s s", seconds=seconds)
    )


def _preferred(header: str) -> str | None:
    """The first language of an Accept-Language header that we speak, by its weights."""
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate(header[:1000].split(",")):
        tag, _semicolon, weight = part.partition(";")
        try:
            q = float(weight.strip().removeprefix("q=")) if weight.strip() else 1.0
        except ValueError:
            continue
        if 0 < q <= 1 and read_language(tag) is not None:
            ranked.append((-q, place, tag))
    return min(ranked)[2] if ranked else None
