"""The backend of this machine: the host backend over child processes, with the process table as its scheduler."""

import os
from dataclasses import replace

from backends.host.backend import HostBackend
from backends.host.local_shell import LocalShell
from backends.host.scheduler import Command, T_co
from backends.local.processes import ProcessTable
from backends.spec import JobSpec, Queue, Site, SiteInfo


class LocalBackend(HostBackend):
    """See `backends.backend.Backend`."""

    has_accounting = False

    def __init__(self, site: Site) -> None:
        super().__init__(LocalShell(), ProcessTable(), site)

    async def check(self) -> SiteInfo:
        info = await super().check()
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        queue = Queue("local", True, max_nodes=1, total_nodes=1, cpus_per_node=os.cpu_count(), memory_per_node=memory)
        return replace(info, version=f"{os.uname().sysname} {os.uname().release}", queues=(queue,))

    def _files(self, spec: JobSpec) -> dict[str, bytes]:
        # The supervisor reads its time limit there.
        submit = "".join(f"{word}\n" for word in spec.job.submit_command)
        return {**super()._files(spec), "submit": submit.encode()}

    async def _ask(self, command: Command[T_co], stdin: bytes = b"") -> T_co:
        # The process table is asked through verbs of the entry script; there is no scheduler's program.
        given = getattr(command, "stdin", stdin)
        verb, *words = command.argv
        if verb == "job":
            words.insert(0, self._site.work_directory)
        done = await self._shell.run(verb, *words, stdin=given)
        return command.parse(done.code, done.stdout.decode(), done.stderr.decode(errors="replace"))
