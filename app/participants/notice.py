"""The privacy notice a participant reads, generated from the settings the platform really runs with.

A pure function of Settings and study facts: whoever adds a third party by configuration changes the
notice, its hash and so what a consent record says was shown.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from hashlib import sha256
from itertools import groupby

import rfc8785

from app.language import N_, Language, _, ngettext, say_day, speaking, spoken, translate_only
from app.legal_basis import told_purposes
from app.settings import Settings
from app.studies.clocks import CLOCKS, OF_A_SESSION, Kind, days_of, idle_days
from app.studies.models import ConsentKind
from app.third_parties import ThirdParty, storage_place, third_parties

WORDING_VERSION = 6  # raise it, and the date, with every change of a sentence below; a test pins the wording
WORDING_DATED = date(2026, 11, 22)

KIND_WORDS: dict[ConsentKind, tuple[str, str]] = {
    ConsentKind.VIDEO: (N_("Video"), N_("The picture of your camera")),
    ConsentKind.AUDIO: (N_("Audio"), N_("The sound of your microphone: your voice")),
    ConsentKind.SCREEN: (
        N_("Screen"),
        N_("The screen, window or tab you choose to share, with the sound of a shared tab"),
    ),
    ConsentKind.TRANSCRIPT: (
        N_("Transcript"),
        N_("Your spoken words, written down from your audio by our own computer"),
    ),
}
"""The name of each switch and what it means, in English."""


def kind_words(kind: ConsentKind) -> tuple[str, str]:
    """Name and meaning of a kind in the language spoken."""
    name, meaning = KIND_WORDS[kind]
    return translate_only(name), translate_only(meaning)


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """What the notice needs to know of a study; plain values, nothing from the database.

    retention_days: days kept after the session, None: until someone asks for erasure.
    periods: kinds that go earlier, in days. has_questions: the study asks something after the session;
    consent_language: of the consent text, where known. assigned_only: sessions are seen by owners and the members
    assigned to each alone. counted: of answers past their date the counts of choices stay."""

    account_name: str
    title: str
    contact_name: str
    contact_email: str
    kinds: tuple[ConsentKind, ...]
    retention_days: int | None
    consent_text: str
    consent_version: int
    consent_dated: date
    has_questions: bool = False
    periods: tuple[tuple[str, int], ...] = ()
    consent_language: str = ""
    assigned_only: bool = False
    counted: bool = False

    @property
    def idle_days(self) -> int | None:
        """Days after the participant's last session in the study; None: not counted so."""
        return idle_days(dict(self.periods))

    @property
    def shorter(self) -> tuple[str, ...]:
        """Which kinds go before the rest, in the language spoken."""
        return kept_shorter(self)


@dataclass(frozen=True, kw_only=True)
class Section:
    """items: those of the paragraphs that are shown as a list."""

    heading: str
    paragraphs: tuple[str, ...]
    items: tuple[str, ...] = ()

    @property
    def blocks(self) -> list[tuple[bool, list[str]]]:
        """The paragraphs in their order: (a list or not, its texts)."""
        return [(listed, list(run)) for listed, run in groupby(self.paragraphs, key=self.items.__contains__)]


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What is shown. `hash`: SHA-256 over the consent text and every sentence here, kept with each consent."""

    version: str
    dated: date
    language: str
    sections: tuple[Section, ...]
    third_parties: tuple[ThirdParty, ...]
    consent_version: int
    hash: bytes

    @property
    def fingerprint(self) -> str:
        return self.hash.hex()


@lru_cache(maxsize=512)
def notice(settings: Settings, study: StudyFacts, language: Language = Language.EN) -> Notice:
    """The notice of one study on this installation; remembered by its facts, since permission asks for it often."""
    with speaking(language):
        return _notice(settings, study)


def hashes(settings: Settings, study: StudyFacts) -> dict[str, bytes]:
    """What a consent must name to allow recording now, by the language it was read in."""
    return {language: notice(settings, study, language).hash for language in Language}


def _notice(settings: Settings, study: StudyFacts) -> Notice:
    parties = third_parties(settings)
    sections = (
        Section(
            heading=_("Who asks"),
            paragraphs=(
                _(
                    "%(account)s runs the study “%(title)s” and decides what your recordings are used for "
                    "(the controller). %(platform)s is the platform that records and keeps them on their instructions.",
                    account=study.account_name,
                    title=study.title,
                    platform=settings.platform_name,
                ),
            ),
        ),
        Section(
            heading=_("What we collect"),
            paragraphs=_collected(study.kinds, study.has_questions),
            items=_kinds(study.kinds),
        ),
        _lawful(),
        Section(
            heading=_("Where it is kept"),
            paragraphs=(
                _store_sentence(settings)
                + " "
                + _("Everything is encrypted before it is stored; whoever runs the storage cannot watch or read it."),
                _seen_by(study.assigned_only),
            ),
        ),
        Section(heading=_("Who else gets data"), paragraphs=_shared(parties)),
        Section(heading=_("How long"), paragraphs=_kept(study)),
        Section(
            heading=_("Your choices"),
            paragraphs=(
                _(
                    "Taking part is your choice. Each kind of recording has its own switch; you can switch it off at "
                    "any time, also in the middle of a session. We then stop recording that kind at once and erase "
                    "what was recorded of it."
                ),
                _(
                    "You can see what we hold, and erase everything about you, at any time on the page “My data”. "
                    "You may also complain to a data protection authority."
                ),
            ),
        ),
        Section(
            heading=_("Whom to ask"),
            paragraphs=(
                _(
                    "About the study, your recordings or their erasure: %(name)s, %(email)s.",
                    name=study.contact_name,
                    email=study.contact_email,
                ),
                _("About the platform: %(email)s.", email=settings.contact),
            ),
        ),
    )
    return Notice(
        version=f"{WORDING_VERSION}.{study.consent_version}",
        dated=max(WORDING_DATED, study.consent_dated),
        language=spoken(),
        sections=sections,
        third_parties=parties,
        consent_version=study.consent_version,
        hash=_hash(study, sections, parties),
    )


def _seen_by(assigned_only: bool) -> str:
    if assigned_only:
        return _(
            "Only the owners of this study's account, and those of its team who are assigned to your session, can see "
            "it. To write down what is said we use our own computers, never an outside service."
        )
    return _(
        "Only the people of this study's account can see it. To write down what is said we use our own "
        "computers, never an outside service."
    )


def _kinds(kinds: Collection[ConsentKind]) -> tuple[str, ...]:
    return tuple(f"{'. '.join(kind_words(kind))}." for kind in ConsentKind if kind in kinds)


def _collected(kinds: Collection[ConsentKind], has_questions: bool) -> tuple[str, ...]:
    answers = _(
        "What you answer, if you want to, to the study's questions after the session. "
        "Answers are kept as long as recordings may be."
    )
    return (
        _("Your name and e-mail address, so that we can invite you and answer you."),
        _("Only if you switch it on, kind by kind:"),
        *_kinds(kinds),
        _(
            "The people of the study may write notes while you take part. Notes are kept as long as recordings may be. "
            "They are erased when you take back your voice or its transcript, or have everything erased, unless "
            "somebody else who took part is left."
        ),
        *((answers,) if has_questions else ()),
        _(
            "When you gave or withdrew each consent, which text you saw, and the language you read. "
            "One cookie that keeps you signed in; no tracking."
        ),
    )


def _lawful() -> Section:
    """GDPR Art. 13(1)(c) and (d)."""
    reasons = tuple(purpose.sentence for purpose in told_purposes())
    before = _("Each use has a purpose, and a basis in the General Data Protection Regulation (GDPR):")
    return Section(heading=_("What for, and what allows it"), paragraphs=(before, *reasons), items=reasons)


def _store_sentence(settings: Settings) -> str:
    if settings.object_store == "s3":
        where = translate_only(storage_place(settings).where)
        return _("In the object storage named below, in %(where)s.", where=where)
    return _("On the platform's own server, in no outside storage.")


def _shared(parties: tuple[ThirdParty, ...]) -> tuple[str, ...]:
    if not parties:
        return (_("Nobody. No outside service gets data about you."),)
    return tuple(f"{party.name} {party.purpose}: {'; '.join(_known(party))}." for party in parties)


def _known(party: ThirdParty) -> list[str]:
    said = [party.data, party.place]
    if party.safeguard and party.since:
        said.append(_("%(safeguard)s, since %(day)s", safeguard=party.safeguard, day=say_day(party.since)))
    return said


def _kept(study: StudyFacts) -> tuple[str, ...]:
    if study.retention_days is None and study.idle_days is None:
        asked = _("We keep recordings until you or the study's owner asks for their erasure.")
        return (asked, *study.shorter, *_counted(study))
    found = [_by_session(study.retention_days)] if study.retention_days is not None else []
    if study.idle_days is not None:
        found.append(_by_last_session(study.idle_days))
    if len(found) > 1:
        found.append(_("What comes first counts."))
    return (*found, *study.shorter, *_counted(study))


def _by_session(days: int) -> str:
    return ngettext(
        "We erase recordings %(n)s day after the session ended, earlier if you or the study's owner asks for it.",
        "We erase recordings %(n)s days after the session ended, earlier if you or the study's owner asks for it.",
        days,
    )


def _by_last_session(days: int) -> str:
    return ngettext(
        "We erase recordings %(n)s day after your last session in this study, earlier if you or the study's owner "
        "asks for it. Each new session you take part in moves that day.",
        "We erase recordings %(n)s days after your last session in this study, earlier if you or the study's owner "
        "asks for it. Each new session you take part in moves that day.",
        days,
    )


def _counted(study: StudyFacts) -> tuple[str, ...]:
    return (counted_words(),) if study.counted and study.has_questions else ()


def counted_words() -> str:
    """What stays of answers under "anonymise", and what does not."""
    return _(
        "When your answers reach their date, we erase them. How often each choice was taken is counted and stays, "
        "without your name, the session or a date. What you wrote in your own words goes."
    )


def kept_shorter(study: StudyFacts) -> tuple[str, ...]:
    """Of what is collected, the kinds that go before the rest."""
    everything = days_of(Kind.ALL, study.retention_days)
    found = []
    for kind in OF_A_SESSION:
        days = days_of(kind, study.retention_days, dict(study.periods))
        collected = study.has_questions if kind is Kind.ANSWERS else str(kind) in map(str, study.kinds)
        if collected and days is not None and days != everything:
            found.append(
                ngettext("%(what)s: %(n)s day", "%(what)s: %(n)s days", days, what=translate_only(CLOCKS[kind].words))
            )
    if not found:
        return ()
    return (_("Some of it goes earlier, counted from the end of the session: %(kinds)s.", kinds=", ".join(found)),)


def _hash(study: StudyFacts, sections: tuple[Section, ...], parties: tuple[ThirdParty, ...]) -> bytes:
    shown = {
        "consent_text": study.consent_text,
        "consent_version": study.consent_version,
        "language": str(spoken()),
        "sections": [{"heading": s.heading, "paragraphs": list(s.paragraphs)} for s in sections],
        "third_parties": [party.shown() for party in parties],
        "wording": WORDING_VERSION,
    }
    return sha256(rfc8785.dumps(shown)).digest()  # type: ignore[arg-type]  # plain values only
