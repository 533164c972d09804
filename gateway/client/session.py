"""One login at one gateway: sends calls with its token, renews it, sends again what may be sent again."""

from pathlib import Path
from typing import TypeVar
from uuid import UUID

from gateway.client import answers
from gateway.client.address import Login
from gateway.client.call import Call, get
from gateway.client.flow import Answer, Failure, Flow, Pause
from gateway.client.retries import Retries
from gateway.client.tokens import StoredLogin, TokenFile
from gateway.errors import InvalidInput, Unauthenticated
from gateway.schemas.users import CreateTokens, Me, RefreshTokens, Tokens

T = TypeVar("T")

_AGAIN = "Log in with mantik login, or set MANTIK_USERNAME and MANTIK_PASSWORD."
_LOCK_WAITS = 100
_LOCK_SECONDS = 0.1


class Session:
    """`token` is used as it is and never renewed."""

    def __init__(
        self,
        api_url: str,
        login: Login,
        *,
        token: str | None = None,
        retries: Retries | None = None,
        token_directory: Path | None = None,
    ) -> None:
        self.api_url = api_url
        self.retries = retries or Retries()
        self.ids: dict[tuple[str, str], UUID] = {}
        """Ids found by name: (listing, name)."""
        self._login = login
        self._fixed = token
        self._directory = token_directory
        self._file = TokenFile(api_url, login.username if login.password else None, token_directory)
        self._stored: StoredLogin | None = None
        self._me: Me | None = None

    def perform(self, call: Call[T]) -> Flow[T]:
        """Do a call. Raises the classes of `gateway.errors`."""
        answer = yield from self.open(call)
        return answers.read(answer, call.read)

    def open(self, call: Call[T]) -> Flow[Answer]:
        """As `perform`, up to the answer."""
        token = self._fixed
        if token is None:
            token = yield from self._token()
        answer = yield from self._sent(call, token)
        if answer.status == 401 and self._fixed is None:
            token = yield from self._renewed(token)
            answer = yield from self._sent(call, token)
        if answer.status == 401:
            raise Unauthenticated("The gateway does not accept this login.", next_step=_AGAIN)
        if answer.status >= 300:
            raise answers.problem(answer)
        return answer

    def me(self) -> Flow[Me]:
        """Who we are there; asked once."""
        if self._me is None:
            self._me = yield from self.perform(get("/users/me", Me))
        return self._me

    def log_in(self, username: str, password: str) -> Flow[Me]:
        """Log in and keep the tokens (never the password)."""
        self._file = TokenFile(self.api_url, None, self._directory)
        self._login, self._me = Login(username, password), None
        yield from self._created()
        self._login = Login(username)
        return (yield from self.me())

    def log_out(self) -> bool:
        """Forget the stored login; whether there was one."""
        self._login, self._stored, self._me = Login(), None, None
        return self._file.remove()

    def _token(self) -> Flow[str]:
        self._stored = self._stored or self._file.load()
        if self._stored is not None and self._login.username not in (None, self._stored.username):
            self._stored = None  # of another user
        if self._stored is None:
            yield from self._created()
        if self._stored is None:
            raise Unauthenticated("You are not logged in.", next_step=_AGAIN)
        return self._stored.access_token

    def _renewed(self, refused: str) -> Flow[str]:
        """Another token than the refused one; one process renews, the others take what it stored."""
        for _ in range(_LOCK_WAITS):
            with self._file.try_lock() as ours:
                stored = self._file.load() or self._stored
                if stored is not None and stored.access_token != refused:
                    self._stored = stored
                    return stored.access_token
                if ours:
                    self._stored = stored
                    yield from self._refreshed()
                    return (yield from self._token())
            yield Pause(_LOCK_SECONDS)
        raise Unauthenticated("Another process is renewing this login and does not end.", next_step=_AGAIN)

    def _refreshed(self) -> Flow[None]:
        stored = self._stored
        if stored is not None and stored.refresh_token:
            body = RefreshTokens(username=stored.username, refresh_token=stored.refresh_token)
            path = "/mantik/tokens/refresh"
            call = Call("POST", path, Tokens.model_validate_json, body=body, repeatable=True)
            answer = yield from self._sent(call, None)
            if answer.status not in (400, 401):
                new = answers.read(answer, call.read)
                self._keep(stored.username, new, stored.refresh_token)
                return
        if self._login.password is None:
            raise Unauthenticated("Your login has ended.", next_step=_AGAIN)
        yield from self._created()

    def _created(self) -> Flow[None]:
        """Log in by password, where we have one."""
        username, password = self._login.username, self._login.password
        if username is None and password is None:
            return
        if username is None or password is None:
            missing = "MANTIK_USERNAME" if username is None else "MANTIK_PASSWORD"
            raise InvalidInput(f"{missing} is not set.", next_step="Set it, or run mantik login.")
        body = CreateTokens(username=username, password=password)
        call = Call("POST", "/mantik/tokens/create", Tokens.model_validate_json, body=body, repeatable=True)
        answer = yield from self._sent(call, None)
        if answer.status == 401:
            raise Unauthenticated(
                f"The gateway does not accept this password of {username}.",
                next_step="Check MANTIK_USERNAME and MANTIK_PASSWORD, or run mantik login.",
            )
        self._keep(username, answers.read(answer, call.read), None)

    def _keep(self, username: str, new: Tokens, refresh_token: str | None) -> None:
        self._stored = StoredLogin(username, new.access_token, new.refresh_token or refresh_token)
        self._file.save(self._stored)

    def _sent(self, call: Call[T], token: str | None) -> Flow[Answer]:
        request = call.request(token)
        attempt = 0
        while True:
            got = yield request
            if not isinstance(got, Answer | Failure):
                raise TypeError("a request was answered with nothing")
            pause = self.retries.pause(attempt, got, may_repeat=call.may_repeat)
            if pause is None:
                break
            yield Pause(pause)
            attempt += 1
        if isinstance(got, Failure):
            raise answers.unanswered(got, self.api_url) from None
        return got
