"""The one home of aiortc's, aioice's and pylibsrtp's private names (exact versions are pinned).

guard()          closes what a stranger's datagrams could do to aioice; installed once per process
gather_on()      which local addresses ICE offers
keep_media_out() aiortc does SDP, ICE and DTLS; it must not start receiving or sending media itself
MediaTransport   the take-over: once DTLS is connected, SRTP and the sockets are ours
check_internals() fails at start-up when one of the names is gone
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

from aioice import ice
from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport, RTCPeerConnection
from pylibsrtp import Session
from pylibsrtp._binding import ffi, lib

from recordings.capture.poller import shared_poller

MOST_QUEUED = 256
"""DTLS datagrams waiting for aiortc; a handshake has about ten."""
MOST_PAIRS = 100
"""RFC 8445 §6.1.2.5."""
MOST_SSRCS = 8
"""A stream has three or four; libsrtp keeps state for every SSRC for ever."""
MOST_PER_ROUND = 256
"""Datagrams per socket and round of the poller: one flooding peer must not starve the others."""
LONGEST_ROUND_S = 0.004
"""Of a socket, whatever its datagrams cost; 4 Mbit/s take half a millisecond."""
MOST_WAITING = 1_024
"""Datagrams that may be taken at once where nothing may stay behind: more than a socket's buffer of 208 KiB holds of
media (Linux's net.core.rmem_default)."""
LAST_ROUND_S = 0.02
"""Of a socket at the end of a stream: several times what a full buffer takes."""

CIPHERS = b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384"
"""AEAD only, which also means DTLS 1.2 or later; aiortc's own list still has two CBC suites."""

refused: Counter[str] = Counter()
"""Datagrams dropped since the process began, by reason."""


class InternalsChanged(Exception):
    """The installed aiortc, aioice or pylibsrtp is not the one this server was written for."""


# ---- the guard ------------------------------------------------------------------------------------

_original_datagram = ice.StunProtocol.datagram_received
_original_check = ice.Connection.check_incoming
_original_addresses = ice.get_host_addresses
_original_context = RTCCertificate._create_ssl_context

_transports: WeakKeyDictionary[ice.Connection, MediaTransport] = WeakKeyDictionary()
_addresses: ContextVar[tuple[str, ...] | None] = ContextVar("offer_addresses", default=None)


def _proven(connection: ice.Connection) -> Iterator[tuple[str, int]]:
    """Remote addresses that passed a connectivity check, so their owner knows the ICE password."""
    for pair in connection._nominated.values():
        yield pair.remote_addr
    for pair in connection._check_list:
        if pair.state == ice.CandidatePair.State.SUCCEEDED:
            yield pair.remote_addr


def _datagram_received(self: ice.StunProtocol, data: bytes, addr: tuple[Any, ...]) -> None:
    """RFC 7983 demultiplexing; never raises, because an exception here is an attacker's log flood."""
    if not data:  # aiortc reads data[0] and would end the transport
        refused["empty"] += 1
        return
    connection = self.receiver
    if data[0] <= 3:
        try:
            _original_datagram(self, data, addr)
        except Exception:  # a short or missing attribute: struct.error, KeyError, UnicodeDecodeError …
            refused["malformed STUN"] += 1
    elif 127 < data[0] < 192 and (transport := _transports.get(connection)) is not None:
        transport.media(data)
    elif data[0] > 19 and (addr[0], addr[1]) in _proven(connection):  # also media of peers that were not taken over
        connection.data_received(data, self.local_candidate.component)
    else:
        refused["unproven source"] += 1


def _data_received(self: ice.Connection, data: bytes, component: int) -> None:
    """aioice also passes on what looked like STUN and was none, from anyone, into a queue without end."""
    if data[0] <= 3:
        refused["malformed STUN"] += 1
    elif self._queue.qsize() >= MOST_QUEUED:
        refused["queue full"] += 1
    else:
        self._queue.put_nowait((data, component))


def _check_incoming(self: ice.Connection, message: Any, addr: tuple[str, int], protocol: ice.StunProtocol) -> None:
    """An authenticated check without PRIORITY would end connect(); one from ever new ports would fill the list."""
    if "PRIORITY" not in message.attributes:
        refused["malformed STUN"] += 1
    elif len(self._check_list) >= MOST_PAIRS and addr not in {pair.remote_addr for pair in self._check_list}:
        refused["too many pairs"] += 1
    else:
        _original_check(self, message, addr, protocol)


def machine_addresses() -> tuple[str, ...]:
    """All of this machine that others can reach: neither loopback nor link-local ones."""
    return tuple(_original_addresses(use_ipv4=True, use_ipv6=True))


def _host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    chosen = _addresses.get()
    return _original_addresses(use_ipv4, use_ipv6) if chosen is None else list(chosen)


def _ssl_context(self: RTCCertificate, srtp_profiles: Any) -> Any:
    context = _original_context(self, srtp_profiles)
    context.set_cipher_list(CIPHERS)
    return context


def guard() -> None:
    """Installs the guard for all connections of the process; safe to call twice."""
    if ice.StunProtocol.datagram_received is _datagram_received:
        return
    check_internals()
    for owner, name, replacement in (
        (ice.StunProtocol, "datagram_received", _datagram_received),
        (ice.Connection, "data_received", _data_received),
        (ice.Connection, "check_incoming", _check_incoming),
        (ice, "get_host_addresses", _host_addresses),
        (RTCCertificate, "_create_ssl_context", _ssl_context),
    ):
        setattr(owner, name, replacement)


@contextlib.contextmanager
def gather_on(addresses: Sequence[str]) -> Iterator[None]:
    """Inside, ICE gathers host candidates on exactly these local addresses, loopback included."""
    token = _addresses.set(tuple(addresses))
    try:
        yield
    finally:
        _addresses.reset(token)


def check_internals() -> None:
    """Raises InternalsChanged if a private name used here is gone."""
    ice_transport = RTCIceTransport(RTCIceGatherer([]))
    dtls = RTCDtlsTransport(ice_transport, [RTCCertificate.generateCertificate()])
    owners: tuple[tuple[object, str], ...] = (
        (ice.StunProtocol, "datagram_received"),
        (ice.Connection, "data_received check_incoming request_received close"),
        (ice_transport, "_connection"),
        (ice_transport._connection, "_nominated _check_list _queue _protocols _closing"),
        (ice.CandidatePair, "remote_addr State"),
        (dtls, "_rx_srtp _tx_srtp _set_role"),
        (lib, "srtp_protect srtp_protect_rtcp srtp_unprotect srtp_unprotect_rtcp"),
        (Session(), "_srtp"),
    )
    for owner, names in owners:
        for name in names.split():
            if not hasattr(owner, name):
                raise InternalsChanged(f"{type(owner).__name__}.{name}")


# ---- the take-over --------------------------------------------------------------------------------


async def _nothing(_: object) -> None:
    """Stands in for RTCRtpReceiver.receive and RTCRtpSender.send: no decoder thread, no RTCP of aiortc's own."""


def keep_media_out(pc: RTCPeerConnection) -> None:
    """To be called when all transceivers are there and before ICE can connect."""
    for transceiver in pc.getTransceivers():
        setattr(transceiver.receiver, "receive", _nothing)  # noqa: B010 (a method)
        setattr(transceiver.sender, "send", _nothing)  # noqa: B010


def consent_ended(dtls: RTCDtlsTransport) -> bool:
    """True when ICE is closing or closed, as it is after consent to send ran out (RFC 7675)."""
    return bool(dtls.transport._connection._closing)


_PACKET_BYTES = 2_048
_PROTECTION_BYTES = 160  # authentication tag, MKI and index at their largest (libsrtp SRTP_MAX_SRTCP_TRAILER_LEN)

# One buffer in, one out, for all transports of the process: everything runs in one thread.
_in_bytes, _out_bytes = bytearray(_PACKET_BYTES), bytearray(_PACKET_BYTES)
_in, _out = ffi.from_buffer(_in_bytes), ffi.from_buffer(_out_bytes)  # the same memory, as C sees it
_in_view, _out_view = ffi.buffer(_in), ffi.buffer(_out)  # and once more: a slice is made with a single copy
_in_size, _out_size = ffi.new("int *"), ffi.new("int *")
_unprotect, _unprotect_rtcp = lib.srtp_unprotect, lib.srtp_unprotect_rtcp


class MediaTransport:
    """SRTP and SRTCP (RFC 3711, RFC 5764) of one peer, on aioice's sockets.

    To be made in the very moment DTLS becomes connected, so that no packet passes through aiortc. The
    shared poller drains the sockets: media goes to `on_rtp` and `on_rtcp` in clear, STUN and DTLS go back to
    aioice. `on_batch` follows whatever was drained, `on_tick` comes every 75 ms.
    On an event loop that does not let go of its sockets (uvloop) they stay there, and only the batching is lost.
    """

    def __init__(
        self,
        dtls: RTCDtlsTransport,
        *,
        on_rtp: Callable[[bytes], None],
        on_rtcp: Callable[[bytes], None],
        on_batch: Callable[[], None],
        on_tick: Callable[[], None],
    ) -> None:
        self._sessions: tuple[Session, Session] = (dtls._rx_srtp, dtls._tx_srtp)  # kept: they own the C memory
        self._receive = dtls._rx_srtp._srtp[0]
        self._transmit = dtls._tx_srtp._srtp[0]
        self._connection: ice.Connection = dtls.transport._connection
        self._on_rtp, self._on_rtcp, self._on_batch, self._on_tick = on_rtp, on_rtcp, on_batch, on_tick
        self._ssrcs: set[bytes] = set()
        self._sockets: list[tuple[ice.StunProtocol, socket.socket]] = []
        self._closed = False
        self._take_sockets()
        _transports[self._connection] = self
        self._poller = shared_poller()
        self._poller.add(self)

    def _take_sockets(self) -> None:
        release = getattr(asyncio.get_running_loop(), "_remove_reader", None)
        if release is None:
            return
        for protocol in self._connection._protocols:
            its_socket = protocol.transport.get_extra_info("socket")
            if its_socket is None:  # a TURN allocation of our own has none
                continue
            release(its_socket.fileno())
            copy = its_socket.dup()
            copy.setblocking(False)
            self._sockets.append((protocol, copy))

    def drain(self, longest_s: float = LONGEST_ROUND_S, most: int = MOST_PER_ROUND) -> None:
        """Takes in what has arrived, bounded by number and by time; the rest waits in the kernel's buffer."""
        for protocol, its_socket in self._sockets:
            until = perf_counter() + longest_s
            for _ in range(most):
                try:
                    size, address = its_socket.recvfrom_into(_in_bytes)
                except OSError:  # nothing more, or an ICMP error of an earlier packet
                    break
                if size and 127 < _in_bytes[0] < 192:
                    self._media(size)
                else:
                    protocol.datagram_received(_in_view[0:size], address)
                if self._closed:
                    return
                if perf_counter() >= until:
                    break
        self._on_batch()

    def tick(self) -> None:
        if not self._closed:
            self._on_tick()

    def media(self, datagram: bytes) -> None:
        """A datagram with a first byte of 128..191 that came another way."""
        if len(datagram) <= _PACKET_BYTES:
            _in_bytes[: len(datagram)] = datagram
            self._media(len(datagram))

    def _media(self, size: int) -> None:
        """No source address is checked: the authentication tag proves the sender, also from a new address."""
        if size < 12:
            refused["unauthenticated"] += 1
            return
        is_rtcp = 192 <= _in_bytes[1] <= 223  # RFC 5761 §4
        ssrc = _in_view[4:8] if is_rtcp else _in_view[8:12]
        known = ssrc in self._ssrcs
        if not known and len(self._ssrcs) >= MOST_SSRCS:
            refused["too many SSRCs"] += 1
            return
        _in_size[0] = size
        if (_unprotect_rtcp if is_rtcp else _unprotect)(self._receive, _in, _in_size):
            refused["unauthenticated"] += 1
            return
        if not known:
            self._ssrcs.add(ssrc)
        packet = _in_view[0 : _in_size[0]]
        if is_rtcp:
            self._on_rtcp(packet)
        else:
            self._on_rtp(packet)

    def send_rtp(self, packet: bytes) -> None:
        self._send(packet, lib.srtp_protect)

    def send_rtcp(self, packet: bytes) -> None:
        self._send(packet, lib.srtp_protect_rtcp)

    def _send(self, packet: bytes, protect: Callable[..., int]) -> None:
        """A packet that cannot go out at once is lost, as on any network."""
        pair = self._connection._nominated.get(1)
        size = len(packet)
        if pair is None or self._closed or size > _PACKET_BYTES - _PROTECTION_BYTES:
            return
        _out_bytes[:size] = packet
        _out_size[0] = size
        if protect(self._transmit, _out, _out_size):
            refused["not protected"] += 1
            return
        datagram = _out_view[0 : _out_size[0]]
        for protocol, its_socket in self._sockets:
            if protocol is pair.protocol:
                with contextlib.suppress(OSError):
                    its_socket.sendto(datagram, pair.remote_addr)
                return
        if not pair.protocol.transport.is_closing():
            pair.protocol.transport.sendto(datagram, pair.remote_addr)

    def close(self) -> None:
        """Safe to call twice; aioice's own sockets are closed by aiortc."""
        if self._closed:
            return
        self._closed = True
        self._poller.remove(self)
        _transports.pop(self._connection, None)
        for _, its_socket in self._sockets:
            its_socket.close()
        self._sockets.clear()
