"""Every table of the product, for migrations and for tests that ask the catalogue."""

from app import audit, audit_heads, jobs, limits
from app.accounts import models as accounts
from app.database import Base
from app.invitations import models as invitations
from app.library import models as library
from app.mail import models as mail
from app.participants import models as participants
from app.privacy.records import models as privacy
from app.room import models as room
from app.sessions import disclosure_models as disclosures
from app.sessions import models as sessions
from app.sessions import response_models as responses
from app.studies import models as studies
from app.support import models as support

metadata = Base.metadata

__all__ = [
    "accounts",
    "audit",
    "audit_heads",
    "disclosures",
    "invitations",
    "jobs",
    "library",
    "limits",
    "mail",
    "metadata",
    "participants",
    "privacy",
    "responses",
    "room",
    "sessions",
    "studies",
    "support",
]
