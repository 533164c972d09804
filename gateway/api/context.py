"""The doors that the API works with."""

from gateway.context import Context as Context
