"""Open pages of `bench.push`, in a process of their own as browsers are; they notice when a code is shown.

Reads one JSON object from standard input, `{"url": …, "tokens": […]}`, and prints `open` when every page has
its first frame. Prints a list for each page when standard input ends: `[number of the code, time]` for each,
the time by the machine's monotonic clock, which all processes share.
"""

import asyncio
import json
import sys
import time

import aiohttp

Shown = list[tuple[int, float]]
MARK = "#2@ref"  # what stands before the number of a code


async def follow(url: str, token: str, opened: asyncio.Event, shown: Shown) -> None:
    """Read one page's frames for ever."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/ws/marketplace/", headers=headers) as channel,
    ):
        async for frame in channel:
            came = time.perf_counter()
            opened.set()
            if '"event": "qr-update"' in frame.data and MARK in frame.data:
                shown.append((int(frame.data.partition(MARK)[2].partition(",")[0]), came))


async def main() -> None:
    """Follow all pages until standard input ends."""
    wanted = json.loads(sys.stdin.readline())
    opened = [asyncio.Event() for _ in wanted["tokens"]]
    shown: list[Shown] = [[] for _ in wanted["tokens"]]
    pages = zip(wanted["tokens"], opened, shown, strict=True)
    following = [asyncio.create_task(follow(wanted["url"], *page)) for page in pages]
    await asyncio.wait_for(asyncio.gather(*(event.wait() for event in opened)), 120)
    print("open", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    print(json.dumps(shown), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
