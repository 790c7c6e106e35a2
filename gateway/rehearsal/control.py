"""The pages at `/rehearsal`: what was billed, what was said, and the script of what goes wrong."""

import msgspec

from gateway.rehearsal.backstage import Backstage
from gateway.rehearsal.exchange import JsonObject, Provider, Reply, Request, json_reply, text_reply
from gateway.rehearsal.faults import Fault, Script
from gateway.rehearsal.log import Log
from gateway.rehearsal.runflow import Runflow
from gateway.rehearsal.runware import Runware

USAGE = 'Send {"fault": "busy", "times": 3} or a list of such objects; GET /rehearsal names every fault.'


class Control:
    def __init__(self, backstage: Backstage, runware: Runware, runflow: Runflow, log: Log) -> None:
        self._stage = backstage
        self._runware = runware
        self._runflow = runflow
        self._log = log

    def answer(self, request: Request) -> Reply:
        match (request.method, *request.path.strip("/").split("/")):
            case ("GET", "rehearsal"):
                return text_reply(200, self.summary())
            case ("DELETE", "rehearsal"):
                self.reset()
                return Reply(204)
            case ("GET", "rehearsal", "bill"):
                return json_reply(200, self._bill())
            case ("GET", "rehearsal", "log"):
                return json_reply(200, {"exchanges": self._log.exchanges})
            case ("GET", "rehearsal", "faults"):
                return json_reply(200, self._scripts())
            case ("PUT", "rehearsal", "faults", provider):
                return self._put(provider, request.body)
            case ("DELETE", "rehearsal", "faults", *provider) if len(provider) < 2:
                return self._delete(*provider)
            case _:
                return json_reply(404, {"error": "There is nothing at this address; see GET /rehearsal."})

    def reset(self) -> None:
        """Forget everything: scripts, bill, log, tasks, pictures."""
        self._stage.faults.reset()
        stage = self._stage
        for kept in (stage.bill, stage.files, stage.callbacks, self._log, self._runware, self._runflow):
            kept.clear()

    def summary(self) -> str:
        lines = ["Kontext rehearsal: stand-ins for Runware (/runware/v1) and Runflow (/runflow).", "", "Bill"]
        for provider in Provider:
            total = self._stage.bill.total(provider)
            dollars = f"${total.cost_micro_usd / 1_000_000:.6f}"
            lines.append(f"  {provider:<8} {total.charges:>6} charges {total.pictures:>6} pictures {dollars:>14}")
        lines.append(f"  paid twice: {', '.join(self._stage.bill.paid_twice()) or 'nothing'}")
        lines += ["", f"Log: {len(self._log.exchanges)} exchanges", "", "Script"]
        lines += [f"  {provider:<8} {_line(script)}" for provider, script in self._stage.faults.scripted()] or [
            "  none"
        ]
        lines += ["", f"Faults for PUT /rehearsal/faults/{{provider}}. {USAGE}"]
        lines += [f"  {fault.value:<20} {fault.__doc__}" for fault in Fault]
        return "\n".join([*lines, ""])

    def _bill(self) -> JsonObject:
        bill = self._stage.bill
        totals = {provider.value: bill.total(provider) for provider in Provider} | {"all": bill.total()}
        return {"entries": bill.entries, "totals": totals, "paid_twice": bill.paid_twice()}

    def _scripts(self) -> JsonObject:
        scripted = self._stage.faults.scripted()
        return {provider.value: [script for whose, script in scripted if whose is provider] for provider in Provider}

    def _put(self, provider: str, body: bytes) -> Reply:
        if provider not in set(Provider):
            return json_reply(404, {"error": f"No provider {provider!r}: send one of {', '.join(Provider)}."})
        try:
            scripts = msgspec.json.decode(body, type=list[Script] | Script)
        except msgspec.DecodeError as wrong:
            return json_reply(422, {"error": f"{wrong}. {USAGE}"})
        self._stage.faults.put(provider, [scripts] if isinstance(scripts, Script) else scripts)
        return json_reply(200, self._scripts())

    def _delete(self, provider: str | None = None) -> Reply:
        if provider not in {None, *Provider}:
            return json_reply(404, {"error": f"No provider {provider!r}: send one of {', '.join(Provider)}."})
        self._stage.faults.reset(provider)
        return Reply(204)


def _line(script: Script) -> str:
    times = "until reset" if script.times is None else f"{script.times} times"
    only = [f"{name} {value}" for name in ("model", "step", "seconds") if (value := getattr(script, name)) is not None]
    return " ".join([script.fault.value, times, *only])
