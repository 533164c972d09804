import asyncio

from backends.slurm.ssh.channels import AT_MOST, Channels


async def test_at_most_six_at_once() -> None:
    channels, most = Channels(), 0

    async def command() -> None:
        nonlocal most
        async with channels:
            most = max(most, channels.in_use)
            await asyncio.sleep(0)

    await asyncio.gather(*(command() for _ in range(50)))
    assert most == AT_MOST == 6
    assert channels.in_use == 0


async def test_shrinks_to_what_the_server_takes() -> None:
    channels = Channels()
    for _ in range(3):
        await channels.__aenter__()
    assert channels.refused(), "two others are open: one of them will end"
    assert channels.limit == 2
    for _ in range(3):
        await channels.__aexit__(None, None, None)
    async with channels:
        assert not channels.refused(), "refused alone: waiting for ourselves would be for ever"
    assert channels.limit == 1


async def test_cancelled_waiter_gives_its_turn_to_the_next() -> None:
    channels = Channels(1)
    await channels.__aenter__()

    async def enter() -> None:
        await channels.__aenter__()

    first, second = asyncio.create_task(enter()), asyncio.create_task(enter())
    await asyncio.sleep(0)
    await channels.__aexit__(None, None, None)  # the turn is handed to the first while it is being cancelled
    first.cancel()
    await asyncio.wait_for(second, 1)
    assert channels.in_use == 1
    assert first.cancelled()
