"""`junier doctor`: looks at everything the platform needs and says in plain words what is wrong and how to mend it.

Looking changes nothing: what the first start will make is named, not made, and no mail is sent.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from app import doctor_running as running
from app.findings import Broken, Finding, Note, look
from app.settings import Settings, SettingsError
from app.third_parties import check_third_parties, relay_allowed, third_parties
from recordings.storage.regions import PlaceRefused

CONNECT_LIMIT_S = 5.0
STUN_COOKIE = bytes.fromhex("2112a442")  # RFC 8489, section 5


def examine(settings: Settings, *, speech_model: Callable[[], str]) -> Iterator[Finding]:
    """One finding per check, as soon as it is known. speech_model: says where the model is, or raises."""
    yield look("Settings", lambda: check_settings(settings))
    yield look("Data folder", lambda: check_data_dir(settings))
    yield look("Database", lambda: check_database(settings))
    yield look("Storage", lambda: check_storage(settings))
    yield look("Keys", lambda: check_keys(settings))
    yield look("Mail", lambda: check_mail(settings))
    yield look("Third parties", lambda: check_register(settings))
    yield look("TURN", lambda: check_turn(settings))
    yield look("Speech model", lambda: check_speech(speech_model))
    yield look("Media process", lambda: check_media(settings))
    yield look("Public address", lambda: running.check_public_address(settings))
    yield look("UDP", lambda: running.check_udp(settings))
    yield look("Disk", lambda: running.check_disk(settings))
    yield look("Clock", lambda: running.check_clock(settings))
    yield look("Erasing", lambda: running.check_erasing(settings))
    yield look("Jobs", lambda: running.check_jobs(settings))
    yield look("Files", lambda: running.check_files(settings))
    yield look("Ledger", lambda: running.check_ledger(settings))
    yield look("Owners", lambda: running.check_owners(settings))


def check_settings(settings: Settings) -> str:
    try:
        settings.check()
    except SettingsError as error:
        raise Broken(str(error), "correct the variable named here") from None
    return f"{settings.mode.value} mode, people open {settings.public_url}"


def check_data_dir(settings: Settings) -> str:
    folder = settings.data_dir
    if not folder.exists():
        return f"{folder.absolute()} will be made at the first start"
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Broken(f"{folder.absolute()} cannot be written", "give it to the user Junier runs as")
    if folder.stat().st_mode & 0o007:
        raise Note(f"{folder.absolute()} is open to other users of this machine", f"chmod o-rwx {folder.absolute()}")
    return f"{folder.absolute()}"


def check_database(settings: Settings) -> str:
    import psycopg

    from app.embedded import database_urls
    from app.embedded_place import EmbeddedError, find_place
    from app.migrations import run

    try:
        if not settings.database_url and not (settings.data_dir / "junier.lock").exists():
            if settings.data_dir.exists():
                find_place(settings.data_dir)
            return "embedded PostgreSQL, made at the first start"
        with database_urls(settings) as urls:
            with psycopg.connect(urls.app, connect_timeout=int(CONNECT_LIMIT_S)) as connection:
                version = connection.info.server_version
                row = connection.execute(
                    "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
                ).fetchone()
            revision = run.current(urls.app)
    except EmbeddedError as error:
        raise Broken(str(error), "see the message") from None
    except psycopg.Error as error:
        raise Broken(f"no connection: {type(error).__name__}", "check DATABASE_URL, and that PostgreSQL runs") from None
    if version < 150000:
        raise Broken(f"PostgreSQL {version // 10000} is too old", "use PostgreSQL 15 or newer")
    if row == (True,):
        raise Broken(
            "the application connects as a role above row-level security",
            "connect as junier_app; app/migrations/roles.sql makes it",
        )
    if revision != run.head():
        raise Broken(f"the database is at {revision or 'nothing yet'}, needed is {run.head()}", "run: junier migrate")
    return f"PostgreSQL {version // 10000}, up to date ({revision})"


def check_storage(settings: Settings) -> str:
    from app.wiring import open_store
    from recordings.storage.store import StoreError

    if settings.object_store == "folder" and not (settings.data_dir / "objects").exists():
        return f"objects will be kept in {(settings.data_dir / 'objects').absolute()}, made at the first start"
    try:
        return open_store(settings).check()
    except StoreError as error:
        raise Broken(
            str(error), "check the JUNIER_S3_… variables; endpoint and region must be on the EU list"
        ) from None


def check_keys(settings: Settings) -> str:
    from app.wiring import open_keys
    from recordings.encryption.keystore import KeyStoreError

    first = settings.master_key_path if settings.keys_database_url else settings.keys_folder
    if not first.exists():
        return f"{first.absolute()} is made at the first start"
    try:
        keys = open_keys(settings)
        health = keys.check()
    except KeyStoreError as error:
        place = f"its .epochs folder or {settings.keys_folder}"
        if settings.keys_database_url:
            place = "or mend the server of KEYS_DATABASE_URL"
        raise Broken(str(error), f"put back {settings.master_key_path}, {place}") from None
    if health.damaged:
        raise Broken(
            f"the keys of {len(health.damaged)} accounts do not open ({', '.join(map(str, health.damaged))}): nothing "
            "kept for them can be read",
            "put their key back from a live copy of the key store (docs/operators, Keys and backup)",
        )
    said, began = f"{health.where} {health.accounts} accounts have one.", health.epoch_began
    if began is not None and datetime.now(UTC) - began > timedelta(hours=2 * settings.key_epoch_hours):
        raise Note(
            f"{said} The key epoch of {began:%Y-%m-%d %H:%M} has not ended: an old copy of the keys still opens",
            "let a worker run (junier worker --queues light); when one runs, its log says which key does not open",
        )
    return said


def check_mail(settings: Settings) -> str:
    if settings.mail == "outbox":
        return "mails wait on the development outbox page, nothing is sent"
    host, port, variable = settings.smtp_host, settings.smtp_port, "JUNIER_SMTP_HOST"
    if settings.mail == "mailtrap":
        if not settings.mailtrap_token:
            raise Broken("JUNIER_MAILTRAP_TOKEN is empty", "make an API token at Mailtrap and set it")
        name, _, number = settings.mailtrap_host.partition(":")
        host, port, variable = name, int(number or 443), "JUNIER_MAILTRAP_HOST"
    if not host:
        raise Broken(f"{variable} is empty", "name the mail server")
    _connect(host, port, f"check {variable}, and that this machine may reach it")
    return f"{settings.mail} at {host}:{port} can be reached, mails come from {settings.mail_from}"


def check_register(settings: Settings) -> str:
    """Everybody who gets personal data, with a safeguard and a review that is not overdue."""
    today = datetime.now(UTC).date()
    try:
        others = [party for party in third_parties(settings) if not party.ours]
        check_third_parties(settings)
    except PlaceRefused as error:
        raise Broken(str(error), "see Storage") from None
    except SettingsError as error:
        raise Broken(str(error), "see docs/operators, The register of third parties") from None
    for party in others:
        if party.overdue(today):
            raise Broken(
                f"the review of {party.host} was due on {party.review_by}; it is given nothing new",
                f"review {party.document}, then set review_by in {settings.register_path}",
            )
    unnamed = [party.host for party in others if not party.safeguard]
    if unnamed:
        raise Note(f"{', '.join(unnamed)} without an entry in the register", "needed before production")
    return ", ".join(f"{party.host} (review by {party.review_by})" for party in others) or "none"


def check_turn(settings: Settings) -> str:
    urls = [url.strip() for url in settings.turn_urls.split(",") if url.strip()]
    if not urls:
        if settings.turn_only:
            raise Broken("JUNIER_TURN_ONLY is set but JUNIER_TURN_URLS is empty", "name the TURN servers")
        raise Note(
            "none: people behind strict firewalls cannot join",
            "run coturn and set JUNIER_TURN_URLS and JUNIER_TURN_SECRET; not needed for trying on this machine",
        )
    if not relay_allowed(settings):
        raise Broken(
            "the TURN servers are not offered: their country is not known or outside the EU",
            "set JUNIER_TURN_COUNTRY, or JUNIER_EU_ONLY=false if every account agreed to it",
        )
    if any(url.startswith("turn") for url in urls) and not settings.turn_secret:
        raise Broken("JUNIER_TURN_SECRET is empty", "set the static-auth-secret of coturn")
    for url in urls:
        scheme, _, place = url.partition(":")
        place, _, query = place.partition("?")
        host, _, number = place.rpartition(":") if ":" in place else (place, "", "")
        port = int(number) if number.isdigit() else (5349 if scheme.endswith("s") else 3478)
        if scheme.endswith("s") or "transport=tcp" in query:
            _connect(host, port, "check JUNIER_TURN_URLS, and that the server runs")
        else:
            _stun(host, port)
    return f"{len(urls)} servers answer"


def check_speech(speech_model: Callable[[], str]) -> str:
    try:
        place = speech_model()
    except Exception as error:  # whatever the engine says, it is shown here
        raise Broken(
            str(error) or type(error).__name__,
            "set JUNIER_SPEECH_MODEL to a faster-whisper model folder or name, e.g. small",
        ) from None
    if "/" not in place:
        return f"the model {place}, fetched when the first transcript is due unless it is here already"
    if not (Path(place) / "model.bin").exists():
        raise Broken(f"there is no model in {place}", "name a folder with a faster-whisper model, or a model by name")
    return f"loaded from {place} when a transcript is due"


def check_media(settings: Settings) -> str:
    import httpx

    from app.room.secret import SECRET_FILE, node_secret

    if not settings.node_secret and not (settings.data_dir / SECRET_FILE).exists():
        return f"made ready at the first start, on {settings.node_url}"
    authorised = {"authorization": f"Bearer {node_secret(settings)}"}
    try:
        answer = httpx.get(f"{settings.node_url}/health", headers=authorised, timeout=CONNECT_LIMIT_S, trust_env=False)
    except httpx.HTTPError:
        raise Note(
            f"does not run at {settings.node_url}", "docker compose up -d media; junier serve starts it too"
        ) from None
    if answer.status_code != 200:
        raise Broken(
            f"{settings.node_url} answers {answer.status_code}", "web and media must share the same JUNIER_NODE_SECRET"
        )
    if not settings.development and urlsplit(settings.node_url).hostname == settings.listen_host == "0.0.0.0":
        raise Broken("the internal address of the media process is public", "set JUNIER_NODE_URL to a private address")
    facts = answer.json()
    used = facts.get("load", facts["streams"]) / facts["capacity"]  # an older one says only streams
    return f"{settings.node_url}, {facts['streams']} streams, with their viewers {used:.0%} of what it takes"


def _connect(host: str, port: int, mend: str) -> None:
    try:
        socket.create_connection((host, port), timeout=CONNECT_LIMIT_S).close()
    except OSError as error:
        raise Broken(f"{host}:{port} cannot be reached ({error.strerror or error})", mend) from None


def _stun(host: str, port: int) -> None:
    """A binding request (RFC 8489) that any STUN or TURN server answers."""
    asked = secrets.token_bytes(12)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as udp:
            udp.settimeout(2.0)
            udp.sendto(b"\x00\x01\x00\x00" + STUN_COOKIE + asked, address)
            answer = udp.recv(1024)
    except OSError:
        answer = b""
    if answer[4:20] != STUN_COOKIE + asked:
        raise Broken(f"{host}:{port} does not answer over UDP", "check JUNIER_TURN_URLS, and that the server runs")
