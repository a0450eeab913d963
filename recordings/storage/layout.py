"""Where things lie: every object key and key path of a recording, as pure functions of ids.

    {account}/{session}/{person}/                          all that one person left in one session
    {account}/{session}/{person}/{recording}/              one recording
        index-{generation:05d}                             sealed index
        t/{transcript}                                     sealed transcript
        {track}/s/{take:05d}-{segment:06d}                 sealed chunks, one after another, <= 5 s
        {track}/j/{take:05d}                               sealed journal of one take

    serving/{number:015d}                                  which database is served (app.privacy.serving)

Ids are random UUIDs, so a key tells nothing about a person, and erasing a person, a recording or a
track is erasing one prefix. Numbers have fixed width, so that key order is time order.
"""

from __future__ import annotations

import re
from uuid import UUID

from recordings.encryption.keystore import KeyPath
from recordings.model import AccountId, PersonId, RecordingId, RecordingRef, SessionId, TrackRef

MAX_KEY_LENGTH = 512  # S3 allows 1024 bytes; half of it leaves room for a folder in front
SERVING = "serving/"
_KEY = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*")
_PREFIX = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*(?:[A-Za-z0-9_-][A-Za-z0-9._-]*)?")
_INDEX = re.compile(r"index-\d{5}")
_JOURNAL = re.compile(r".*/j/(\d{5})")
_SEGMENT = re.compile(r".*/s/(\d{5})-(\d{6})")


def person_prefix(account: AccountId, session: SessionId, person: PersonId) -> str:
    return f"{account}/{session}/{person}/"


def session_prefix(ref: RecordingRef) -> str:
    return f"{ref.account}/{ref.session}/"


def recording_prefix(ref: RecordingRef) -> str:
    return f"{person_prefix(ref.account, ref.session, ref.person)}{ref.recording}/"


def track_prefix(track: TrackRef) -> str:
    return f"{recording_prefix(track.of)}{track.track}/"


def segments_prefix(track: TrackRef) -> str:
    return f"{track_prefix(track)}s/"


def segment_key(track: TrackRef, take: int, segment: int) -> str:
    return f"{segments_prefix(track)}{take:05d}-{segment:06d}"


def journals_prefix(track: TrackRef) -> str:
    return f"{track_prefix(track)}j/"


def journal_key(track: TrackRef, take: int) -> str:
    return f"{journals_prefix(track)}{take:05d}"


def index_key(ref: RecordingRef, generation: int) -> str:
    return f"{recording_prefix(ref)}index-{generation:05d}"


def generation_of(index_key: str) -> int:
    """The generation an index key names; a row may already count the next one."""
    return int(index_key.rpartition("-")[2])


def transcript_key(ref: RecordingRef, transcript: UUID) -> str:
    return f"{recording_prefix(ref)}t/{transcript}"


def take_of_journal(key: str) -> int:
    """The take whose journal lies under `key`. Raises ValueError for any other key."""
    found = _JOURNAL.fullmatch(key)
    if not found:
        raise ValueError("not the key of a journal")
    return int(found[1])


def take_and_segment(key: str) -> tuple[int, int]:
    """Take and number of the segment under `key`. Raises ValueError for any other key."""
    found = _SEGMENT.fullmatch(key)
    if not found:
        raise ValueError("not the key of a segment")
    return int(found[1]), int(found[2])


def recording_and_take(key: str) -> tuple[AccountId, RecordingId, int]:
    """Whose piece of which take lies under `key`, a segment's or a journal's. Raises ValueError for any other key."""
    account, _, _, recording, _, folder, _ = key.split("/")
    take = take_and_segment(key)[0] if folder == "s" else take_of_journal(key)
    return AccountId(UUID(account)), RecordingId(UUID(recording)), take


def is_segment(key: str) -> bool:
    """Of a segment's or a journal's key: whether it is a segment's."""
    return key.split("/")[-2] == "s"


def track_of(key: str) -> str:
    """The prefix of the track whose segment or journal lies under `key`."""
    return key.rsplit("/", 2)[0] + "/"


def track_and_take(key: str) -> str:
    """That prefix and the take's number: alike for a take's segments and its journal, of this track."""
    track, _, name = key.rsplit("/", 2)
    return f"{track}/{name[:5]}"


def root_of(key: str) -> str:
    """The track, index or transcript that the object under `key` is a part of: the prefix that is erased together.
    Raises ValueError for a key that was not made here."""
    parts = key.split("/")
    try:
        account, session, person, recording = (str(UUID(part)) for part in parts[:4])
        of = f"{account}/{session}/{person}/{recording}"
        match parts[4:]:
            case [index] if _INDEX.fullmatch(index):
                return f"{of}/index-"
            case ["t", transcript]:
                return f"{of}/t/{UUID(transcript)}"
            case [track, "s" | "j", _] if _SEGMENT.fullmatch(key) or _JOURNAL.fullmatch(key):
                return f"{of}/{UUID(track)}/"
    except ValueError:
        pass
    raise ValueError("not the key of an object of a recording")


def root_key_path(root: str) -> KeyPath:
    """The data key of what lies under a root."""
    account, _, person, recording, *item = root.strip("/").split("/")
    match item:
        case ["index-"]:
            name = f"index-{recording}"
        case ["t", transcript]:
            name = f"transcript-{transcript}"
        case _:
            name = f"track-{item[0]}"
    return KeyPath(AccountId(UUID(account)), PersonId(UUID(person)), name)


def track_key_path(track: TrackRef) -> KeyPath:
    """The data key of a track's segments and journals."""
    return KeyPath(track.of.account, track.of.person, f"track-{track.track}")


def index_key_path(ref: RecordingRef) -> KeyPath:
    """The data key of a recording's indexes."""
    return KeyPath(ref.account, ref.person, f"index-{ref.recording}")


def transcript_key_path(ref: RecordingRef, transcript: UUID) -> KeyPath:
    """The data key of one transcript."""
    return KeyPath(ref.account, ref.person, f"transcript-{transcript}")


def checked_key(key: str) -> str:
    """`key`, if an adapter may use it. Raises ValueError for empty or dotted steps, odd characters
    and over-long keys: a key is made here from ids, so anything else is a bug or an attack."""
    if len(key) > MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise ValueError("not an object key")
    return key


def checked_prefix(prefix: str) -> str:
    """`prefix`, if it is the beginning of an object key ("" is every key). Raises ValueError."""
    if len(prefix) > MAX_KEY_LENGTH or not _PREFIX.fullmatch(prefix):
        raise ValueError("not the beginning of an object key")
    return prefix
