"""What the library shows of a session: recordings in step, transcripts as one dialogue, all behind the same rules."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select

from app.accounts.service import member_names
from app.database import Db, now_in
from app.errors import Gone, NotThere, Unavailable
from app.language import _
from app.library.corrections import Correction, actors, corrections_of, person_of
from app.library.gaps import Gap, gaps_of, of_voice, unheard
from app.library.lines import Line, in_time, spoken
from app.library.transcripts import TranscriptCue, TranscriptText, read_transcript
from app.pages import clock
from app.participants.models import Participant
from app.participants.service import NAME_FIELD
from app.sealed_columns import SealedColumns
from app.sessions.models import Recording, Session, Track, Transcript, TranscriptState
from app.sessions.parts import past_kinds
from app.sessions.policy import readable
from app.sessions.service import recording_facts, recording_ref, track_ref
from app.studies.clocks import KIND_OF_TRACK, Kind
from app.studies.models import Study
from app.wiring import Wiring
from recordings.encryption.keystore import KeyDestroyed
from recordings.model import AccountId, PersonId, RecordingRef, TrackKind, TrackRef
from recordings.playback import NothingToPlay, View, open_view
from recordings.storage.layout import generation_of
from recordings.storage.store import ObjectMissing

LONGEST_MS = 10**9  # eleven days, longer than any session
SHOWN_MS = 500  # nobody reads what is gone sooner


class NotReadable(Gone):
    """This recording is not shown."""


class BeingRenewed(Unavailable):
    """This recording is being made ready anew just now. Please try again in a moment."""


@dataclass(frozen=True, kw_only=True)
class Media:
    """What is needed to read one recording: decided inside the transaction, used after it."""

    ref: RecordingRef
    index_key: str
    tracks: tuple[TrackRef, ...]

    def open(self, wiring: Wiring) -> View:
        """Blocks: reads the index. Raises NotReadable when it was erased meanwhile, SealBroken, StoreError."""
        generation = generation_of(self.index_key)
        try:
            return open_view(wiring.store, wiring.keys, self.ref, self.index_key, generation, self.tracks)
        except (NothingToPlay, KeyDestroyed) as error:
            raise NotReadable from error
        except ObjectMissing as error:  # replaced by a newer index since the row was read
            raise BeingRenewed from error


@dataclass(frozen=True, kw_only=True)
class Playable:
    """A recording on the session's timeline: it begins `offset_ms` after the first one."""

    id: UUID
    person: PersonId
    name: str
    stream: str
    kinds: tuple[TrackKind, ...]
    has_transcript: bool
    offset_ms: int
    duration_ms: int
    gaps: tuple[Gap, ...]

    @property
    def has_picture(self) -> bool:
        return any(kind.is_video for kind in self.kinds)

    @property
    def told(self) -> list[tuple[int, int, str, bool]]:
        """What is said with the picture, from and until when (ms of the session), and whether in its place. What else
        is missing is said at its foot."""
        end_ms = self.offset_ms + self.duration_ms
        before = (0, self.offset_ms, _("Begins at %(at)s", at=clock(self.offset_ms)), True)
        after = (end_ms, LONGEST_MS, _("Ended at %(at)s", at=clock(end_ms)), True)
        gaps = [(gap.from_ms, gap.to_ms, gap.words, gap.covers_picture) for gap in self.gaps]
        return [told for told in (before, *gaps, after) if told[1] - told[0] >= SHOWN_MS]


@dataclass(frozen=True, kw_only=True)
class Review:
    """Everything the review page plays. lines: on the session's timeline, with names."""

    started_at: datetime | None
    duration_ms: int
    recordings: tuple[Playable, ...]
    lines: tuple[Line, ...]
    transcripts_pending: bool


async def find_media(db: Db, *, recording: UUID, speaker: PersonId | None = None) -> Media:
    """The recording of this account, if it may be read now. speaker: as readable_recording takes it.
    Raises NotThere, NotReadable with the reason."""
    row, past = await readable_recording(db, recording, speaker)
    tracks = (await _tracks_of(db, {row.id: past}))[row.id]
    if not tracks or row.index_key is None:
        raise NotReadable
    ref = recording_ref(row)
    return Media(ref=ref, index_key=row.index_key, tracks=tuple(track_ref(ref, track) for track in tracks))


@dataclass(frozen=True, kw_only=True)
class Written:
    """The transcript of one recording: as it was heard, and its lines as they are read."""

    row: Recording
    transcript: Transcript
    text: TranscriptText
    lines: tuple[Line, ...]


async def recording_lines(db: Db, wiring: Wiring, *, recording: UUID) -> tuple[Line, ...]:
    """The transcript of one recording on its own timeline, with the speaker's name. Raises NotThere, NotReadable."""
    return (await written(db, wiring, recording=recording)).lines


async def written(db: Db, wiring: Wiring, *, recording: UUID, speaker: PersonId | None = None) -> Written:
    """Everything of one transcript; speaker: as readable_recording takes it. Raises NotThere, NotReadable."""
    row, past = await readable_recording(db, recording, speaker)
    shown = {row.id: past}
    transcript = _ready(await _transcripts_of(db, shown), await _tracks_of(db, shown), shown).get(row.id)
    text = await _read(wiring, row, transcript)
    if transcript is None or text is None:
        raise NotThere("There is no transcript of this recording.")
    found = await corrections_of(db, wiring.columns, {transcript.id: PersonId(row.person_id)})
    names = await names_of(db, wiring.columns, {row.person_id, *actors(found)})
    said = in_time(_lines(row, text, names, 0, found.get(transcript.id, {})))
    return Written(row=row, transcript=transcript, text=text, lines=said)


async def review(
    db: Db, wiring: Wiring, session: Session, study: Study, names: Mapping[PersonId, str] | None = None
) -> Review:
    """What can be played and read of a session now. names: of everybody in it, where they are known already."""
    now = await now_in(db)
    found = await db.scalars(
        select(Recording)
        .where(Recording.session_id == session.id)
        .order_by(Recording.person_is_member, Recording.person_id, Recording.stream)
    )
    rows = [
        row
        for row in found
        if row.recorded_at is not None and readable(recording_facts(row, session), study.retention_days, now)
    ]
    zero = min((row.recorded_at for row in rows if row.recorded_at), default=None)
    shown = {row.id: past_kinds(row, session, study, now) for row in rows}
    tracks = await _tracks_of(db, shown)
    found_words = await _transcripts_of(db, shown)
    transcripts = _ready(found_words, tracks, shown)
    speakers = {transcripts[row.id].id: PersonId(row.person_id) for row in rows if row.id in transcripts}
    corrections = await corrections_of(db, wiring.columns, speakers)
    if names is None:
        names = await names_of(db, wiring.columns, {*(row.person_id for row in rows), *actors(corrections)})
    texts = await asyncio.gather(*(_read(wiring, row, transcripts.get(row.id)) for row in rows))
    recordings: list[Playable] = []
    lines: list[Line] = []
    for row, text in zip(rows, texts, strict=True):
        offset_ms = round((row.recorded_at - zero).total_seconds() * 1000) if row.recorded_at and zero else 0
        name = names.get(PersonId(row.person_id), "")
        kinds = [TrackKind(track.kind) for track in tracks[row.id] if track.frames]
        if kinds:
            recordings.append(_playable(row, name, kinds, offset_ms, has_transcript=text is not None))
        if text is not None:
            lines += _lines(row, text, names, offset_ms, corrections.get(transcripts[row.id].id, {}))
    return Review(
        started_at=zero,
        duration_ms=max((r.offset_ms + r.duration_ms for r in recordings), default=0),
        recordings=tuple(recordings),
        lines=in_time(lines),
        transcripts_pending=any(one.state in _PENDING for one in found_words),
    )


async def names_of(db: Db, columns: SealedColumns, persons: Collection[UUID] | Select[UUID]) -> dict[PersonId, str]:
    """First names of these participants, and of the account's members."""
    people = (await db.scalars(select(Participant).where(Participant.id.in_(persons)))).all()
    participants: dict[PersonId, str] = {}
    if people:
        sealed = {PersonId(person.id): {NAME_FIELD: person.name} for person in people}
        opened = columns.open_rows(AccountId(people[0].account_id), sealed)
        participants = {person: texts[NAME_FIELD] for person, texts in opened.items()}
    return participants | await member_names(db, columns)


def _playable(
    row: Recording, name: str, kinds: Collection[TrackKind], offset_ms: int, *, has_transcript: bool
) -> Playable:
    return Playable(
        id=row.id,
        person=PersonId(row.person_id),
        name=name,
        stream=row.stream,
        kinds=tuple(sorted(set(kinds))),
        has_transcript=has_transcript,
        offset_ms=offset_ms,
        duration_ms=row.duration_ms or 0,
        gaps=tuple(gap.shifted(offset_ms) for gap in gaps_of(row.gaps, kinds)),
    )


def _lines(
    row: Recording,
    text: TranscriptText,
    names: Mapping[PersonId, str],
    offset_ms: int,
    corrections: Mapping[int, Correction],
) -> list[Line]:
    """What this person says, as it was corrected, and where nothing of them was recorded or understood."""
    gaps = (*of_voice(gaps_of(row.gaps, {TrackKind.VOICE})), *unheard(text.gaps))
    speaker = names.get(PersonId(row.person_id), "")

    def line(cue: TranscriptCue) -> Line:
        correction = corrections.get(cue.start_ms)
        by = names.get(PersonId(person_of(correction.by)), "") if correction else ""
        return spoken(cue, speaker, offset_ms, correction, by)

    said = [line(cue) for cue in text.cues]
    return [*said, *(gap.shifted(offset_ms, speaker) for gap in gaps)]


async def readable_recording(
    db: Db, recording: UUID, speaker: PersonId | None = None
) -> tuple[Recording, frozenset[Kind]]:
    """The recording, and what of it is past its own date. speaker: the participant who asks for their own; a
    restriction keeps it from everybody but them (GDPR Art. 18(2): with the data subject's consent). Raises NotThere,
    NotReadable."""
    row = await db.get(Recording, recording)
    if row is None or (speaker is not None and row.person_id != speaker):
        raise NotThere
    session = await db.get_one(Session, row.session_id)
    study = await db.get_one(Study, session.study_id)
    facts = recording_facts(row, session)
    if speaker is not None:
        facts = replace(facts, restricted_at=None)
    now = await now_in(db)
    decision = readable(facts, study.retention_days, now)
    if not decision:
        raise NotReadable(decision.reason)
    return row, past_kinds(row, session, study, now)


async def _tracks_of(db: Db, recordings: Mapping[UUID, frozenset[Kind]]) -> Mapping[UUID, list[Track]]:
    """Tracks that may be played, by recording. A closed one had its consent withdrawn: it is being erased.
    recordings: with the kinds that are past their date."""
    found = await db.scalars(
        select(Track)
        .where(Track.recording_id.in_(recordings), Track.erased_at.is_(None), Track.closed_at.is_(None))
        .order_by(Track.created_at, Track.id)
    )
    by_recording: dict[UUID, list[Track]] = defaultdict(list)
    for track in found:
        if KIND_OF_TRACK[track.kind] not in recordings[track.recording_id]:
            by_recording[track.recording_id].append(track)
    return by_recording


_PENDING = (TranscriptState.WAITING, TranscriptState.RUNNING)


async def _transcripts_of(db: Db, recordings: Collection[UUID]) -> Sequence[Transcript]:
    """Finished ones, and those being written."""
    states = (TranscriptState.READY, *_PENDING)
    found = select(Transcript).where(Transcript.recording_id.in_(recordings), Transcript.state.in_(states))
    return (await db.scalars(found)).all()


def _ready(
    found: Iterable[Transcript], tracks: Mapping[UUID, Sequence[Track]], recordings: Mapping[UUID, frozenset[Kind]]
) -> dict[UUID, Transcript]:
    """Finished transcripts by recording, while the voice they were heard from may still be played."""
    voices = {track.id for those in tracks.values() for track in those}
    return {
        one.recording_id: one
        for one in found
        if one.state == TranscriptState.READY
        and one.object_key is not None
        and one.track_id in voices
        and Kind.TRANSCRIPT not in recordings[one.recording_id]
    }


async def _read(wiring: Wiring, row: Recording, transcript: Transcript | None) -> TranscriptText | None:
    """None when there is none, or it was erased since the row was read."""
    if transcript is None or transcript.object_key is None:
        return None
    try:
        return await asyncio.to_thread(
            read_transcript, wiring.store, wiring.keys, recording_ref(row), transcript.id, transcript.object_key
        )
    except (KeyDestroyed, ObjectMissing):
        return None
