"""The fence of a job that the server forgot: one that was killed may lose a job, or keep an empty shell of it.

The directory stays on the site's disk, and maybe a copy in the batch system. The login node still reaches it there."""

import asyncio
from contextlib import suppress

from backends.errors import BackendError, SiteUnavailable
from backends.unicore.files import Directory
from backends.unicore.jobs import Jobs
from backends.unicore.transport import Channel

SECONDS = 60.0
_SCRIPT = """\
cd .. && ls >/dev/null || exit 3
if ! cd -- {job} 2>/dev/null; then
  [ ! -e {job} ] || exit 3
  echo gone
  exit 0
fi
mv -T -- ticket fence.revoked 2>/dev/null
set -- fence.*
[ -e "$1" ] || : >fence.revoked
echo fences
for fence in fence.*; do echo "${{fence#fence.}}"; done
"""
"""In a directory beside that of the job, whose name holds letters, digits, `_` and `-` only."""


async def seize_on_login_node(channel: Channel, jobs: Jobs, job: str) -> list[str] | None:
    """Seize the fence in the directory of `job`; whose fences stand there then, None when the directory is gone.

    Raises SiteUnavailable when the site does not run it: nothing is known then."""
    helper = await jobs.make(
        {
            "Executable": "/bin/sh",
            "Arguments": ["seize.sh"],
            "Job type": "on_login_node",
            "Imports": [{"From": "inline://seize.sh", "To": "seize.sh", "Data": _SCRIPT.format(job=job)}],
            "Name": "mantik.seize",
            "Tags": ["mantik", "mantik-seize"],
        }
    )
    try:
        async with asyncio.timeout(SECONDS):
            look = await jobs.look(helper)
            while not look.ended:
                await asyncio.sleep(0.2)
                look = await jobs.look(helper)
        lines = (await Directory(channel, helper).read("stdout", 0, 1 << 16)).decode(errors="replace").split()
    except TimeoutError:
        raise SiteUnavailable(f"The login node did not look at the fence within {SECONDS:g} s.") from None
    finally:
        with suppress(BackendError):
            await jobs.remove(helper)
    if look.exit_code == 0 and lines == ["gone"]:
        return None
    if look.exit_code != 0 or lines[:1] != ["fences"] or len(lines) < 2:
        raise SiteUnavailable(f"The login node could not look at the fence: {look.message or lines}")
    return lines[1:]
