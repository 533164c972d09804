"""Secrets of webhooks, and signatures with them: https://github.com/standard-webhooks/standard-webhooks."""

import base64
import hashlib
import hmac
import os
from datetime import datetime

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """Random, in the form in which receivers take it."""
    return PREFIX + base64.b64encode(os.urandom(SECRET_BYTES)).decode()


def headers(secret: str, message_id: object, at: datetime, body: bytes) -> dict[str, str]:
    """Id, time of this try in seconds, and HMAC-SHA256 of `id.time.body`."""
    seconds = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = hmac.digest(key, f"{message_id}.{seconds}.".encode() + body, hashlib.sha256)
    signature = f"v1,{base64.b64encode(signed).decode()}"
    return {"webhook-id": str(message_id), "webhook-timestamp": seconds, "webhook-signature": signature}
