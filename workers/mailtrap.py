"""Mail through Mailtrap's sending API; open and click tracking are never asked for."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import mailtrap
import requests

from app.invitations.calendar_file import NAME, media_type
from workers.mailer import Mail, MailError

CATEGORY = "junier"


class MailtrapMailer:
    """One account token; the client is synchronous and runs in a thread."""

    def __init__(self, *, token: str, host: str) -> None:
        self._client = mailtrap.MailtrapClient(token=token, api_host=host)

    async def send(self, mail: Mail) -> None:
        try:
            await asyncio.to_thread(self._client.send, _as_mailtrap(mail))
        except mailtrap.AuthorizationError as error:
            raise MailError("Mailtrap refuses the token (JUNIER_MAILTRAP_TOKEN)", retry=False) from error
        except mailtrap.APIError as error:
            again = error.status == 429 or error.status >= 500
            raise MailError(f"Mailtrap answered {error.status}", retry=again) from error
        except requests.RequestException as error:
            raise MailError("Mailtrap cannot be reached", retry=True) from error


def _as_mailtrap(mail: Mail) -> mailtrap.Mail:
    return mailtrap.Mail(
        sender=mailtrap.Address(email=mail.from_address, name=mail.from_name),
        to=[mailtrap.Address(email=mail.to_address, name=mail.to_name or None)],
        subject=mail.subject,
        text=mail.text,
        html=mail.html,
        category=CATEGORY,
        headers={"Message-ID": mail.message_id, **mail.headers},
        attachments=_attached(mail),
    )


def _attached(mail: Mail) -> list[mailtrap.Attachment] | None:
    if not mail.calendar:
        return None
    content = b64encode(mail.calendar.encode())
    kind = f"{media_type(mail.calendar)}; charset=utf-8"
    return [mailtrap.Attachment(content=content, filename=NAME, mimetype=kind)]
