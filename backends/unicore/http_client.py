"""The HTTP client below pyunicore's transport: httpx whose connections aiohttp makes, and what that changes undone."""

import asyncio
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport, HttpxAiohttpClient


class HttpClient(HttpxAiohttpClient):
    """Proxies of the environment count, as for any httpx client."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._cookies = _Cookies(self._cookies)

    def _init_transport(  # type: ignore[override]
        self, *, transport: httpx.AsyncBaseTransport | None = None, **options: Any
    ) -> httpx.AsyncBaseTransport:
        return transport or _Transport(**options)

    def _init_proxy_transport(  # type: ignore[override]
        self, proxy: httpx.Proxy, **options: Any
    ) -> httpx.AsyncBaseTransport:
        return _Transport(proxy=proxy, **options)


class _Cookies(httpx.Cookies):
    def extract_cookies(self, response: httpx.Response) -> None:
        """httpx makes a request and a mail message of the standard library from each answer, to look for a cookie."""
        if "set-cookie" in response.headers:
            super().extract_cookies(response)


CLOSED_WITHIN = 0.05


class _Transport(AiohttpTransport):
    async def aclose(self) -> None:
        """Connections that ended before, idle for too long, say goodbye to the server in the background:
        https://docs.aiohttp.org/en/stable/client_advanced.html#graceful-shutdown"""
        await super().aclose()
        await asyncio.sleep(CLOSED_WITHIN)

    def get_client(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self.limits.max_connections or 0,
            keepalive_timeout=self.limits.keepalive_expiry,
            ssl=self.ssl_context,
        )
        # Cookies are kept by httpx.
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), middlewares=(_path_as_written,)
        )


async def _path_as_written(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """aiohttp writes `%3B` as `;`, after which a server of UNICORE reads parameters, no name."""
    if ";" in request.url.raw_path:
        path = request.url.raw_path.replace(";", "%3B")
        request.url = request.url.with_path(path, encoded=True, keep_query=True)
    return await handler(request)
