"""The version of the installed package."""

from importlib.metadata import version

NAME = "mantik-gateway"
VERSION = version(NAME)
