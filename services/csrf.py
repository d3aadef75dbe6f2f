"""Pages of other sites may not post here: a browser sends their forms to any address that its user can reach."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from limelight.services.cors import is_listed, is_own_or_listed

_OTHERS = ("cross-site", "same-site")
"""What browsers say in Sec-Fetch-Site of pages of other origins; programs say nothing."""


class CsrfProtection:
    """Refuses what pages of other origins post, with 403, unless they are among those that CORS admits.

    Without CORS they could not read the answer, but have pictures and videos decoded and computed.
    """

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        """
        Args:
            origins: as `as_origin` returns them.
        """
        self._app, self._origins = app, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and not self._may_post(Headers(scope=scope)):
            reason = "a page of another site may not post here, unless LIMELIGHT_CORS_ORIGINS lists its origin"
            await JSONResponse({"error": reason}, HTTPStatus.FORBIDDEN)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _may_post(self, headers: Headers) -> bool:
        site = headers.get("sec-fetch-site")
        if site is None:  # older browsers, all of them over plain HTTP elsewhere than on localhost, and programs
            return is_own_or_listed(headers, self._origins)
        return site not in _OTHERS or is_listed(headers.get("origin", ""), self._origins)
