"""One suite for every mailer: a fake Mailtrap over HTTPS on loopback, and a real SMTP conversation."""

from __future__ import annotations

import json
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller

from tests.fixtures.ports import free_port
from workers.mailer import Mail, Mailer, MailError
from workers.mailtrap import MailtrapMailer
from workers.smtp import SmtpMailer

MAIL = Mail(
    from_name="Study team",
    from_address="team@sessions.example",
    to_name="Zoë",
    to_address="zoe@people.example",
    subject="Would you take part?",
    text="Dear Zoë,\nhere is your link.\nUnsubscribe from invitations",
    html="<p>Dear Zoë</p><p>Unsubscribe from invitations</p>",
    message_id="<11111111-2222@sessions.example>",
    at=datetime(2026, 11, 22, 12, tzinfo=UTC),
    headers={
        "List-Unsubscribe": "<https://sessions.example/u/abc>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    },
)


@dataclass
class Carrier:
    """What arrived at the far end, in one shape for both adapters; `answer` is what it says next."""

    mailer: Mailer
    arrived: list[dict[str, Any]] = field(default_factory=list)
    answer: str = "ok"  # ok | busy | refused


class _Sink:
    def __init__(self) -> None:
        self.carrier: Carrier | None = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        assert self.carrier
        if self.carrier.answer == "busy":
            return "451 try again later"
        if self.carrier.answer == "refused":
            return "550 no such mailbox"
        message = message_from_bytes(envelope.content, policy=default)
        body = message.get_body(("plain",))
        html = message.get_body(("html",))
        assert body and html
        self.carrier.arrived.append(
            {
                "to": envelope.rcpt_tos,
                "subject": message["Subject"],
                "text": body.get_content(),
                "html": html.get_content(),
                "headers": {k: str(v) for k, v in message.items()},
                "attached": [
                    (part.get_filename(), str(part["Content-Type"]).replace('"', ""), part.get_content())
                    for part in message.iter_attachments()
                ],
            }
        )
        return "250 accepted"


@pytest.fixture
def smtp() -> Iterator[Carrier]:
    sink = _Sink()
    port = free_port()
    controller = Controller(sink, hostname="127.0.0.1", port=port, ready_timeout=60)
    controller.start()
    try:
        sink.carrier = Carrier(SmtpMailer(host="127.0.0.1", port=port, user="", password="", tls="none"))
        yield sink.carrier
    finally:
        controller.stop()


@pytest.fixture
def mailtrap(tmp_path, monkeypatch) -> Iterator[Carrier]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    carrier: Carrier

    class FakeMailtrap(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = self.headers["Authorization"] == "Bearer good-token"
            status = {"ok": 200, "busy": 503, "refused": 400}[carrier.answer] if known else 401
            if status == 200:
                carrier.arrived.append(
                    {
                        "to": [t["email"] for t in sent["to"]],
                        "subject": sent["subject"],
                        "text": sent["text"],
                        "html": sent["html"],
                        "headers": sent["headers"],
                        "attached": [
                            (one["filename"], one["type"], b64decode(one["content"]).decode())
                            for one in sent.get("attachments", [])
                        ],
                        "payload": sent,
                    }
                )
            body = json.dumps({"success": True, "message_ids": ["1"]} if status == 200 else {"errors": ["no"]}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeMailtrap)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        host = f"127.0.0.1:{server.server_address[1]}"
        carrier = Carrier(MailtrapMailer(token="good-token", host=host))
        yield carrier
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["smtp", "mailtrap"])
def carrier(request) -> Carrier:
    return request.getfixturevalue(request.param)


async def test_a_mail_arrives_whole(carrier: Carrier) -> None:
    await carrier.mailer.send(MAIL)
    [mail] = carrier.arrived
    assert mail["to"] == ["zoe@people.example"]
    assert mail["subject"] == "Would you take part?"
    assert "Dear Zoë" in mail["text"]
    assert "Unsubscribe from invitations" in mail["html"]
    assert mail["headers"]["List-Unsubscribe"] == "<https://sessions.example/u/abc>"
    assert mail["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["headers"]["Message-ID"] == MAIL.message_id


@pytest.mark.parametrize("method", ["PUBLISH", "CANCEL"])
async def test_a_calendar_file_goes_with_it_and_its_type_names_the_method(carrier: Carrier, method: str) -> None:
    file = f"BEGIN:VCALENDAR\r\nMETHOD:{method}\r\nSUMMARY:Zoë\r\nEND:VCALENDAR\r\n"
    await carrier.mailer.send(replace(MAIL, calendar=file))
    [mail] = carrier.arrived
    [(name, kind, text)] = mail["attached"]
    assert (name, text.splitlines()) == ("session.ics", file.splitlines())
    assert kind == f"text/calendar; method={method}; charset=utf-8"
    assert "Dear Zoë" in mail["text"]


async def test_a_busy_carrier_is_worth_another_try(carrier: Carrier) -> None:
    carrier.answer = "busy"
    with pytest.raises(MailError) as raised:
        await carrier.mailer.send(MAIL)
    assert raised.value.retry


async def test_a_refusal_is_final(carrier: Carrier) -> None:
    carrier.answer = "refused"
    with pytest.raises(MailError) as raised:
        await carrier.mailer.send(MAIL)
    assert not raised.value.retry


async def test_an_unreachable_carrier_is_worth_another_try() -> None:
    for mailer in (
        SmtpMailer(host="127.0.0.1", port=1, user="", password="", tls="none"),
        MailtrapMailer(token="t", host="127.0.0.1:1"),
    ):
        with pytest.raises(MailError) as raised:
            await mailer.send(MAIL)
        assert raised.value.retry


@pytest.mark.parametrize("bad", ["a\r\nBcc: other@people.example", "a\nb", "a\0", "\u202eevil"])
@pytest.mark.parametrize("place", ["to_name", "subject", "from_name", "to_address"])
def test_header_injection_is_refused_before_anything_is_sent(place: str, bad: str) -> None:
    with pytest.raises(MailError):
        replace(MAIL, **{place: bad})


async def test_the_mailtrap_payload_holds_nothing_but_the_mail(mailtrap: Carrier) -> None:
    await mailtrap.mailer.send(MAIL)
    payload = mailtrap.arrived[0]["payload"]
    assert set(payload) == {"from", "to", "subject", "text", "html", "category", "headers"}


async def test_mailtrap_refuses_a_wrong_token_for_good(mailtrap: Carrier) -> None:
    assert isinstance(mailtrap.mailer, MailtrapMailer)
    host = mailtrap.mailer._client.api_host
    with pytest.raises(MailError) as raised:
        await MailtrapMailer(token="wrong", host=host).send(MAIL)
    assert not raised.value.retry
