"""What a site tells by itself of a job, at an address that it was given for one attempt."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from gateway.api.dependencies import ContextDep, address
from gateway.api.rate import RateLimit
from gateway.errors import NotFound, TooLarge
from gateway.secrets.notification import Told, told_by
from gateway.users.throttle import subject_of_address

router = APIRouter(tags=["notifications"])
MOST_BYTES = 16 << 10
PER_MINUTE = 60
"""Messages about one attempt; its job changes a few times in all."""


def _about(request: Request, context: ContextDep, secret: Annotated[str, Path(max_length=200)]) -> Told:
    about = told_by(context.vault, secret)
    visitors: RateLimit = request.app.state.rate_limit
    told: RateLimit = request.app.state.notification_limit
    if about is None:
        visitors.take(subject_of_address(address(request)))
        raise NotFound("There is nothing to tell at this address.", next_step="Use the one in the job's description.")
    told.take(f"{about.run_id}-{about.attempt}")
    return about


@router.post("/notifications/{secret}", status_code=204, operation_id="tellOfJob")
async def tell_of_job(request: Request, context: ContextDep, about: Annotated[Told, Depends(_about)]) -> None:
    """A site tells that a job changed. The gateway checks that it was the site, and looks at that job itself."""
    body = await request.body()
    if len(body) > MOST_BYTES:
        raise TooLarge(f"The message is too large; the most is {MOST_BYTES} bytes.", next_step="Send the state only.")
    context.tell(about, request.headers.get("authorization", ""), body)
