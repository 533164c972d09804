"""Table of secrets, encrypted at rest."""

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.base import Base, WithId


class Secret(WithId, Base):
    __tablename__ = "secrets"
    ciphertext: Mapped[bytes] = mapped_column(LargeBinary)
    key_id: Mapped[str]
    """Which key of the key ring encrypted it; rotation re-encrypts."""
