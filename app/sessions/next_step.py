"""What a researcher does next with a session: one step for every state it can be in. A pure rule."""

from __future__ import annotations

from enum import StrEnum

from app.sessions.listing import Listing
from app.sessions.models import RecordingState, Session, SessionState


class NextStep(StrEnum):
    INVITE = "invite"
    OPEN = "open"
    GO_IN = "go in"
    WAIT = "wait"  # something is being made ready
    TRY_AGAIN = "try again"
    REVIEW = "review"
    NOTHING_LEFT = "nothing left"  # all of it erased, or on its way out
    NOTHING_RECORDED = "nothing recorded"


def next_step(session: Session, listing: Listing, *, invited: int) -> NextStep:
    """invited: how many people are on the list."""
    match SessionState(session.state):
        case SessionState.SCHEDULED:
            return NextStep.OPEN if invited else NextStep.INVITE
        case SessionState.LIVE:
            return NextStep.GO_IN
        case SessionState.ENDED:
            return _after_the_end(listing)


def _after_the_end(listing: Listing) -> NextStep:
    if listing.moving:
        return NextStep.WAIT
    if listing.failed:
        return NextStep.TRY_AGAIN
    if listing.playable:
        return NextStep.REVIEW
    erased = any(line.state is not RecordingState.EMPTY or line.erased_tracks for line in listing.lines)
    return NextStep.NOTHING_LEFT if erased else NextStep.NOTHING_RECORDED
