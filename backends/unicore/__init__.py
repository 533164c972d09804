"""Sites behind a UNICORE/X server, by its REST API."""

from backends.unicore.kind import UnicoreKind

kind = UnicoreKind()
__all__ = ["kind"]
