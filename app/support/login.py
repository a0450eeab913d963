"""An operator's login: a cookie of its own, so that no page of a member or participant ever looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from litestar.datastructures import Cookie
from sqlalchemy import delete, func, select

from app.audit import Action
from app.database import Db, now_in, set_account
from app.errors import NotThere
from app.pages import AnyRequest
from app.sealed_columns import PLATFORM
from app.security import login_cookie
from app.settings import Settings
from app.support.models import Operator, OperatorLogin
from app.support.operators import NAME_FIELD, record_of_platform
from app.tokens import new_token, token_hash
from app.wiring import Wiring
from recordings.model import PersonId

PURPOSE = "operator-login"
LIFE = timedelta(hours=2)


@dataclass(frozen=True, kw_only=True)
class SignedInOperator:
    """Who is behind this browser. proven: a passkey was shown in it; before that it opens nothing."""

    login_id: UUID
    operator: PersonId
    name: str
    proven: bool

    @property
    def actor(self) -> str:
        """As audit and requests name them."""
        return f"operator:{self.operator}"


def cookie_name(settings: Settings) -> str:
    """__Host- binds the cookie to this very host over https (RFC 6265bis §4.1.3.2)."""
    return "__Host-operator" if settings.secure else "operator"


async def start_login(db: Db, settings: Settings, *, operator: PersonId) -> Cookie:
    """After the mailed link; the platform's account is set. Former browsers of this operator end."""
    token = new_token()
    await db.execute(delete(OperatorLogin).where(OperatorLogin.operator_id == operator))
    db.add(
        OperatorLogin(
            account_id=PLATFORM,
            operator_id=operator,
            token_hash=token_hash(token, PURPOSE),
            expires_at=await now_in(db) + LIFE,
        )
    )
    await record_of_platform(db, operator, Action.OPERATOR_LINK_USED)
    return login_cookie(settings, cookie_name(settings), token, int(LIFE.total_seconds()))


async def renew_login(db: Db, settings: Settings, login: SignedInOperator) -> Cookie:
    """After a passkey was shown: a fresh token (ASVS 5.0 V7.2.4), so that who read the cookie before has nothing."""
    token = new_token()
    row = await db.get_one(OperatorLogin, login.login_id, with_for_update=True)
    row.token_hash = token_hash(token, PURPOSE)
    return login_cookie(
        settings, cookie_name(settings), token, int((row.expires_at - await now_in(db)).total_seconds())
    )


async def end_login(db: Db, settings: Settings, login: SignedInOperator) -> Cookie:
    """Forget this browser. Returns the cookie that clears the other one."""
    await db.execute(delete(OperatorLogin).where(OperatorLogin.id == login.login_id))
    await record_of_platform(db, login.operator, Action.OPERATOR_SIGNED_OUT)
    return login_cookie(settings, cookie_name(settings), "", 0)


async def operator_of(request: AnyRequest, db: Db, wiring: Wiring) -> SignedInOperator | None:
    """The operator of this request's cookie; with one, the platform's account is set."""
    token = request.cookies.get(cookie_name(wiring.settings))
    if not token:
        return None
    await set_account(db, PLATFORM)
    found = await db.execute(
        select(OperatorLogin, Operator)
        .join(Operator, Operator.id == OperatorLogin.operator_id)
        .where(OperatorLogin.token_hash == token_hash(token, PURPOSE), OperatorLogin.expires_at > func.now())
    )
    row = found.first()
    if row is None:
        return None
    login, operator = row
    return SignedInOperator(
        login_id=login.id,
        operator=PersonId(operator.id),
        name=wiring.columns.open(PLATFORM, PersonId(operator.id), NAME_FIELD, operator.name),
        proven=login.passkey_at is not None,
    )


async def require_operator(request: AnyRequest, db: Db, wiring: Wiring) -> SignedInOperator:
    """An operator who showed a passkey; for everybody else there is no such page. Raises NotThere."""
    operator = await operator_of(request, db, wiring)
    if operator is None or not operator.proven:
        raise NotThere
    return operator
