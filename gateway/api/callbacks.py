"""`POST /callbacks/{provider}/{token}`: a provider says that it is done. Nobody is believed for that: a call whose
address we did not make is turned away before anything is read or looked up; every other one makes us ask the provider
now; only one that the provider signed is read as its answer. The answer tells nothing.
"""

from litestar import post
from litestar.params import FromPath

from adapters.contract import HttpReply
from gateway.api.context import Given
from gateway.api.problems import ProblemError
from gateway.api.requests import AnyRequest

BODY_BYTES = 32_768


@post("/callbacks/{provider:str}/{token:str}", status_code=204, request_max_body_size=BODY_BYTES, tags=["callbacks"])
async def receive_callback(request: AnyRequest, context: Given, provider: FromPath[str], token: FromPath[str]) -> None:
    """For providers alone: that work of theirs has ended. At most 32 kB; 204 for all that we asked for."""
    callback = context.switchboard.caller(provider, token)
    if callback is None:
        raise ProblemError("not_found", "nobody was asked to call here")
    if not context.switchboard.is_heeded(token):
        return None
    body = await request.body()
    record, account = await context.edits.get(callback.edit), context.settings.providers.get(provider)
    if record is None or account is None:
        return context.switchboard.count("late")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return await context.switchboard.connect(callback, record, account, HttpReply(200, headers, body))
