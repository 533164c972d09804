"""Tokens and users."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from gateway.schemas.wire import Body, Wire


class CreateTokens(BaseModel):
    """Body of POST /mantik/tokens/create (published names). The password may be a personal API token."""

    username: str = Field(min_length=1, max_length=200)
    password: str = Field(min_length=1, max_length=1000, repr=False)


class RefreshTokens(BaseModel):
    """Body of POST /mantik/tokens/refresh (published names)."""

    username: str = Field(min_length=1, max_length=200)
    refresh_token: str = Field(min_length=1, max_length=1000, repr=False)


class Tokens(BaseModel):
    """Published names, in PascalCase. `ExpiresAt` is that of the access token."""

    model_config = ConfigDict(populate_by_name=True)
    access_token: str = Field(alias="AccessToken", repr=False)
    refresh_token: str | None = Field(default=None, alias="RefreshToken", repr=False)
    expires_at: datetime = Field(alias="ExpiresAt")


class UserView(Wire):
    user_id: UUID
    name: str


class UserDetails(UserView):
    """What stands below the name is null where the caller is no admin."""

    is_admin: bool | None
    disabled_at: datetime | None
    """Set while the user may not log in."""
    created_at: datetime | None


class Me(UserView):
    is_admin: bool


class CreateUser(Body):
    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\s:/]+$")
    password: str = Field(min_length=12, max_length=1000, repr=False)
    is_admin: bool = False


class CreateApiToken(Body):
    name: str = Field(min_length=1, max_length=200)
    expires_at: datetime | None = None


class ApiTokenView(Wire):
    token_id: UUID
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewApiToken(ApiTokenView):
    """The only answer that holds the token itself."""

    token: str = Field(repr=False)
