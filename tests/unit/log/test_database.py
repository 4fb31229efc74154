"""The worker of a database: what is asserted of both is in contracts/."""

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

from shared.log.database import Worker


async def test_a_failure_that_nobody_waits_for_is_quiet() -> None:
    """Who was cancelled hears nothing, and the loop does not complain of a lost exception."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    worker, release = Worker(ThreadPoolExecutor(1)), threading.Event()

    def fails() -> None:
        assert release.wait(timeout=10)
        raise KeyError("mine")

    task = asyncio.create_task(worker.call(fails))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    del task
    release.set()
    await worker.close(lambda: None)
    gc.collect()
    assert complaints == []
