"""What a media process tells Prometheus: streams, packets, frames, what waits in the spool and what storing does."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.room.health import Word
from app.room.node_rooms import Rooms
from recordings.capture.aiortc_internals import refused
from recordings.capture.faults import faults
from recordings.capture.recorder import CaptureState
from recordings.capture.spool import Spool
from recordings.capture.uploader import Uploader


class MediaNumbers(Collector):
    """Read from the live objects at each scrape; nothing is counted twice."""

    def __init__(
        self,
        rooms: Rooms,
        spool: Spool,
        uploader: Uploader,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rooms, self._spool, self._uploader, self._now, self._clock = rooms, spool, uploader, now, clock
        self._frames = 0

    def collect(self) -> Iterator[Metric]:
        yield from self._of_streams()
        yield from self._of_packets()
        yield from self._of_storing()

    def _of_streams(self) -> Iterator[Metric]:
        streams = self._rooms.streams
        states = Counter(stream.recorder.health().state for stream in streams)
        by_state = GaugeMetricFamily("junier_media_streams", "Live streams by state of recording.", labels=["state"])
        for state in CaptureState:
            if state is not CaptureState.CLOSED:
                by_state.add_metric([state.value], states[state])
        yield by_state
        words = Counter(stream.pulse.word(self._clock()) for stream in streams)
        by_word = GaugeMetricFamily(
            "junier_media_streams_by_health", "Live streams by the word the room has for them.", labels=["health"]
        )
        for word in Word:
            by_word.add_metric([word.value], words[word])
        yield by_word
        yield GaugeMetricFamily(
            "junier_media_capturing_streams",
            "Streams of which a frame was kept within two seconds.",
            sum(stream.capturing_since is not None for stream in streams),
        )
        yield GaugeMetricFamily("junier_media_capacity", "Streams this process takes.", self._rooms.capacity)
        load = self._rooms.load.in_streams
        yield GaugeMetricFamily("junier_media_load", "What it carries, in streams; a view counts as 0.4.", load)
        yield GaugeMetricFamily("junier_media_views", "Live views.", sum(len(stream.views) for stream in streams))

    def _of_packets(self) -> Iterator[Metric]:
        totals = self._rooms.totals
        traffic = totals.traffic
        packets = CounterMetricFamily("junier_media_packets", "Packets of publishers.", labels=["outcome"])
        packets.add_metric(["received"], traffic.received)
        packets.add_metric(["recovered"], traffic.recovered)
        packets.add_metric(["lost"], traffic.lost)
        packets.add_metric(["ignored"], traffic.ignored)
        yield packets
        yield CounterMetricFamily("junier_media_received_bytes", "Bytes of these packets.", traffic.bytes)
        yield CounterMetricFamily("junier_media_nacks", "Packets asked for again (NACK).", traffic.asked)
        yield CounterMetricFamily(
            "junier_media_key_frame_requests", "Key frames asked for (PLI).", traffic.key_frames_asked
        )
        yield CounterMetricFamily("junier_media_pictures", "Whole pictures that arrived.", traffic.pictures)
        yield CounterMetricFamily("junier_media_holes", "Places where frames are missing.", traffic.holes)
        self._frames = max(self._frames, totals.frames)  # a withdrawn consent takes its track's count away
        yield CounterMetricFamily("junier_media_frames_kept", "Frames sealed.", self._frames)
        dropped = CounterMetricFamily("junier_media_datagrams_refused", "Datagrams dropped.", labels=["reason"])
        for reason, count in refused.items():
            dropped.add_metric([reason], count)
        yield dropped
        yield CounterMetricFamily("junier_media_faults", "Faults of our own in one stream.", faults.count)

    def _of_storing(self) -> Iterator[Metric]:
        health = self._uploader.health()
        yield GaugeMetricFamily("junier_media_spool_bytes", "Sealed bytes on the local disk.", self._spool.used_bytes)
        yield GaugeMetricFamily("junier_media_spool_quota_bytes", "What it may hold.", self._spool.quota_bytes)
        yield GaugeMetricFamily("junier_media_spool_room_bytes", "What the spool still takes.", self._spool.room_bytes)
        yield GaugeMetricFamily("junier_media_spool_pieces", "Pieces waiting to be stored.", health.pieces)
        yield GaugeMetricFamily(
            "junier_media_spool_oldest_seconds", "Age of the oldest piece waiting.", health.oldest_waiting_s
        )
        yield GaugeMetricFamily(
            "junier_media_not_stored_seconds",
            "While frames are kept: since when nothing has reached the store; else 0.",
            self._not_stored_s(health.last_stored_at),
        )
        yield GaugeMetricFamily(
            "junier_media_storing_trouble",
            "1 while the object store errs, refuses or takes too long; what is captured waits sealed on the disk.",
            health.failing is not None,
        )
        yield CounterMetricFamily(
            "junier_media_disk_sync_failures", "Times the local disk could not sync.", self._spool.failed_syncs
        )
        yield CounterMetricFamily("junier_media_pieces_stored", "Pieces stored.", health.stored)
        yield CounterMetricFamily("junier_media_upload_failures", "Tries to store that failed.", health.failures)
        yield GaugeMetricFamily("junier_media_pieces_refused", "Pieces the store will not take.", health.refused)

    def _not_stored_s(self, last_stored_at: float) -> float:
        since = [s.capturing_since for s in self._rooms.streams if s.capturing_since is not None]
        return max(0.0, self._now() - max(min(since), last_stored_at)) if since else 0.0
