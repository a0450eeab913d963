"""What data about people is used for, and what allows each use: the purposes of this platform, each with its basis in
GDPR Art. 6(1) and, where special categories of data may appear, in Art. 9(2) (Art. 5(1)(b), 13(1)(c) and 30(1)(b)).

Declared once. The inventory names one of these for every column and place, each download and each hold has its own;
the notice tells those that concern participants. They are what the platform is built for: an owner who uses it
for something else needs a basis, and words, of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from app.language import N_, _, translate_only


class Basis(StrEnum):
    """The letter of Art. 6(1) GDPR. (e), a public task, is nothing we could claim for anybody."""

    CONSENT = "a"
    CONTRACT = "b"
    LEGAL_DUTY = "c"
    VITAL_INTERESTS = "d"
    LEGITIMATE_INTERESTS = "f"


class Special(StrEnum):
    """The letter of Art. 9(2) GDPR for health, beliefs, origin and the like."""

    CONSENT = "a"
    VITAL_INTERESTS = "c"
    CLAIMS = "f"


@dataclass(frozen=True, kw_only=True)
class Use:
    """words: the purpose; why: what makes the basis hold, and what the person can do about it.

    special: None where no special category is asked for or expected; told: it concerns participants."""

    words: str
    basis: Basis
    why: str
    special: Special | None = None
    told: bool = True


class Purpose(Enum):
    INVITING = Use(
        words=N_("To invite you and to write to you about your sessions"),
        basis=Basis.LEGITIMATE_INTERESTS,
        why=N_("the study needs people to take part; a click on “unsubscribe” ends it"),
    )
    TAKING_PART = Use(
        words=N_("To let you into the sessions you accepted"),
        basis=Basis.CONTRACT,
        why=N_("you registered for it"),
    )
    RESEARCH = Use(
        words=N_("The study: recordings, transcripts and answers"),
        basis=Basis.CONSENT,
        special=Special.CONSENT,
        why=N_("your consent, switch by switch and answer by answer; you can take it back at any time"),
    )
    OBSERVING = Use(
        words=N_("Notes of the study's people"),
        basis=Basis.LEGITIMATE_INTERESTS,
        why=N_(
            "research needs to keep what was seen; nothing about your health, beliefs or origin is to be noted "
            "unless you agreed to it, and you can object"
        ),
    )
    RIGHTS = Use(
        words=N_("To answer what you ask for about your data"),
        basis=Basis.LEGAL_DUTY,
        special=Special.CLAIMS,
        why=N_("data protection law gives you these rights"),
    )
    PROOF = Use(
        words=N_("To prove consents, erasures and who saw what"),
        basis=Basis.LEGAL_DUTY,
        why=N_("data protection law asks for these proofs; they are kept without names"),
    )
    SECURITY = Use(
        words=N_("To keep strangers out and to lose nothing"),
        basis=Basis.LEGITIMATE_INTERESTS,
        why=N_("what you entrust to us has to be safe"),
    )
    COMPLAINTS = Use(
        words=N_("To look into complaints"),
        basis=Basis.LEGITIMATE_INTERESTS,
        special=Special.CLAIMS,
        why=N_("whoever complains, or is complained about, has to be heard fairly"),
    )
    CLAIMS = Use(
        words=N_("Legal claims"),
        basis=Basis.LEGITIMATE_INTERESTS,
        special=Special.CLAIMS,
        why=N_("a claim could not be decided without it; you are told that something is kept for this"),
    )
    DUTIES = Use(
        words=N_("Orders of authorities and duties that a law names"),
        basis=Basis.LEGAL_DUTY,
        special=Special.CLAIMS,
        why=N_("the study's owner has to follow them; you are told that something is kept for this"),
    )
    EMERGENCY = Use(
        words=N_("An emergency"),
        basis=Basis.VITAL_INTERESTS,
        special=Special.VITAL_INTERESTS,
        why=N_("somebody's life or health is in danger"),
    )
    ACCOUNT = Use(
        words=N_("To run an account"),
        basis=Basis.CONTRACT,
        why=N_("the contract with whoever has the account"),
        told=False,
    )
    MEMBERS = Use(
        words=N_("To let members and operators work"),
        basis=Basis.LEGITIMATE_INTERESTS,
        why=N_("an account needs its people, and its people their work"),
        told=False,
    )
    OPERATION = Use(
        words=N_("To keep the platform running"),
        basis=Basis.LEGITIMATE_INTERESTS,
        why=N_("faults have to be found; nobody is named in it"),
        told=False,
    )

    def __str__(self) -> str:
        return translate_only(self.value.words)

    @property
    def articles(self) -> str:
        """Where it stands in the law."""
        letter, special = str(self.value.basis), self.value.special
        if special is None:
            return _("GDPR Art. 6(1)(%(letter)s)", letter=letter)
        return _("GDPR Art. 6(1)(%(letter)s) and Art. 9(2)(%(special)s)", letter=letter, special=str(special))

    @property
    def sentence(self) -> str:
        """As people read it, in the language spoken."""
        why = translate_only(self.value.why)
        return _("%(purpose)s: %(why)s (%(articles)s).", purpose=self, why=why, articles=self.articles)


def told_purposes() -> tuple[Purpose, ...]:
    """Those that a participant reads of."""
    return tuple(purpose for purpose in Purpose if purpose.value.told)
