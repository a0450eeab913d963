"""What a browser is asked for a passkey, and whether its answer is right: the two ceremonies of WebAuthn Level 3 (§7.1
registration, §7.2 authentication), as functions of values. The challenge is the caller's to keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    bytes_to_base64url,
    parse_attestation_object,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AttestationFormat,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from app.errors import Forbidden
from app.settings import Settings
from app.tokens import token_hash

LONGEST_ANSWER = 20_000  # characters; a public key, a signature and what they are about need some hundred
_WRONG = (WebAuthnException, UnsupportedAlgorithm, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What the library says of answers that no browser gives."""
_Read = TypeVar("_Read")


class PasskeyRefused(Forbidden):
    """This passkey could not be used. Please try again; if it stays so, have a link mailed to you."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Whom passkeys are for (the relying party): host is the RP id, and they work on this origin alone."""

    host: str
    origin: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Added:
    """A passkey that was just made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a browser says to sign in, not yet believed. user_handle: whom the passkey was made for."""

    answer: str
    challenge: bytes
    credential_id: bytes
    user_handle: bytes


def site_of(settings: Settings) -> Site | None:
    """None where people reach us by a number: passkeys are bound to a name (WebAuthn §5.1.3, effective domain)."""
    host = urlsplit(settings.public_url).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return Site(host=host, origin=settings.origin, name=settings.platform_name)
    return None


def credential_hash(credential_id: bytes) -> bytes:
    """By this a passkey is found before its account is known."""
    return token_hash(bytes_to_base64url(credential_id), "passkey")


def to_add(
    site: Site, *, challenge: bytes, user_handle: bytes, email: str, name: str, known: Iterable[bytes], seconds: int
) -> str:
    """JSON for navigator.credentials.create(). known: credential ids of this member, not to be made twice on one
    device. We ask for no attestation: which make a device is of is none of our business."""
    return options_to_json(
        generate_registration_options(
            rp_id=site.host,
            rp_name=site.name,
            user_id=user_handle,
            user_name=email,
            user_display_name=name,
            challenge=challenge,
            timeout=seconds * 1000,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
        )
    )


def to_sign_in(site: Site, *, challenge: bytes, seconds: int) -> str:
    """JSON for navigator.credentials.get(): any passkey for this site, so nobody has to say who they are."""
    return options_to_json(
        generate_authentication_options(
            rp_id=site.host,
            challenge=challenge,
            timeout=seconds * 1000,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
    )


def challenge_of_added(answer: str) -> bytes:
    """The challenge that a browser says it made a passkey for. Raises PasskeyRefused."""
    return _believe(lambda: _challenge(parse_registration_credential_json(_short(answer)).response.client_data_json))


def added(site: Site, *, answer: str, challenge: bytes) -> Added:
    """The passkey that was made for this challenge. Raises PasskeyRefused."""

    def look() -> Added:
        credential = parse_registration_credential_json(_short(answer))
        attestation = parse_attestation_object(credential.response.attestation_object)
        if attestation.fmt not in (AttestationFormat.NONE, AttestationFormat.PACKED) or attestation.att_stmt.x5c:
            raise PasskeyRefused  # certificates of makers, which we did not ask for
        found = verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
        return Added(
            credential_id=found.credential_id, public_key=found.credential_public_key, sign_count=found.sign_count
        )

    return _believe(look)


def shown(answer: str) -> Shown:
    """Read what a browser says to sign in. Raises PasskeyRefused."""

    def look() -> Shown:
        credential = parse_authentication_credential_json(_short(answer))
        return Shown(
            answer=answer,
            challenge=_challenge(credential.response.client_data_json),
            credential_id=credential.raw_id,
            user_handle=credential.response.user_handle or b"",
        )

    return _believe(look)


def new_sign_count(site: Site, said: Shown, *, challenge: bytes, public_key: bytes, sign_count: int) -> int:
    """Believe it: signed by this passkey, for this challenge and site, by somebody who proved to their device who they
    are, with a counter that went up (or never counts). Raises PasskeyRefused."""
    return _believe(
        lambda: (
            verify_authentication_response(
                credential=said.answer,
                expected_challenge=challenge,
                expected_rp_id=site.host,
                expected_origin=site.origin,
                credential_public_key=public_key,
                credential_current_sign_count=sign_count,
                require_user_verification=True,
            ).new_sign_count
        )
    )


def _challenge(client_data: bytes) -> bytes:
    read = parse_client_data_json(client_data)
    if read.cross_origin:
        raise PasskeyRefused  # inside a page of somebody else (WebAuthn §7.1 step 10, §7.2 step 14)
    return read.challenge


def _short(answer: str) -> str:
    if not 0 < len(answer) <= LONGEST_ANSWER:
        raise PasskeyRefused
    return answer


def _believe(look: Callable[[], _Read]) -> _Read:
    try:
        return look()
    except _WRONG as error:
        raise PasskeyRefused from error
