"""Every page of this folder's rooms, for app.main."""

from __future__ import annotations

from app.privacy import data_map, promises
from app.privacy.erasing import account_papers, erasure_routes, receipt_routes
from app.privacy.keeping import closing_routes, export_routes, hold_routes, keeping_routes
from app.privacy.rights import (
    answering,
    asked_routes,
    copy_routes,
    disclosure_routes,
    my_address,
    my_data,
    my_requests,
    my_session,
    my_supplements,
    my_words,
    noting_routes,
    request_routes,
    signing_out,
    take_part,
    trail_routes,
)

routers = (
    take_part.router,
    my_data.router,
    answering.router,
    my_requests.router,
    my_words.router,
    my_supplements.router,
    my_session.router,
    my_address.router,
    signing_out.router,
    copy_routes.router,
    data_map.router,
    promises.router,
    receipt_routes.router,
    erasure_routes.router,
    closing_routes.router,
    export_routes.router,
    account_papers.router,
    keeping_routes.router,
    hold_routes.router,
    asked_routes.router,
    noting_routes.router,
    request_routes.router,
    disclosure_routes.router,
    trail_routes.router,
)
