"""Validated input of a study."""

from __future__ import annotations

from dataclasses import dataclass

from app.forms import Form
from app.language import N_, _
from app.studies.models import DEFAULT_RETENTION_DAYS, ConsentKind, Reminder
from app.studies.retention import exceeds, too_long

LANGUAGES = {
    "en": N_("English"),
    "de": N_("German"),
    "fr": N_("French"),
    "es": N_("Spanish"),
    "it": N_("Italian"),
    "nl": N_("Dutch"),
}
"""Languages a transcript can be written in."""
RETENTION = {"days": N_("Erase after a number of days"), "asked": N_("Keep until you or the participant ask")}
SEEN_BY = {"team": N_("Everybody of your team"), "assigned": N_("Owners, and only those assigned to each session")}
REMINDERS = {
    Reminder.DAY: N_("The day before, at the same time"),
    Reminder.HOUR: N_("One hour before"),
    Reminder.NONE: N_("No reminder"),
}
LONGEST_DAYS = 10958  # thirty years
WORDS_LENGTH = 2000


@dataclass(frozen=True, kw_only=True)
class StudyInput:
    """retention_days None: until asked. assigned_only, reminder None: as it is."""

    title: str
    contact_name: str
    contact_email: str
    consent_text: str
    kinds: list[ConsentKind]
    language: str
    retention_days: int | None
    questions_words: str = ""
    assigned_only: bool | None = None
    reminder: Reminder | None = None


def read_study(form: Form, *, longest: int | None = None) -> StudyInput | None:
    """None when something does not fit; the form then says what. longest: days no study of the account may exceed."""
    kinds = [ConsentKind(kind) for kind in form.choices("kinds", ConsentKind)]
    if not kinds and "kinds" not in form.errors:
        form.errors["kinds"] = _("Please choose at least one kind to record.")
    if ConsentKind.TRANSCRIPT in kinds and ConsentKind.AUDIO not in kinds:
        form.errors["kinds"] = _("A transcript is written from the audio, so audio is needed too.")
    days: int | None = None
    if form.choice("retention", RETENTION) == "days":
        days = form.number("retention_days", at_least=1, at_most=LONGEST_DAYS)
    if exceeds(days, longest):
        form.errors.setdefault("retention" if days is None else "retention_days", too_long(longest))
    seen_by = form.choice("seen_by", SEEN_BY) if "seen_by" in form.values else None
    reminder = form.choice("reminder", REMINDERS) if "reminder" in form.values else None
    read = StudyInput(
        title=form.line("title"),
        contact_name=form.line("contact_name"),
        contact_email=form.email("contact_email"),
        consent_text=form.text("consent_text"),
        kinds=kinds,
        language=form.choice("language", LANGUAGES),
        retention_days=days,
        questions_words=form.text("questions_words", required=False, length=WORDS_LENGTH),
        assigned_only=None if seen_by is None else seen_by == "assigned",
        reminder=Reminder(reminder) if reminder in set(Reminder) else None,
    )
    return read if form.fine else None


def shown_study(
    *,
    title: str = "",
    contact_name: str = "",
    contact_email: str = "",
    consent_text: str = "",
    kinds: list[str] | None = None,
    language: str = "en",
    retention_days: int | None = DEFAULT_RETENTION_DAYS,
    questions_words: str = "",
    assigned_only: bool = False,
    reminder: str = Reminder.DAY,
) -> Form:
    """The form as first shown."""
    return Form(
        values={
            "title": title,
            "contact_name": contact_name,
            "contact_email": contact_email,
            "consent_text": consent_text,
            "language": language,
            "retention": "asked" if retention_days is None else "days",
            "retention_days": str(retention_days or DEFAULT_RETENTION_DAYS),
            "questions_words": questions_words,
            "seen_by": "assigned" if assigned_only else "team",
            "reminder": reminder,
        },
        lists={"kinds": list(ConsentKind) if kinds is None else kinds},
    )
