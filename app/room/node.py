"""The media process: UDP for the room's streams, and an internal HTTP API for the web process (node_api.py).

It dies and comes back alone: the spool keeps what was sealed, and at the next start the leftovers are
stored and the takes that were open are finished as interrupted.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from sqlalchemy.exc import OperationalError

from app import metrics
from app.room.addresses import MediaAddresses
from app.room.node_api import NodeApi
from app.room.node_ledger import HEARTBEAT_SECONDS, Ledger
from app.room.node_messages import Health
from app.room.node_numbers import MediaNumbers
from app.room.node_rooms import Rooms
from app.room.secret import node_secret
from app.sessions.node_load import CAPACITY
from app.wiring import Wiring
from recordings.capture.aiortc_internals import check_internals
from recordings.capture.disk import claim
from recordings.capture.recorder import CaptureState
from recordings.capture.spool import Spool
from recordings.capture.udp_ports import use_ports
from recordings.capture.uploader import Uploader
from recordings.storage.confirmed import refusal_of

TICK_SECONDS = 0.2
GOODBYE_SECONDS = 8.0
"""How long a process that is asked to stop goes on storing; what is left waits in the spool."""

log = logging.getLogger("junier.media")


async def run(wiring: Wiring, *, capacity: int = CAPACITY, started: Callable[[], None] = lambda: None) -> None:
    """Serve until the process is asked to stop (SIGINT, SIGTERM) or the task is cancelled; started: called once the
    API answers."""
    check_internals()
    settings = wiring.settings
    use_ports(settings.udp_ports)
    folder = settings.data_dir / "spool" / settings.node_name
    claimed = claim(folder)
    spool = Spool(folder, settings.spool_quota_mb << 20, time.time)
    leftovers = spool.recover()
    uploader = Uploader(spool, wiring.store, refusal=lambda: refusal_of(wiring.store))
    ledger = Ledger(
        wiring.database,
        spool,
        name=settings.node_name,
        url=settings.node_url,
        capacity=capacity,
        country=settings.country,
    )
    rooms = Rooms(
        keys=wiring.keys,
        spool=spool,
        uploader=uploader,
        addresses=MediaAddresses(chosen=settings.offer_addresses, announced=settings.announced_addresses),
        capacity=capacity,
        bits_per_second=settings.stream_kbits * 1000,
        on_take_end=ledger.end,
        clock=time.monotonic,
        now=time.time,
    )
    for take in await ledger.left_open():
        ledger.end(take)
    log.info("media started: %d pieces and %d takes of an earlier life to finish", leftovers, ledger.unfinished)

    numbers = MediaNumbers(rooms, spool, uploader)
    metrics.REGISTRY.register(numbers)
    api = NodeApi(
        rooms,
        node_secret(settings),
        lambda: _health(settings.node_name, rooms, spool, uploader),
        lambda: refusal_of(wiring.store),
    )
    server = _Server(_server(api, settings.node_url))
    loops = [
        asyncio.create_task(loop)
        for loop in (
            _keep(spool.keep_settled),
            _keep(uploader.run),
            _keep(ledger.finish_loop),
            _keep(lambda: _tick(rooms)),
            _keep(lambda: _beat(ledger, rooms)),
        )
    ]
    announcing = asyncio.create_task(_announce(server, ledger, started))
    serving = asyncio.create_task(server.serve())
    events = asyncio.get_running_loop()
    events.add_signal_handler(signal.SIGTERM, server.stop)
    try:
        await asyncio.shield(serving)
    finally:
        events.remove_signal_handler(signal.SIGTERM)
        announcing.cancel()
        server.stop()
        await asyncio.gather(serving, return_exceptions=True)  # no new streams from here on
        await rooms.close()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_all_finished(ledger), GOODBYE_SECONDS)
        for loop in loops:
            loop.cancel()
        await asyncio.gather(announcing, *loops, return_exceptions=True)
        metrics.REGISTRY.unregister(numbers)
        os.close(claimed)


def _health(name: str, rooms: Rooms, spool: Spool, uploader: Uploader) -> Health:
    storing = uploader.health()
    return Health(
        name=name,
        streams=rooms.count,
        load=rooms.load.in_streams,
        capacity=rooms.capacity,
        spool_bytes=spool.used_bytes,
        waiting_s=storing.oldest_waiting_s,
        storing_trouble=storing.failing,
        without_room=sum(stream.recorder.health().state is CaptureState.FULL for stream in rooms.streams),
    )


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the process before what is sealed is stored."""

    def stop(self) -> None:
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(api: NodeApi, url: str) -> uvicorn.Config:
    place = urlsplit(url)
    return uvicorn.Config(
        api,
        host=place.hostname or "127.0.0.1",
        port=place.port or 80,
        loop="asyncio",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=2,
    )


async def _announce(server: uvicorn.Server, ledger: Ledger, started: Callable[[], None]) -> None:
    """Offer this process to the web only once its API answers."""
    while not server.started:
        await asyncio.sleep(0.02)
    await ledger.register()
    started()


async def _tick(rooms: Rooms) -> None:
    while True:
        rooms.tick()
        await asyncio.sleep(TICK_SECONDS)


async def _beat(ledger: Ledger, rooms: Rooms) -> None:
    """Say that we live; the database away: capture ends by itself when permission stops coming."""
    trouble = ""
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        try:
            await ledger.beat(rooms.load)
            trouble = ""
        except (OperationalError, TimeoutError) as error:
            if type(error).__name__ != trouble:
                trouble = type(error).__name__
                log.warning("no heartbeat: %s", trouble)


async def _keep(loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Storing, finishing and the leases' clock must not stop for one surprise: say its type and go on."""
    fell = 0
    while True:
        try:
            await loop()
        except Exception as error:
            fell += 1
            if fell & (fell - 1) == 0:  # at 1, 2, 4, 8 …
                log.error("media loop stopped: %s (%d)", type(error).__name__, fell)
            await asyncio.sleep(1)


async def _all_finished(ledger: Ledger) -> None:
    while ledger.unfinished:
        await asyncio.sleep(0.05)
