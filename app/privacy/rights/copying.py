"""The copy of everything held about one participant (GDPR Art. 15 and 20): rows, media, transcripts, answers, consents,
who looked at it and where it went. What is about other people is not in it (Art. 15(4)).

It is put together from the rows inside the transaction; media are read only while the archive is sent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import select

from app.accounts.models import Member
from app.audit import Action, record
from app.database import Db, now_in
from app.errors import JunierError, NotThere
from app.language import gettext
from app.library.service import Media, find_media, written
from app.library.written import FORMATS
from app.participants.models import Consent, Participant
from app.privacy.rights.copy_rows import Found, find_rows, to_plain
from app.privacy.rights.readme import Recorded, readme
from app.privacy.rights.trail import WORDS
from app.privacy.rights.zipped import Archive, File, text_file
from app.sessions.models import Recording, Session
from app.settings import Settings
from app.studies.models import ConsentText, Study
from app.third_parties import third_parties
from app.wiring import Wiring
from recordings.model import AccountId, PersonId

Plain = Mapping[str, list[dict[str, Any]]]


async def make_copy(
    db: Db, wiring: Wiring, *, account: AccountId, participant: PersonId, by: str, for_themselves: bool
) -> Archive:
    """The archive, noted in the audit log; the caller commits before it sends anything. for_themselves: the
    participant takes it along; the account's owner does not get what is restricted. Raises NotThere, StoreError."""
    row = await db.get(Participant, participant)
    if row is None or row.erased_at is not None:
        raise NotThere
    found = await find_rows(db, row, for_themselves=for_themselves)
    recorded = await _recorded(db, wiring, found, for_themselves)
    plain = await asyncio.to_thread(to_plain, wiring.columns, found)
    for line, one in zip(plain["recording"], recorded, strict=True):
        line["files"] = [file.path for file in one.files]
    events, roles = plain.pop("audit_event"), await _roles(db)
    for line in plain["line_correction"]:
        line["by"] = _who(line["by"], roles, str(participant))
    files = [
        text_file("README.txt", readme(wiring.settings, plain, recorded, await now_in(db)).encode()),
        _json_file("data.json", plain),
        _json_file("consents.json", _consents(found)),
        _json_file("answers.json", _answers(plain)),
        _json_file("history.json", [_event(event, roles, str(participant)) for event in events]),
        _json_file("who-has-it.json", _who_has_it(wiring.settings, plain)),
        *(file for one in recorded for file in one.files),
    ]
    archive = Archive(files)
    subject, facts = f"participant:{participant}", {"files": len(files), "for_themselves": for_themselves}
    await record(db, account=account, actor=by, action=Action.DATA_EXPORTED, subject=subject, facts=facts)
    return archive


async def _recorded(db: Db, wiring: Wiring, found: Found, for_themselves: bool) -> list[Recorded]:
    """By recording, in the order of the rows: its files, or why there are none."""
    sessions: dict[Any, Session] = {row.id: row for row in found.of(Session)}
    studies: dict[Any, Study] = {row.id: row for row in found.of(Study)}
    speaker = found.person if for_themselves else None
    recorded = []
    for number, row in enumerate(found.of(Recording), 1):
        session = sessions[row.session_id]
        files: list[File] = []
        missing = ""
        try:
            media = await find_media(db, recording=row.id, speaker=speaker)
            files.append(await asyncio.to_thread(_media_file, wiring, media, f"recordings/{number}-{row.stream}"))
            files += await _transcript(db, wiring, row, f"transcripts/{number}-{row.stream}", speaker)
        except JunierError as error:  # erased, past its date, still being made ready: said in the copy
            missing = error.message
        recorded.append(
            Recorded(
                study=studies[session.study_id].title,
                session=session.title,
                stream=row.stream,
                at=row.recorded_at or row.created_at,
                time_zone=session.time_zone,
                files=tuple(files),
                missing=missing,
            )
        )
    return recorded


def _media_file(wiring: Wiring, media: Media, path: str) -> File:
    """Its index is read twice, so that no more than one lies in memory while the others wait."""
    view = media.open(wiring)
    return File(path=f"{path}.{view.suffix}", size=view.size, read=lambda: media.open(wiring).read())


async def _transcript(db: Db, wiring: Wiring, row: Recording, path: str, speaker: PersonId | None) -> list[File]:
    """As VTT with times and as plain text; none where there is no transcript."""
    try:
        lines = (await written(db, wiring, recording=row.id, speaker=speaker)).lines
    except NotThere:
        return []
    return [text_file(f"{path}.{form}", FORMATS[form][1](lines).encode()) for form in ("vtt", "txt")]


def _consents(found: Found) -> list[dict[str, Any]]:
    """The whole log, each entry with the text it was given to."""
    sessions = {row.id: row for row in found.of(Session)}
    texts = {(row.study_id, row.version): row.text for row in found.of(ConsentText)}
    entries: Sequence[Consent] = found.of(Consent)
    return [
        {
            "at": entry.at.isoformat(),
            "session": sessions[entry.session_id].title,
            "kind": entry.kind,
            "purpose": entry.purpose,
            "given": entry.given,
            "language": entry.language,
            "text_version": entry.text_version,
            "text": texts.get((sessions[entry.session_id].study_id, entry.text_version)),
            "sha256_of_text_and_notice": entry.text_hash.hex(),
        }
        for entry in entries
        if entry.session_id in sessions
    ]


def _answers(plain: Plain) -> list[dict[str, Any]]:
    sessions = {row["id"]: row["title"] for row in plain["session"]}
    questions = {row["id"]: row["prompt"] for row in plain["question"]}
    return [
        {
            "session": sessions.get(response["session_id"], ""),
            "answered_at": response["answered_at"],
            "answers": [
                {"question": questions[answer["question_id"]], "answer": answer["value"]}
                for answer in plain["answer"]
                if answer["response_id"] == response["id"]
            ],
        }
        for response in plain["response"]
    ]


async def _roles(db: Db) -> dict[str, str]:
    return {f"member:{member}": role for member, role in await db.execute(select(Member.id, Member.role))}


def _who(actor: str, roles: Mapping[str, str], participant: str) -> str:
    """Of members the role only: who they are is theirs (CJEU C-579/21, Pankki S, para. 83)."""
    return "you" if actor == f"participant:{participant}" else roles.get(actor, "the platform")


def _event(event: Mapping[str, Any], roles: Mapping[str, str], participant: str) -> dict[str, Any]:
    return {
        "at": event["at"],
        "who": _who(event["actor"], roles, participant),
        "did": gettext(WORDS[Action(event["action"])]),
        "action": event["action"],
        "to": event["subject"],
        "facts": {name: value for name, value in event["facts"].items() if name != "login"},
    }


def _who_has_it(settings: Settings, plain: Plain) -> dict[str, Any]:
    return {
        "controller": [row["name"] for row in plain["account"]],
        "contacts": [{key: row[key] for key in ("title", "contact_name", "contact_email")} for row in plain["study"]],
        "platform": {"name": settings.platform_name, "contact": settings.contact},
        "third_parties": [
            {name: value for name, value in asdict(party).items() if value} for party in third_parties(settings)
        ],
        "given_to": [
            {name: line[name] for name in ("recipient", "contact", "kinds", "ground", "given_on")}
            for line in plain["disclosure"]
            if line["id"] not in {one["corrects"] for one in plain["disclosure"]} and line["kinds"]
        ],
        "places_of_recordings": sorted({row["place"] for row in plain["recording"] if row["place"]}),
        "countries_outside_the_eu": "only where a third party above says so",
    }


def _json_file(path: str, content: object) -> File:
    return text_file(path, (json.dumps(content, ensure_ascii=False, indent=1, default=str) + "\n").encode())
