"""Mail through any SMTP relay (aiosmtplib)."""

from __future__ import annotations

import aiosmtplib

from workers.mailer import Mail, MailError, as_message

TIMEOUT_SECONDS = 30


class SmtpMailer:
    """tls: "starttls", "tls" or "none" (loopback only; settings refuse it elsewhere)."""

    def __init__(self, *, host: str, port: int, user: str, password: str, tls: str) -> None:
        self._host, self._port = host, port
        self._user, self._password = user, password
        self._tls = tls

    async def send(self, mail: Mail) -> None:
        try:
            await aiosmtplib.send(
                as_message(mail),
                hostname=self._host,
                port=self._port,
                username=self._user or None,
                password=self._password or None,
                use_tls=self._tls == "tls",
                start_tls=self._tls == "starttls",
                timeout=TIMEOUT_SECONDS,
            )
        except aiosmtplib.SMTPResponseException as error:
            raise MailError(f"The mail server answered {error.code}", retry=400 <= error.code < 500) from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            temporary = all(400 <= r.code < 500 for r in error.recipients)
            raise MailError("The mail server refused the address", retry=temporary) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailError("The mail server cannot be reached", retry=True) from error
