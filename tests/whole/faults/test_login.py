"""A login that the site refuses, a host that is another, a host that is away: runs wait, and go on."""

import pytest

from tests.backends.slurm.ssh.credentials import new_key
from tests.site_fixtures import SlurmSite
from tests.whole.faults.own_site import own_site
from tests.whole.gateway_process import wait_for
from tests.whole.workshop import Workshop

pytestmark = pytest.mark.slurm


def test_wrong_key(faults: Workshop, slurm_site: SlurmSite) -> None:
    with own_site(faults, slurm_site, "wrong key", key=new_key()) as site:
        shown = site.shown()
        assert shown["refusedAt"] is not None
        assert f"127.0.0.1:{site.sshd.port} refused the login of alice" in shown["lastCheck"]["error"]
        run_id = site.submit()
        said = wait_for(lambda: faults.conditions(run_id).get("NEEDS_LOGIN"), 30, lambda: faults.story(run_id))
        assert said.endswith("give a new one to go on.")
        assert "wrong key" in said
        assert faults.run(run_id)["state"] == "PREPARING"
        assert site.sshd.failed_logins() == 1
        site.renew(site.sshd.key)
        run = faults.ended(run_id)
        assert run["state"] == "FINISHED", faults.story(run_id)
        assert "NEEDS_LOGIN" not in faults.conditions(run_id)
        assert site.sshd.failed_logins() == 1


def test_changed_host_key(faults: Workshop, slurm_site: SlurmSite) -> None:
    with own_site(faults, slurm_site, "changed key") as site:
        live = site.submit(entryPoint="waits")
        faults.until(live, "RUNNING")
        site.sshd.stop()
        site.sshd.set_host_key(new_key())
        site.sshd.start()
        logins = site.sshd.logins()
        new = site.submit()
        for run_id in (live, new):
            said = wait_for(
                lambda run_id=run_id: (
                    "host key" in faults.conditions(run_id).get("LOST_CONTACT", "")
                    and faults.conditions(run_id)["LOST_CONTACT"]
                ),
                30,
                lambda run_id=run_id: faults.story(run_id),
            )
            assert f"The host key of 127.0.0.1:{site.sshd.port} is not one that the site lists" in said
            assert "Nothing was sent. Ask the centre whether it changed its key, then confirm the new one." in said
        assert (faults.run(live)["state"], faults.run(new)["state"]) == ("RUNNING", "PREPARING")
        assert (site.sshd.logins(), site.sshd.failed_logins()) == (logins, 0)
        site.change()  # with the key that the host has now
        site.go(live)
        for run_id in (live, new):
            assert faults.ended(run_id)["state"] == "FINISHED", faults.story(run_id)
            assert "LOST_CONTACT" not in faults.conditions(run_id)


def test_revoked_under_live_runs(faults: Workshop, slurm_site: SlurmSite) -> None:
    with own_site(faults, slurm_site, "revoked") as site:
        runs = [site.submit(entryPoint="waits") for _ in range(5)]
        for run_id in runs:
            faults.until(run_id, "RUNNING")
        site.authorize(None)
        site.cut()
        for run_id in runs:
            wait_for(
                lambda run_id=run_id: "NEEDS_LOGIN" in faults.conditions(run_id),
                30,
                lambda run_id=run_id: faults.story(run_id),
            )
        cancelled = runs.pop()
        faults.gateway.call("POST", faults.path("runs", cancelled, "cancel"))
        late = [site.submit(), site.submit()]
        for run_id in late:
            wait_for(
                lambda run_id=run_id: "NEEDS_LOGIN" in faults.conditions(run_id),
                30,
                lambda run_id=run_id: faults.story(run_id),
            )
        assert site.sshd.failed_logins() == 1
        assert {faults.run(run_id)["state"] for run_id in [*runs, cancelled]} == {"RUNNING"}
        key = new_key()
        site.authorize(key)
        site.renew(key)
        for run_id in runs:
            site.go(run_id)
        for run_id in [*runs, *late]:
            assert faults.ended(run_id)["state"] == "FINISHED", faults.story(run_id)
            assert "NEEDS_LOGIN" not in faults.conditions(run_id)
        assert faults.ended(cancelled)["reason"] == "CANCELLED_BY_USER", faults.story(cancelled)
        assert site.sshd.failed_logins() == 1


def test_unreachable_host(faults: Workshop, slurm_site: SlurmSite) -> None:
    with own_site(faults, slurm_site, "away") as site:
        live = site.submit(entryPoint="waits")
        faults.until(live, "RUNNING")
        site.sshd.stop()
        new = site.submit()
        for run_id in (live, new):
            said = wait_for(
                lambda run_id=run_id: faults.conditions(run_id).get("LOST_CONTACT"),
                30,
                lambda run_id=run_id: faults.story(run_id),
            )
            assert f"127.0.0.1:{site.sshd.port}" in said
        assert (faults.run(live)["state"], faults.run(new)["state"]) == ("RUNNING", "PREPARING")
        site.go(live)
        site.sshd.start()
        for run_id in (live, new):
            assert faults.ended(run_id)["state"] == "FINISHED", faults.story(run_id)
            assert "LOST_CONTACT" not in faults.conditions(run_id)
        assert faults.log(live) == b"waiting\nwent on\n"
