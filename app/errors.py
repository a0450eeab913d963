"""The few roots of errors that people may see; one table turns them into HTTP status and page.

The docstring is the message when none is given; messages are shown to people.
"""

from __future__ import annotations


class JunierError(Exception):
    """Something went wrong."""

    status = 400

    def __init__(self, message: str | None = None) -> None:
        self.message = message or " ".join((self.__doc__ or "").split())
        super().__init__(self.message)


class NotThere(JunierError):
    """This page does not exist, or you may not see it."""

    status = 404


class SignInNeeded(JunierError):
    """Please sign in first."""

    status = 401


class Forbidden(JunierError):
    """You may not do this."""

    status = 403


class BadInput(JunierError):
    """Something in the form does not fit."""

    status = 422


class Conflict(JunierError):
    """This cannot be done now."""

    status = 409


class Gone(JunierError):
    """This has been erased."""

    status = 404


class NoMore(JunierError):
    """This is over."""

    status = 410


class TooManyTries(JunierError):
    """Too many tries. Please wait a few minutes."""

    status = 429

    def __init__(self, message: str | None = None, *, retry_after_s: int = 60) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(JunierError):
    """A part of the platform cannot be reached just now. Please try again in a minute."""

    status = 503
