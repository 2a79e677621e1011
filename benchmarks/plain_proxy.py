"""A reverse proxy of Starlette, uvicorn and httpx2 as one would write it in an hour: the peer of bench_handler.

argv: port, address of the engine.
"""

import sys

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

client = httpx2.AsyncClient(base_url=sys.argv[2], timeout=None)


async def forward(request: Request) -> StreamingResponse:
    headers = [(name, value) for name, value in request.headers.raw if name not in (b"host", b"connection")]
    asked = client.build_request(request.method, request.url.path, headers=headers, content=await request.body())
    answer = await client.send(asked, stream=True)
    dropped = ("connection", "transfer-encoding")
    kept = {name: value for name, value in answer.headers.items() if name.lower() not in dropped}
    return StreamingResponse(answer.aiter_raw(), answer.status_code, headers=kept)


app = Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "POST"])])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", timeout_keep_alive=75)
