"""What a machine sends to the boot service, read no further and no longer than it may be.

Who sends a piece and then stays holds a place of those that are answered at once: for a while, not
for ever. So does a server whose power was cut while it told something.
"""

import asyncio
from typing import Any

SECONDS = 30.0
"""For a whole body: the longest is 1 MiB, over a wire that carries an installer."""


class Refusal(Exception):
    """An answer that is not the wanted one; `counted` is its name in /healthz."""

    def __init__(self, status: int, counted: str, text: str) -> None:
        super().__init__(text)
        self.status, self.counted, self.text = status, counted, text


async def body_of(request: Any, most: int) -> bytes:
    """The body, of at most `most` bytes."""
    from starlette.requests import ClientDisconnect

    body = b""
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise Refusal(413, "oversize", f"at most {most} bytes")
    except TimeoutError:
        raise Refusal(408, "slow", f"all of it within {SECONDS:g} s") from None
    except ClientDisconnect:
        raise Refusal(400, "broken_off", "") from None
    return body
