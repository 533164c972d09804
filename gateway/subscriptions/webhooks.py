"""The one door to webhooks. Users name these addresses, so what holds for git hosts holds here:
docs/explanation/decisions/0009-outbound-git.md."""

import asyncio
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import httpx

from gateway import clock
from gateway.errors import InvalidInput
from gateway.git_hosts import GitHosts, PrivateHost, look_up
from gateway.subscriptions.message import Message, Receipt
from gateway.subscriptions.signature import headers

SETTING = "MANTIK_ALLOWED_WEBHOOK_HOSTS"
ANSWER_SECONDS = 15.0
MOST_ANSWER = 1000
"""Bytes that are read of an answer."""
LOOK_UPS_AT_ONCE = 16
_TIMEOUT = httpx.Timeout(ANSWER_SECONDS, connect=5.0)


def hosts_of(allowed: Sequence[str] = ()) -> GitHosts:
    """What the operator allows. Names are looked up in threads of their own: a slow one holds up only webhooks."""
    threads = ThreadPoolExecutor(LOOK_UPS_AT_ONCE, "webhooks")
    return GitHosts(allowed, partial(look_up, threads=threads), SETTING)


class Webhooks:
    """Sends signed messages to public hosts and those that the operator names. One for a process."""

    def __init__(self, hosts: GitHosts | None = None, trusted: ssl.SSLContext | None = None) -> None:
        """`trusted`: whose certificates are taken; the system's by default."""
        self._hosts = hosts or hosts_of()
        self._trusted = trusted

    def check_url(self, url: str) -> str:
        """The URL. Raises InvalidInput that says what to write."""
        parts = _parts(url)
        if parts is None or not parts.hostname:
            raise InvalidInput("url: this is no address. Give https://host/path.")
        if parts.username is not None or parts.fragment:
            raise InvalidInput("url: leave out user names, and what follows `#`.")
        if parts.scheme != "https" and not (parts.scheme == "http" and self._is_ours(parts.hostname)):
            raise InvalidInput("url: only https is taken. Give https://host/path.")
        if self._hosts.allowed and not self._hosts.named(parts.hostname):
            raise InvalidInput(f"url: the gateway tells these hosts only: {', '.join(self._hosts.allowed)}.")
        try:
            self._hosts.check(parts.hostname)
        except PrivateHost as error:
            raise InvalidInput(f"url: {error}") from None
        return url

    async def send(self, url: str, secret: str, message: Message) -> Receipt:
        """One try, within ANSWER_SECONDS. Redirects are not followed. Raises nothing for what a receiver can do."""
        try:
            parts = urlsplit(self.check_url(url))
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._anywhere(parts, secret, message)
        except (InvalidInput, PrivateHost) as error:
            return Receipt(False, problem=f"It was not sent: {error}")
        except TimeoutError:
            return Receipt(False, problem=f"The receiver did not answer within {ANSWER_SECONDS:.0f} s.")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Receipt(False, problem=f"The receiver could not be reached: {_words(error)}.")

    async def _anywhere(self, parts: SplitResult, secret: str, message: Message) -> Receipt:
        host = parts.hostname or ""
        addresses = await self._hosts.addresses(host) or await self._hosts.look_up(host)
        for address in addresses[:-1]:
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._sent(parts, address, secret, message)
        return await self._sent(parts, addresses[-1], secret, message)

    async def _sent(self, parts: SplitResult, address: str, secret: str, message: Message) -> Receipt:
        """To the address that was judged, in the name of the host: the name may mean another by now."""
        shown = f"[{address}]" if ":" in address else address
        there = parts._replace(netloc=shown + (f":{parts.port}" if parts.port else "")).geturl()
        body = message.body()
        sent = {"Host": parts.netloc, "Content-Type": "application/json", "User-Agent": "mantik-gateway"}
        sent |= headers(secret, message.id, clock.now(), body)
        async with (
            httpx.AsyncClient(verify=self._authorities(), timeout=_TIMEOUT, trust_env=False) as client,
            client.stream(
                "POST", there, content=body, headers=sent, extensions={"sni_hostname": parts.hostname or ""}
            ) as answer,
        ):
            return _receipt(answer.status_code, await _beginning(answer))

    def _authorities(self) -> ssl.SSLContext:
        """Read when they are needed first, for that takes a while and most gateways tell nobody."""
        if self._trusted is None:
            self._trusted = ssl.create_default_context()
        return self._trusted

    def _is_ours(self, host: str) -> bool:
        """The operator named this machine: what goes there stays there."""
        try:
            return self._hosts.named(host) and ip_address(host).is_loopback
        except ValueError:
            return False


async def _beginning(answer: httpx.Response) -> str:
    read = bytearray()
    async for part in answer.aiter_raw(MOST_ANSWER):
        read += part
        if len(read) >= MOST_ANSWER:
            break
    text = read[:MOST_ANSWER].decode(errors="replace")
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text).strip()


def _receipt(status: int, answer: str) -> Receipt:
    if httpx.codes.is_success(status):
        return Receipt(True, status, answer=answer)
    if status == httpx.codes.GONE:
        problem = "The receiver answered 410 (gone), so that it wants no more messages."
        return Receipt(False, status, problem, answer, final=True, gone=True)
    if httpx.codes.is_redirect(status):
        problem = f"The receiver answered {status}. Redirects are not followed: give the address that it leads to."
        return Receipt(False, status, problem, answer)
    return Receipt(False, status, f"The receiver answered {status}.", answer)


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if url.isascii() and url.isprintable() and " " not in url and (parts.port or 1) > 0 else None
    except ValueError:
        return None


def _words(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300].rstrip(".")
