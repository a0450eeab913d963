"""On which addresses media listens, and which ones peers are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.room import sdp
from recordings.capture.aiortc_internals import machine_addresses


@dataclass(frozen=True, kw_only=True)
class MediaAddresses:
    """chosen: local addresses, none: all of the machine. announced: what peers are told instead, one for each, where a
    router or cloud passes a public address on to the chosen one (1:1 NAT); none: the chosen ones themselves."""

    chosen: Sequence[str] = ()
    announced: Sequence[str] = ()

    @property
    def listening(self) -> Sequence[str]:
        """Looked up each time: a laptop changes its network."""
        return self.chosen or machine_addresses()

    def announce(self, answer: str) -> str:
        """The answer as the peer gets it. Checks come to the public address, the router passes them on to ours, and a
        host candidate stays one (RFC 8445 §5.1.1.1): nothing but its address differs."""
        return sdp.with_addresses(answer, dict(zip(self.chosen, self.announced, strict=False)))
