"""Running a coroutine on the event loop."""

from __future__ import annotations

import asyncio

from holdfast.drivers import loop


def test_the_exit_code_is_what_main_returned() -> None:
    async def main() -> int:
        await asyncio.sleep(0)
        return 3

    assert loop.run(main()) == 3
