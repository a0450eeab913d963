"""Everything of support access that has an address."""

from __future__ import annotations

from litestar import Router

from app.support import operator_routes, owner_routes, sign_in_routes

router = Router("/", route_handlers=[*sign_in_routes.handlers, *operator_routes.handlers, *owner_routes.handlers])
