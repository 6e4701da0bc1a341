"""Several things at once."""

import asyncio

import pytest

from base.together import together


async def gives(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def test_results_come_in_order():
    assert await together(gives(number) for number in range(5)) == [0, 1, 2, 3, 4]
    assert await together([]) == []


async def test_when_one_fails_the_others_have_ended():
    ended = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError

    with pytest.raises(LookupError):
        await together([waits(), fails(), waits()])
    assert ended == [True, True]
