"""The words of trained models."""

from enum import StrEnum


class Status(StrEnum):
    PENDING = "PENDING"
    REGISTERED = "REGISTERED"
    FAILED = "FAILED"
    UNREGISTERING = "UNREGISTERING"


MEANINGS = {
    Status.PENDING: "Stored; MLflow's registry is told as soon as it answers.",
    Status.REGISTERED: "As asked for; what lies in MLflow is in its registry.",
    Status.FAILED: "MLflow's registry refused it; the message says why. Rename or unregister it.",
    Status.UNREGISTERING: "It is being taken out of MLflow's registry; then its name is free.",
}
