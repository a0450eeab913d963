"""The rooms of one media process: live streams, their viewers, and the permission under which they are captured.

Permission is a lease (leases.py): without news capture of everything in that session stops by itself.
All methods run in the event loop of the process.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from app.errors import Conflict, NotThere, Unavailable
from app.room import peer
from app.room.addresses import MediaAddresses
from app.room.allowance import MOST_VIEWS, KeptOut, Meter
from app.room.leases import Leases, granted
from app.room.live_stream import LiveStream, Totals, View, session_facts, totals
from app.room.node_messages import (
    EraseDone,
    Permission,
    SessionFacts,
    StreamAsk,
    StreamMade,
    ViewAsk,
    ViewMade,
)
from app.room.take_end import TakeEnd
from app.sessions.node_load import Load
from recordings.capture.bandwidth import MAX_BITS_PER_SECOND
from recordings.capture.faults import faults
from recordings.capture.recorder import CaptureState, StreamRecorder
from recordings.capture.spool import Spool
from recordings.capture.uploader import Uploader
from recordings.encryption.keystore import KeyStore
from recordings.gaps import SENT_TOO_MUCH
from recordings.storage.layout import recording_prefix, track_key_path, track_prefix

PULSE_SECONDS = 1.0
NO_PUSH = "permission did not arrive"


class NodeFull(Unavailable):
    """All places of the media server are taken just now. Please try again in a moment."""

    retry_after_s = 5


class FullForViewers(NodeFull):
    """The server has no place left for this picture just now, because recording goes first."""


class StreamGone(NotThere):
    """This stream has ended."""


class Rooms:
    """on_take_end: called for every take that is over, never twice. clock: monotonic seconds;
    now: server UTC in seconds."""

    def __init__(
        self,
        *,
        keys: KeyStore,
        spool: Spool,
        uploader: Uploader,
        addresses: MediaAddresses,
        capacity: int,
        bits_per_second: int = MAX_BITS_PER_SECOND,
        on_take_end: Callable[[TakeEnd], None],
        clock: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._keys, self._spool, self._uploader = keys, spool, uploader
        self._addresses, self.capacity, self._bits_per_second = addresses, capacity, bits_per_second
        self._on_take_end, self._clock, self._now = on_take_end, clock, now
        self._streams: dict[str, LiveStream] = {}
        self._leases, self._kept_out = Leases(), KeptOut()
        self._opening = 0
        self._opening_views = 0
        self._felt_at = float("-inf")
        self._ended_totals = Totals()
        self._farewells: set[asyncio.Task[None]] = set()

    @property
    def streams(self) -> Sequence[LiveStream]:
        """Those that are live."""
        return tuple(self._streams.values())

    @property
    def totals(self) -> Totals:
        return totals([self._ended_totals, *(stream.totals for stream in self._streams.values())])

    @property
    def count(self) -> int:
        return len(self._streams) + self._opening

    @property
    def load(self) -> Load:
        views = sum(len(stream.views) for stream in self._streams.values())
        return Load(streams=self.count, views=views + self._opening_views)

    async def publish(self, ask: StreamAsk) -> StreamMade:
        """Receive a stream; an earlier take of the same recording ends. Raises SentTooMuch, NodeFull, PeerError,
        ValueError."""
        if ask.resource in self._streams:
            raise Conflict("This stream is already being received.")
        self._kept_out.check(ask.recording, self._clock())
        load = self.load
        if not replace(load, streams=load.streams - len(self._takes_of(ask.recording))).takes_stream(self.capacity):
            raise NodeFull()
        self._opening += 1
        try:
            stream = await self._open(ask)
        finally:
            self._opening -= 1
        self._streams[ask.resource] = stream
        for earlier in self._takes_of(ask.recording):
            if earlier is not stream:
                await earlier.publication.close()
        stream.publication.on_closed = lambda why: self._ended(stream, why)
        if stream.publication.state is peer.PeerState.CLOSED:
            self._ended(stream, peer.Ended.LOST)
        self._apply(stream)
        return StreamMade(resource=ask.resource, sdp=self._addresses.announce(stream.publication.answer_sdp))

    async def end(self, resource: str) -> None:
        """The stream is over. Safe to call twice."""
        stream = self._streams.get(resource)
        if stream:
            await stream.publication.close()
            self._ended(stream, peer.Ended.BY_US)

    async def view(self, resource: str, ask: ViewAsk) -> ViewMade:
        """Pass a stream on to one viewer. Raises StreamGone, SentTooMuch, FullForViewers, PeerError."""
        stream = self._stream(resource)
        self._kept_out.check(ask.viewer, self._clock())
        load = self.load
        if not replace(load, views=load.views - len(_giving_way(stream, ask.viewer))).takes_view(self.capacity):
            raise FullForViewers()
        self._opening_views += 1
        try:
            viewing = await peer.view(ask.sdp, source=stream.publication, offer_addresses=self._addresses.listening)
        finally:
            self._opening_views -= 1
        for oldest in _giving_way(stream, ask.viewer):
            await oldest.close()
        name = secrets.token_urlsafe(32)
        meter = Meter(self._bits_per_second)
        stream.views[name] = View(viewer=ask.viewer, login=ask.login, viewing=viewing, meter=meter)
        viewing.on_closed = lambda why: _forget(stream, name)
        return ViewMade(view=name, sdp=self._addresses.announce(viewing.answer_sdp))

    async def end_view(self, view: str, viewer: UUID) -> None:
        """Safe to call twice; somebody else's view is not there."""
        for stream in self._streams.values():
            found = stream.views.get(view)
            if found is not None and found.viewer == viewer:
                stream.views.pop(view, None)
                await found.viewing.close()

    def permit(self, session: UUID, permission: Permission) -> None:
        """Take over the permission unless a newer one is known; it takes effect before this returns."""
        if not self._leases.renew(session, permission, self._clock()):
            return
        for stream in self._in(session):
            self._apply(stream)
        if permission.live:
            self._show_out(session, permission)
        else:
            self._end_all(session)

    def tick(self) -> None:
        """A few times per second: let leases run out, seal what is old, ask for key frames."""
        clock, now = self._clock(), self._now()
        for stream in self.streams:
            if not self.leased(stream.ask.session):
                self._apply(stream)
            faults.survived(_tick, stream, clock, now)
        if clock - self._felt_at >= PULSE_SECONDS:
            self._felt_at, oldest = clock, self._spool.oldest_of_tracks()
            for stream in self.streams:
                faults.survived(self._feel_pulse, stream, oldest, clock, now)
            self._uploader.keep_only({track_prefix(one) for stream in self.streams for one in stream.tracks.values()})
        for session in self._leases.take_forsaken(clock):
            self._end_all(session)

    def leased(self, session: UUID) -> bool:
        return self._leases.permission(session, self._clock()) is not None

    def facts(self, session: UUID) -> SessionFacts:
        return session_facts(
            self._in(session),
            self._spool,
            self._uploader,
            leased=self.leased(session),
            clock=self._clock(),
            now=self._now(),
        )

    async def erase(self, prefix: str) -> EraseDone:
        """Nothing under `prefix` is written, kept or sent from here on. Safe to run twice."""
        ended = 0
        for stream in list(self._streams.values()):
            if recording_prefix(stream.ask.recording_ref).startswith(prefix):
                await self.end(stream.ask.resource)
                ended += 1
            for kind, track in stream.tracks.items():
                if track_prefix(track).startswith(prefix):
                    stream.recorder.close_track(kind)
        return EraseDone(streams=ended, pieces=await self._uploader.discard(prefix))

    async def close(self) -> None:
        """End every stream, so that a restarted process finds whole pieces only."""
        for resource in list(self._streams):
            await self.end(resource)
        await asyncio.gather(*self._farewells, return_exceptions=True)

    async def _open(self, ask: StreamAsk) -> LiveStream:
        tracks = ask.track_refs
        keys = {
            kind: await asyncio.to_thread(self._keys.unwrap, track_key_path(track)) for kind, track in tracks.items()
        }
        recorder = StreamRecorder(ask.recording_ref, tracks, ask.take, self._spool, keys, self._now)
        publication = await peer.publish(
            ask.sdp,
            kinds=frozenset(ask.kinds),
            stream=ask.stream,
            offer_addresses=self._addresses.listening,
            sink=recorder,
            bits_per_second=self._bits_per_second,
        )
        return LiveStream(ask, tracks, recorder, publication, Meter(self._bits_per_second))

    def _apply(self, stream: LiveStream) -> None:
        """A fault in one stream holds up no other; nothing more is kept of it, and it is ended."""
        if not faults.survived(self._permit, stream):
            stream.recorder.close(clean=False)
            self._later(self.end(stream.ask.resource))

    def _permit(self, stream: LiveStream) -> None:
        """Only what comes from now on is captured."""
        permission = self._leases.permission(stream.ask.session, self._clock())
        if permission is None:
            stream.recorder.permit(frozenset(), NO_PUSH)
            return
        kinds = granted(permission, recording=stream.ask.recording, take=stream.ask.take, tracks=stream.tracks)
        new = kinds - stream.recorder.permitted
        if new:
            stream.publication.release(new)  # what was sent before and waits for lost packets is not covered
        stream.recorder.permit(kinds, permission.why)

    def _feel_pulse(self, stream: LiveStream, oldest: Mapping[str, float], clock: float, now: float) -> None:
        stream.feel_pulse(oldest, clock, now)
        if stream.meter.is_exceeded(stream.publication.traffic, clock):  # and was told to send less long enough
            self._kept_out.add(stream.ask.recording, clock)
            stream.recorder.permit(frozenset(), SENT_TOO_MUCH)
            self._later(self.end(stream.ask.resource))
        for view in list(stream.views.values()):
            if view.meter.is_exceeded(view.viewing.traffic, clock):
                self._kept_out.add(view.viewer, clock)
                self._later(view.viewing.close())

    def _ended(self, stream: LiveStream, why: peer.Ended) -> None:
        if self._streams.get(stream.ask.resource) is not stream:
            return
        del self._streams[stream.ask.resource]
        clean = why is not peer.Ended.LOST and stream.recorder.health().state is not CaptureState.CLOSED
        stream.recorder.close(clean)
        self._ended_totals = totals([self._ended_totals, stream.totals])
        for view in list(stream.views.values()):
            self._later(view.viewing.close())
        if any(one.ask.take == stream.ask.take for one in self._takes_of(stream.ask.recording)):
            return  # its answer never reached the web process, so that the number was given once more: that take lives
        self._on_take_end(
            TakeEnd(
                account=stream.ask.account,
                recording=stream.ask.recording,
                number=stream.ask.take,
                resource=stream.ask.resource,
                tracks=tuple(stream.tracks.values()),
                interrupted=not clean,
            )
        )

    def _show_out(self, session: UUID, permission: Permission) -> None:
        """Whoever may not be in the room any more neither sends nor receives; who is signed out receives no more."""
        inside = frozenset(permission.inside)
        for stream in self._in(session):
            if stream.ask.person not in inside:
                self._later(self.end(stream.ask.resource))
            for view in list(stream.views.values()):
                signed_out = None not in (view.login, permission.logins) and view.login not in (permission.logins or ())
                if view.viewer not in inside or signed_out:
                    self._later(view.viewing.close())

    def _end_all(self, session: UUID) -> None:
        for stream in self._in(session):
            self._later(self.end(stream.ask.resource))

    def _later(self, farewell: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(farewell)
        self._farewells.add(task)
        task.add_done_callback(self._said)

    def _said(self, farewell: asyncio.Task[None]) -> None:
        self._farewells.discard(farewell)
        if not farewell.cancelled():
            faults.survived(farewell.result)

    def _in(self, session: UUID) -> list[LiveStream]:
        return [stream for stream in self._streams.values() if stream.ask.session == session]

    def _takes_of(self, recording: UUID) -> list[LiveStream]:
        return [stream for stream in self._streams.values() if stream.ask.recording == recording]

    def _stream(self, resource: str) -> LiveStream:
        try:
            return self._streams[resource]
        except KeyError:
            raise StreamGone() from None


def _tick(stream: LiveStream, clock: float, now: float) -> None:
    stream.recorder.tick(now)
    if stream.recorder.wants_key_frame():
        stream.publication.request_key_frame()
    stream.look(clock, now)


def _giving_way(stream: LiveStream, viewer: UUID) -> list[peer.Viewing]:
    """This viewer's oldest views, should another one come."""
    theirs = [one.viewing for one in stream.views.values() if one.viewer == viewer]
    return theirs[: max(0, len(theirs) - MOST_VIEWS + 1)]


def _forget(stream: LiveStream, view: str) -> None:
    stream.views.pop(view, None)
