"""What a line of the ledger (app.ledger) says: a class of each kind, and how the line is read."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from app.errors import JunierError


class LedgerUnread(JunierError):
    """A line of the ledger of erasures cannot be understood: it was changed, or a newer version of Junier wrote it. It
    may be about somebody who was erased, so nothing is served. Start that version, or put back the folder ledger/ of
    the key store."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """One line. Of several about the same thing the last one counts. gives: it lets somebody do more than before, so
    it counts only when it is known that its transaction was committed."""

    ABOUT: ClassVar[tuple[str, ...]] = ()
    at: datetime
    account: UUID
    gives: bool = False

    @property
    def event(self) -> str:
        """What happened, as the line says."""
        return str(type(self).__struct_config__.tag)

    @property
    def about(self) -> tuple[object, ...]:
        """What it is a word on."""
        return (self.ABOUT, self.account, *(getattr(self, name) for name in self.ABOUT))


class Erased(Entry, frozen=True, kw_only=True):
    """An erasure. recordings None: the whole person; responses: answers beside the recordings named; kinds None: whole
    recordings; notes: sessions whose notes go along."""

    ABOUT: ClassVar[tuple[str, ...]] = ("erasure",)
    erasure: UUID
    person: UUID
    recordings: list[UUID] | None
    responses: list[UUID] | None = None
    kinds: list[str] | None
    notes: list[UUID] | None = None
    reason: str
    asked_by: str
    asked_at: datetime
    instruction: str
    receipt: str


class ErasureAsked(Erased, frozen=True, kw_only=True, tag="asked"):
    """What it is about is unreadable. noted_by, way, came: where a member wrote a participant's request down."""

    noted_by: UUID | None = None
    way: str | None = None
    came: datetime | None = None


class ErasureBegun(Erased, frozen=True, kw_only=True, tag="begun"):
    """Keys are being destroyed."""


class ErasureComplete(Erased, frozen=True, kw_only=True, tag="complete"):
    """Everything was looked for again, and nothing was found."""


class Suppressed(Entry, frozen=True, kw_only=True, tag="suppressed"):
    """An address that is not invited any more. address: hex of the keyed hash of app.sealed_columns."""

    ABOUT: ClassVar[tuple[str, ...]] = ("address",)
    address: str


class AddressCorrected(Entry, frozen=True, kw_only=True, tag="address corrected"):
    """A participant's address is another one now. address: hex of its keyed hash."""

    ABOUT: ClassVar[tuple[str, ...]] = ("person",)
    person: UUID
    address: str


class SessionMails(Entry, frozen=True, kw_only=True, tag="session mails"):
    """Whether a participant is written to about the moments of their sessions from now on."""

    ABOUT: ClassVar[tuple[str, ...]] = ("person", "event")
    person: UUID
    wanted: bool


class ConsentWithdrawn(Entry, frozen=True, kw_only=True, tag="consent withdrawn"):
    """A participant took a consent back, whether or not anything was recorded."""

    ABOUT: ClassVar[tuple[str, ...]] = ("person", "session", "kind")
    person: UUID
    session: UUID
    kind: str


class Restricted(Entry, frozen=True, kw_only=True, tag="restricted"):
    """A restriction or an objection: what was recorded of the person until then is kept and not used."""

    ABOUT: ClassVar[tuple[str, ...]] = ("request",)
    person: UUID
    request: UUID
    kind: str
    receipt: str


class InvitationRevoked(Entry, frozen=True, kw_only=True, tag="invitation revoked"):
    """A link stopped working. link: hex of the hash that is stored of it."""

    ABOUT: ClassVar[tuple[str, ...]] = ("link",)
    link: str


class MemberIs(Entry, frozen=True, kw_only=True, tag="member"):
    """What a member is from now on. role None: removed."""

    ABOUT: ClassVar[tuple[str, ...]] = ("member",)
    member: UUID
    role: str | None


class PasskeyRemoved(Entry, frozen=True, kw_only=True, tag="passkey removed"):
    """A passkey signs nobody in any more."""

    ABOUT: ClassVar[tuple[str, ...]] = ("passkey",)
    passkey: UUID


class PasskeysNeeded(Entry, frozen=True, kw_only=True, tag="passkeys needed"):
    """Whether owners and researchers of the account must have a passkey."""

    needed: bool


class RecordingHeld(Entry, frozen=True, kw_only=True, tag="hold"):
    """A hold was set or renewed; reason None: it was lifted. What it is about in words is not said here."""

    ABOUT: ClassVar[tuple[str, ...]] = ("recording",)
    recording: UUID
    reason: str | None
    until: datetime | None = None
    by: UUID | None = None


class KeptFor(Entry, frozen=True, kw_only=True, tag="kept"):
    """How long is kept from now on. level: account, study, session, participant, or default (of the account's new
    studies), and which; days None: as app.privacy.keeping.keeping says of each; periods: kinds that go earlier;
    ending: of a study's answers."""

    ABOUT: ClassVar[tuple[str, ...]] = ("level", "subject")
    level: str
    subject: UUID
    days: int | None
    periods: dict[str, int]
    ending: str | None = None


class StudyIs(Entry, frozen=True, kw_only=True, tag="study"):
    """A study was closed, or opened again."""

    ABOUT: ClassVar[tuple[str, ...]] = ("study",)
    study: UUID
    closed: bool


class StudySeenBy(Entry, frozen=True, kw_only=True, tag="seen by"):
    """Whether the sessions of a study are seen by owners and those assigned alone, from now on."""

    ABOUT: ClassVar[tuple[str, ...]] = ("study", "event")
    study: UUID
    assigned_only: bool


class Assigned(Entry, frozen=True, kw_only=True, tag="assigned"):
    """Whether a member is assigned to a session from now on."""

    ABOUT: ClassVar[tuple[str, ...]] = ("session", "member")
    session: UUID
    member: UUID
    assigned: bool


class Closing(Entry, frozen=True, kw_only=True):
    """A word on the end of the account. asked_by: as erasures name it."""

    asked_by: str

    @property
    def about(self) -> tuple[object, ...]:
        return ("closing", self.account)


class ClosingAnnounced(Closing, frozen=True, kw_only=True, tag="closing announced"):
    """The account closes at this moment, if nobody keeps it."""

    closes_at: datetime


class AccountKept(Closing, frozen=True, kw_only=True, tag="account kept"):
    """The announcement was taken back."""


class AccountClosed(Closing, frozen=True, kw_only=True, tag="account closed"):
    """The account is closed for good."""


class AccountGone(Closing, frozen=True, kw_only=True, tag="account gone"):
    """Nothing of it is left to erase: its own key is being destroyed, and nobody signs in any more."""


AnyEntry = (
    ErasureAsked
    | ErasureBegun
    | ErasureComplete
    | Suppressed
    | AddressCorrected
    | SessionMails
    | ConsentWithdrawn
    | Restricted
    | InvitationRevoked
    | MemberIs
    | PasskeyRemoved
    | PasskeysNeeded
    | RecordingHeld
    | KeptFor
    | StudyIs
    | StudySeenBy
    | Assigned
    | ClosingAnnounced
    | AccountKept
    | AccountClosed
    | AccountGone
)


class _OfLines(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    at: datetime
    of: list[str]


class Done(_OfLines, frozen=True, kw_only=True, tag="done"):
    """The transaction of the lines with these checksums was committed."""


class NotDone(_OfLines, frozen=True, kw_only=True, tag="not done"):
    """It was not, and never will be."""


class DamageAccepted(_OfLines, frozen=True, kw_only=True, tag="damage accepted"):
    """The operator goes on without what these marks name (Checked.mark)."""


_READ: msgspec.json.Decoder[AnyEntry | Done | NotDone | DamageAccepted] = msgspec.json.Decoder(
    AnyEntry | Done | NotDone | DamageAccepted
)


def said_in(raw: bytes) -> Entry | Done | NotDone | DamageAccepted | None:
    """None: the first line, or an empty one."""
    if not raw.strip() or raw.startswith(b'{"ledger"'):
        return None
    try:
        return _READ.decode(raw)
    except msgspec.DecodeError as error:
        raise LedgerUnread from error
