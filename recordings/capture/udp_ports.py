"""On which UDP ports media is received, so that a firewall can be opened for them alone."""

from __future__ import annotations

import asyncio
import errno
import secrets
from typing import Any


def use_ports(ports: range | None) -> None:
    """From here on ICE's sockets in the running event loop take one of these UDP ports each; None: any free one.

    aioice asks for port 0 and has no setting for it. When all are taken there is no address to offer.
    """
    if ports is None:
        return
    loop = asyncio.get_running_loop()
    original = loop.create_datagram_endpoint

    async def endpoint(factory: Any, local_addr: tuple[str, int] | None = None, **options: Any) -> Any:
        if local_addr is None or local_addr[1]:
            return await original(factory, local_addr=local_addr, **options)
        first = secrets.randbelow(len(ports))  # not the port somebody has just left: late packets would come here
        for number in range(len(ports)):
            port = ports[(first + number) % len(ports)]
            try:
                return await original(factory, local_addr=(local_addr[0], port), **options)
            except OSError as taken:
                if taken.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, "every allowed port is taken")

    setattr(loop, "create_datagram_endpoint", endpoint)  # noqa: B010 (a method)
