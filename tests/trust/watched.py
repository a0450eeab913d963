"""Watches which connections a program opens, with all its threads and children and whatever language they are written
in: the kernel itself asks us before each connect(2) and each sendto(2) with an address (seccomp_unotify(2)).

    watched(command, …)                         from a test
    python -m tests.trust.watched 3 command …   what it starts: installs the filter, hands us its end, becomes command
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import select
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

CALLS = {"x86_64": (317, 42, 44), "aarch64": (277, 203, 206)}  # numbers of seccomp, connect and sendto
ROOT = Path(__file__).parents[2]
_NO_NEW_PRIVILEGES, _FILTER, _NEW_LISTENER, _CONTINUE = 38, 1, 8, 1
_NOTICE, _VERDICT = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_RECEIVE, _ANSWER = 0xC0502100, 0xC0182101
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Whom a program speaks to: an address and port, or a path with port 0."""

    where: str
    port: int = 0


@dataclass
class Watched:
    """What was let through, and what was refused with EACCES."""

    returncode: int = -1
    said: str = ""
    opened: set[Peer] = field(default_factory=set)
    refused: set[Peer] = field(default_factory=set)


class CannotWatch(Exception):
    """This machine does not let a program watch its children in this way."""


def watched(
    command: Sequence[str], *, allowed: Callable[[Peer], bool], limit_s: float, env: Mapping[str, str] | None = None
) -> Watched:
    """Runs the command to its end. Sockets within the machine's kernel (netlink) are nobody to speak to."""
    ours, theirs = socket.socketpair()
    found = Watched()
    with (
        ours,
        subprocess.Popen(
            [sys.executable, "-m", "tests.trust.watched", str(theirs.fileno()), *command],
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
            env=dict(env or os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as program,
    ):
        theirs.close()
        ours.settimeout(limit_s)
        _, listeners, _, _ = socket.recv_fds(ours, 1, 1)
        if not listeners:
            program.wait(10)
            raise CannotWatch(program.stdout.read() if program.stdout else "")
        watching = threading.Thread(target=_watch, args=(listeners[0], allowed, found), daemon=True)
        watching.start()
        try:
            found.said, _ = program.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            program.kill()
            found.said, _ = program.communicate()
        found.returncode = program.returncode
        watching.join(limit_s)
    return found


def _watch(listener: int, allowed: Callable[[Peer], bool], found: Watched) -> None:
    """Until nobody is left whom the filter holds."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    try:
        while True:
            if any(event & select.POLLHUP for _, event in poll.poll()):
                return
            notice = bytearray(_NOTICE.size)
            try:
                fcntl.ioctl(listener, _RECEIVE, notice)
                number, thread, _, call, _, _, *arguments = _NOTICE.unpack(notice)
                peer = _peer(thread, *(arguments[1:3] if call == _calls()[1] else arguments[4:6]))
            except OSError:  # whoever asked is gone, before or while we look
                continue
            fine = peer is None or allowed(peer)
            if peer is not None:
                (found.opened if fine else found.refused).add(peer)
            verdict = _VERDICT.pack(number, 0, 0 if fine else -errno.EACCES, _CONTINUE if fine else 0)
            try:
                fcntl.ioctl(listener, _ANSWER, bytearray(verdict))
            except OSError:
                continue
    finally:
        os.close(listener)


def _peer(thread: int, address: int, length: int) -> Peer | None:
    """Read from the memory of whoever asks; None for what leaves no trace outside the program."""
    with open(f"/proc/{thread}/mem", "rb", 0) as memory:
        memory.seek(address)
        data = memory.read(min(length, 128))
    family = int.from_bytes(data[:2], sys.byteorder)
    if family == socket.AF_UNIX:
        return Peer(where=data[2:].partition(b"\0")[0].decode(errors="replace"))
    if family == socket.AF_INET:
        return Peer(where=str(ip_address(data[4:8])), port=int.from_bytes(data[2:4], "big"))
    if family == socket.AF_INET6:
        return Peer(where=str(ip_address(data[8:24])), port=int.from_bytes(data[2:4], "big"))
    return None if family in (socket.AF_UNSPEC, socket.AF_NETLINK) else Peer(where=f"family {family}")


def _calls() -> tuple[int, int, int]:
    try:
        return CALLS[platform.machine()]
    except KeyError:
        raise CannotWatch(platform.machine()) from None


def _install() -> int:
    """The filter, for good; returns what its questions are read from."""
    seccomp, connect, sendto = _calls()
    load, equal, end = 0x20, 0x15, 0x06
    steps = [
        (load, 0, 0, 0),  # number of the call
        (equal, 6, 0, connect),
        (equal, 0, 4, sendto),
        (load, 0, 0, 48),  # address of sendto, its lower half
        (equal, 0, 3, 0),
        (load, 0, 0, 52),
        (equal, 0, 1, 0),
        (end, 0, 0, _ALLOW),
        (end, 0, 0, _ASK),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener: int = libc.syscall(seccomp, _FILTER, _NEW_LISTENER, program)
    if listener < 0:
        raise CannotWatch(os.strerror(ctypes.get_errno()))
    return listener


def main() -> None:
    theirs = socket.socket(fileno=int(sys.argv[1]))
    listener = _install()
    socket.send_fds(theirs, [b"-"], [listener])
    theirs.close()
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
