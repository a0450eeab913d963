"""Logins: a signed-in browser, known by a cookie whose hash alone is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.params import Dependency
from sqlalchemy import delete, text

from app.accounts.models import Login as LoginRow
from app.accounts.models import Role, Scope, Way
from app.audit import Action, record
from app.database import Db, now_in, remember_now, set_account
from app.errors import Forbidden, NoMore, SignInNeeded
from app.sealed_columns import SealedColumns
from app.security import login_cookie
from app.settings import Settings
from app.tokens import new_token, token_hash
from app.wiring import Wiring
from recordings.model import AccountId, PersonId, SessionId

PURPOSE = "login"
PASSKEY_ROLES = frozenset({Role.OWNER, Role.RESEARCHER})
"""Whom an account can ask for a passkey: observers see no recordings."""
LIFE = {
    Scope.MEMBER: timedelta(hours=12),
    Scope.ROOM: timedelta(hours=12),
    Scope.DATA: timedelta(hours=12),  # of the browser's login; what it opens is bounded by DATA_LIFE
}
DATA_LIFE = timedelta(minutes=10)
"""How long a proven address opens stored data; afterwards the login is one for the room again, so that
looking at one's data in the middle of a session does not end it."""
IDLE = timedelta(hours=2)
"""A member's login that is not used so long ends (ASVS 5.0 V7.3.1). An open page of a live room uses it."""
NOTED = timedelta(minutes=5)
"""Use is written down no more often than this."""


LONG_AGO = datetime.min.replace(tzinfo=UTC)


OPEN_WITHOUT_PASSKEY = ("/passkeys", "/sign-in", "/sign-out")
"""Pages on which a member whose account asks for a passkey can make or show one."""
FOR_ANYBODY = ("/sign-in", "/sign-out", "/promises", "/data-map", "/i/", "/unsubscribe/", "/receipt/", "/closed/")
OPEN_WHEN_CLOSED = ("/erasures", *FOR_ANYBODY)
"""What a member of a closed account can open: the erasures with their certificates, and what is anybody's."""


class PasskeyNeeded(Forbidden):
    """Owners and researchers of this account sign in with a passkey; a mailed link alone opens nothing here."""


class AccountIsClosed(NoMore):
    """This account is closed. What people left in it is being erased; the erasures and their certificates are all that
    can still be opened."""


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """Who is behind this browser. Exactly one of member and participant is set; `name` is a member's, and so are
    since (when they proved who they are), way (how), needs_passkey (their account wants more than that), closes_at (it
    was announced) and account_closed. Of a closed account participants see what is held of them until it is erased."""

    login_id: UUID
    account: AccountId
    scope: Scope
    name: str = ""
    member: PersonId | None = None
    role: Role | None = None
    participant: PersonId | None = None
    session: SessionId | None = None
    since: datetime = LONG_AGO
    way: Way | None = None
    needs_passkey: bool = False
    closes_at: datetime | None = None
    account_closed: bool = False

    def require_open(self, path: str) -> None:
        """Raises PasskeyNeeded or AccountIsClosed when this login does not open the page."""
        if self.needs_passkey:
            if not path.startswith(OPEN_WITHOUT_PASSKEY):
                raise PasskeyNeeded
        elif self.account_closed and not path.startswith(OPEN_WHEN_CLOSED):
            raise AccountIsClosed

    @property
    def as_member(self) -> PersonId:
        """For whoever passed require_member."""
        assert self.member is not None
        return self.member

    @property
    def actor(self) -> str:
        """As audit and erasures name it."""
        return f"member:{self.member}" if self.member else f"participant:{self.participant}"


Login = Annotated[SignedIn | None, Dependency(skip_validation=True)]
"""The dependency `login` of every handler."""


def cookie_name(settings: Settings) -> str:
    """__Host- binds the cookie to this very host over https (RFC 6265bis §4.1.3.2)."""
    return "__Host-login" if settings.secure else "login"


async def start_login(
    db: Db,
    settings: Settings,
    *,
    account: AccountId,
    scope: Scope,
    member: PersonId | None = None,
    participant: PersonId | None = None,
    session: SessionId | None = None,
    way: Way | None = None,
    former: SignedIn | None = None,
) -> Cookie:
    """A new login, always with a fresh token; the account is set already. former: the one this browser had, which
    ends, since its cookie is replaced (ASVS 5.0 V7.2.4). Returns the cookie to send."""
    if former is not None:
        await db.flush()
        await set_account(db, former.account)
        await end_login(db, settings, former)
        await set_account(db, account)
    token, now, login_id = new_token(), await now_in(db), uuid4()
    db.add(
        LoginRow(
            id=login_id,
            account_id=account,
            token_hash=token_hash(token, PURPOSE),
            scope=Scope.ROOM if scope is Scope.DATA else scope,
            member_id=member,
            participant_id=participant,
            session_id=session,
            way=way,
            expires_at=now + LIFE[scope],
            data_until=now + DATA_LIFE if scope is Scope.DATA else None,
        )
    )
    actor = f"member:{member}" if member else f"participant:{participant}"
    facts = {"scope": str(scope)}
    await record(db, account=account, actor=actor, action=Action.SIGNED_IN, subject=f"login:{login_id}", facts=facts)
    return login_cookie(settings, cookie_name(settings), token, int(LIFE[scope].total_seconds()))


async def end_login(db: Db, settings: Settings, login: SignedIn) -> Cookie:
    """Forget this browser. Returns the cookie that clears the other one."""
    await db.execute(delete(LoginRow).where(LoginRow.id == login.login_id))
    subject = f"login:{login.login_id}"
    await record(db, account=login.account, actor=login.actor, action=Action.SIGNED_OUT, subject=subject)
    return login_cookie(settings, cookie_name(settings), "", 0)


async def end_logins_of(db: Db, *, person: PersonId) -> None:
    """Forget every browser of a member or participant (removed, erased)."""
    await db.execute(delete(LoginRow).where((LoginRow.member_id == person) | (LoginRow.participant_id == person)))


async def find_login(db: Db, columns: SealedColumns, token: str, *, used: bool = True) -> SignedIn | None:
    """The login of a cookie, and from here on its account is set; None when unknown, ended or expired. used: somebody
    does something with it at this moment."""
    row = (await db.execute(_ENTER, {"token_hash": token_hash(token, PURPOSE)})).first()
    if row is None:
        return None
    account, now = AccountId(row.account_id), row.now
    remember_now(db, now)
    if row.expires_at <= now:
        return None
    name, role, needs_passkey, closes_at, account_closed = "", None, False, None, False
    if row.member_id is not None:
        if row.member_role is None or row.removed_at is not None or now - row.used_at > IDLE:
            return None
        if used and now - row.used_at > NOTED:
            await db.execute(_USED, {"login": row.id})
        role = Role(row.member_role)
        closes_at, account_closed = row.closes_at, row.closed_at is not None
        needs_passkey = row.passkeys_needed and role in PASSKEY_ROLES and row.way != Way.PASSKEY
        name = columns.open(account, PersonId(row.member_id), "member.name", row.member_name)
    return SignedIn(
        login_id=row.id,
        account=account,
        scope=Scope.DATA if row.data_until is not None and now < row.data_until else Scope(row.scope),
        name=name,
        role=role,
        member=PersonId(row.member_id) if row.member_id else None,
        participant=PersonId(row.participant_id) if row.participant_id else None,
        session=SessionId(row.session_id) if row.session_id else None,
        since=row.created_at,
        way=Way(row.way) if row.way else None,
        needs_passkey=needs_passkey,
        closes_at=closes_at,
        account_closed=account_closed,
    )


async def login_of(
    connection: ASGIConnection[Any, Any, Any, Any], wiring: Wiring, *, used: bool = True
) -> SignedIn | None:
    """For WebSockets, which hold no transaction: the login of this connection's cookie, if it opens pages."""
    token = connection.cookies.get(cookie_name(wiring.settings))
    if not token:
        return None
    async with wiring.database.transaction() as db:
        login = await find_login(db, wiring.columns, token, used=used)
    return None if login is None or login.needs_passkey or login.account_closed else login


def require_member(login: SignedIn | None, *roles: Role) -> SignedIn:
    """A signed-in member, of one of `roles` when any are named."""
    if login is None or login.scope is not Scope.MEMBER or login.role is None:
        raise SignInNeeded
    if roles and login.role not in roles:
        raise Forbidden("Your role in this account does not allow this. Please ask the account's owner.")
    return login


def require_participant(login: SignedIn | None, *scopes: Scope) -> SignedIn:
    """A participant, whose login reaches one of `scopes` (ROOM and DATA when none are named)."""
    if login is None or login.participant is None:
        raise SignInNeeded("Please open the link in your invitation mail first.")
    if login.scope not in (scopes or (Scope.ROOM, Scope.DATA)):
        raise SignInNeeded("Please confirm your e-mail address first.")
    return login


_ENTER = text(
    "SELECT seen.*, now() AS now "
    "FROM (SELECT login_id, set_config('junier.account_id', account_id::text, true) AS entered "
    "FROM find_login(token_hash => :token_hash) OFFSET 0) AS known "
    "CROSS JOIN LATERAL (SELECT login.id, login.account_id, login.scope, login.member_id, login.participant_id, "
    "login.session_id, login.expires_at, login.data_until, login.created_at, login.used_at, login.way, "
    "account.passkeys_needed, account.closes_at, account.closed_at, member.role AS member_role, "
    "member.name AS member_name, member.removed_at, "
    "set_config('junier.reader', CASE WHEN member.role <> 'owner' AND EXISTS (SELECT FROM study "
    "WHERE study.account_id = login.account_id AND study.assigned_only) "
    "THEN member.id::text ELSE '' END, true) AS reader "
    "FROM login LEFT JOIN member ON member.id = login.member_id "
    "JOIN account ON account.account_id = login.account_id "
    "WHERE login.id = known.login_id AND known.entered <> '' OFFSET 0) AS seen"
)
"""A login by its token, its account set for this transaction on the way: one question, since every page asks it.
OFFSET 0 keeps the two parts apart, so that the rows of the account are looked for once it is set.
junier.reader: a member who does not see every session of the account; the database then leaves out what they do not
see (rights.sql). Owners see all of it, and so does everybody where no study is seen by those assigned alone."""
_USED = text(
    "UPDATE login SET used_at = now() WHERE id IN (SELECT id FROM login WHERE id = :login FOR UPDATE SKIP LOCKED)"
)
"""Of two requests at once neither waits for the other."""
