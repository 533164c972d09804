"""A dry run and the run itself carry what its site has to say."""

from sqlalchemy import update

from gateway.connections.rows import Connection
from gateway.runs.preview import preview
from gateway.runs.rows import Manifest
from gateway.sites.rows import Site
from tests.gateway.engine.yard import Yard

CHECK = {"ok": True, "site": {"queues": [{"name": "batch", "default": True, "cpusPerNode": 48}]}}


async def test_warnings_of_the_site_in_preview_and_run(yard: Yard) -> None:
    async with yard.db.transaction() as session:
        values = {"compute_nodes_reach_gateway": "no", "tracking": "direct", "whole_nodes_charged": True}
        await session.execute(update(Site).values(**values))
        await session.execute(update(Connection).values(last_check=CHECK))
    config = {"Resources": {"Queue": "batch", "Nodes": 2, "TasksPerNode": 1, "CPUsPerTask": 4}}
    said = [
        "Compute nodes of site fake do not reach the gateway: what the code logs to MLflow stays in files of the "
        "run on the site, outputs/mlruns, and does not show in MLflow. With `Tracking: local` it does.",
        "Site fake charges 2 whole nodes: the run takes 4 of 48 CPUs of each.",
    ]
    body = yard.body(config=config)
    doors = (yard.db, yard.context.settings, yard.context.planner, yard.caller, yard.project_id)
    assert (await preview(*doors, body)).warnings[-2:] == said
    run_id = await yard.submit(config=config)
    await yard.engine()
    await yard.until_quiet(run_id)
    async with yard.db.reading() as session:
        assert (await session.get_one(Manifest, run_id)).warnings[-2:] == said
