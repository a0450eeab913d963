"""README.txt of a participant's copy: what each file is, what is not in it and why, and what can be done next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.language import gettext as _
from app.language import say_moment, translate_only
from app.privacy.rights.zipped import CHECKSUMS, File
from app.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One recording. missing: why none of its files are in the copy, "" when they are."""

    study: str
    session: str
    stream: str
    at: datetime
    time_zone: str
    files: tuple[File, ...]
    missing: str


def readme(
    settings: Settings, plain: Mapping[str, list[dict[str, Any]]], recorded: Sequence[Recorded], now: datetime
) -> str:
    """In the language spoken. plain: what data.json holds."""
    name = plain["participant"][0]["name"]
    account = plain["account"][0]["name"]
    lines = [
        _("Everything %(account)s keeps about %(name)s on %(platform)s", account=account, name=name,
          platform=settings.platform_name),
        _("Made on %(when)s.", when=say_moment(now, "UTC")),
        "",
        _("What is in it"),
        "data.json: " + _("every personal entry of the database, table by table"),
        "consents.json: " + _("each consent you gave or took back, with the text you saw"),
        "answers.json: " + _("what you answered after sessions"),
        "history.json: " + _("who looked at your data, and everything else that was done with it"),
        "who-has-it.json: " + _("who decides about your data, who else gets it, and where it is kept"),
        f"{CHECKSUMS}: " + _("fingerprints that show whether a file has changed; sha256sum --check reads them"),
        "",
        _("Recordings"),
        *([line for one in recorded for line in _recording(one)] or [_("Nothing was recorded.")]),
        "",
        _("What is not in it"),
        _("What other people said, showed or wrote; notes of the researchers about a session, of which you can ask for "
          "those about you; secret links, codes and keys; ids that only our programs need."),
        "",
        _("What you can do"),
        _("Under “My data” you can correct, restrict and erase everything, and take a consent back. "
          "You may complain to a data protection authority."),
        *(_("Questions about “%(study)s”: %(name)s, %(email)s", study=row["title"], name=row["contact_name"],
            email=row["contact_email"]) for row in plain["study"]),
        _("Questions about the platform: %(email)s", email=settings.contact),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _recording(one: Recorded) -> list[str]:
    head = f"{one.study}, {one.session}, {say_moment(one.at, one.time_zone)}:"
    if one.missing:
        return [f"{head} {translate_only(one.missing)}"]
    return [head, *(f"  {file.path}" for file in one.files)]
