"""`/admin/providers`: how each provider is doing, and taking one out of service and back. Nothing here touches the
configuration: a drain lies in the store, holds for every replica, and is logged with who asked and why."""

from typing import Annotated, Literal

import msgspec
from litestar import get, post
from litestar.params import FromPath
from msgspec import Meta, Struct

from adapters.contract import Load, ServerState
from gateway.api.audit import keep
from gateway.api.context import Context, Given
from gateway.api.problems import ProblemError
from gateway.api.requests import AnyRequest
from gateway.clock import iso
from gateway.observe import log
from gateway.settings import Provider
from policies.circuit import State


class Note(Struct, frozen=True, forbid_unknown_fields=True):
    """Why, for whoever reads the log."""

    note: Annotated[str, Meta(min_length=3, max_length=500)]


class CircuitAnswer(Struct, frozen=True, kw_only=True):
    """The circuit of an offer, or of the provider's account (`name` is the provider's). `until`: when it is tried
    again; null where it has no wait."""

    name: str
    state: State
    since: str | None
    until: str | None
    ejections: int


class DrainAnswer(Struct, frozen=True, kw_only=True):
    by: str
    at: str
    note: str


class ServerAnswer(Struct, frozen=True, kw_only=True):
    """What a server of one's own said of itself a moment ago: `running` is null where it tells no queue."""

    state: ServerState
    engine: str | None
    running: int | None
    waiting: int
    seconds_per_edit: float | None


class ProviderAnswer(Struct, frozen=True, kw_only=True):
    """`state`: `drained`, else `sick` where the account or one of its offers is not let through, else `ok`. `in_use` of
    `slots` attempts are open there, as far as this replica knows. `server`: null where none is asked, or has said
    nothing lately."""

    name: str
    state: Literal["ok", "sick", "drained"]
    drained: DrainAnswer | None
    in_use: int
    slots: int
    circuits: tuple[CircuitAnswer, ...]
    server: ServerAnswer | None


@get("/admin/providers", tags=["admin"])
async def list_providers(request: AnyRequest, context: Given) -> list[ProviderAnswer]:
    """Every configured provider: its circuits, its open attempts, and whether an operator drained it."""
    context.gate.caller(request, "admin")
    return [_provider(context, provider) for provider in context.settings.providers.values()]


@post("/admin/providers/{name:str}/drain", status_code=200, tags=["admin"])
async def drain_provider(request: AnyRequest, context: Given, name: FromPath[str]) -> ProviderAnswer:
    """Sends nothing new there; what runs goes on. Body: `{"note": "why"}`. Other replicas follow within seconds."""
    key = context.gate.caller(request, "admin")
    provider, note = _known(context, name), _note(await request.body())
    by = await keep(context, key, "drain a provider", name, note)
    await context.health.drain(name, by, note)
    log.warning("provider_drained", provider=name, by=by, note=note)
    return _provider(context, provider)


@post("/admin/providers/{name:str}/restore", status_code=200, tags=["admin"])
async def restore_provider(request: AnyRequest, context: Given, name: FromPath[str]) -> ProviderAnswer:
    """Back in service, with its circuits closed: also the cure of a refused key or an empty account that is mended.
    Body: `{"note": "why"}`."""
    key = context.gate.caller(request, "admin")
    provider, note = _known(context, name), _note(await request.body())
    by = await keep(context, key, "restore a provider", name, note)
    await context.health.restore(name)
    log.warning("provider_restored", provider=name, by=by, note=note)
    return _provider(context, provider)


def _known(context: Context, name: str) -> Provider:
    provider = context.settings.providers.get(name)
    if provider is None:
        names = ", ".join(sorted(context.settings.providers))
        raise ProblemError("not_found", "there is no such provider", expected=f"one of {names}")
    return provider


def _note(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Note).note
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProblemError("malformed", f"the body is not a note: {error}", expected='{"note": "why"}') from None


def _provider(context: Context, provider: Provider) -> ProviderAnswer:
    circuits = tuple(_circuit(context, name) for name in (provider.name, *(one.name for one in provider.offers)))
    drain = context.health.drained.get(provider.name)
    sick = any(circuit.state is not State.CLOSED for circuit in circuits)
    return ProviderAnswer(
        name=provider.name,
        state="drained" if drain else "sick" if sick else "ok",
        drained=DrainAnswer(by=drain.by, at=iso(drain.at_ms), note=drain.note) if drain else None,
        in_use=context.health.in_use(provider.name),
        slots=provider.max_concurrency,
        circuits=circuits,
        server=_server(context.health.load(provider.name)),
    )


def _server(load: Load | None) -> ServerAnswer | None:
    if load is None:
        return None
    return ServerAnswer(
        state=load.state,
        engine=load.engine,
        running=load.running,
        waiting=load.waiting,
        seconds_per_edit=load.edit_s,
    )


def _circuit(context: Context, name: str) -> CircuitAnswer:
    circuit = context.health.circuit(name)
    return CircuitAnswer(
        name=name,
        state=circuit.state,
        since=iso(round(circuit.since_s * 1000)) if circuit.since_s else None,
        until=iso(round(circuit.until_s * 1000)) if circuit.until_s else None,
        ejections=circuit.ejections,
    )
