"""Calls as httpx requests, its answers and failures in our words: what both drivers have alike."""

import httpx

from gateway.client.steps import Call, Form, Json, Lost, Reply

CONNECT_S = 5.0
USER_AGENT = "kontext-client"


class Address:
    """Where the gateway is, and the key for it."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")  # as OpenAI's clients are told it
        self._key = key

    def request(self, http: httpx.Client | httpx.AsyncClient, call: Call) -> httpx.Request:
        """The key goes to the gateway alone: a picture's whole address is signed, and may be another host's."""
        is_own = call.path.startswith("/")
        own = {"authorization": f"Bearer {self._key}"} if is_own and self._key else {}
        body = call.body
        return http.build_request(
            call.method,
            self.url + call.path if is_own else call.path,
            params=call.params or None,
            headers={"user-agent": USER_AGENT, **_content_type(body), **call.headers, **own},
            content=body.content if isinstance(body, Json) else None,
            data=body.fields if isinstance(body, Form) else None,
            files=_files(body),
            timeout=httpx.Timeout(call.patience_s, connect=CONNECT_S),
        )


def _content_type(body: Json | Form | None) -> dict[str, str]:
    return {"content-type": "application/json"} if isinstance(body, Json) else {}


def _files(body: Json | Form | None) -> list[tuple[str, tuple[str, bytes]]] | None:
    """A part is taken for a file where it has a file's name, whatever that is."""
    return [(name, (name, file.content)) for name, file in body.files] if isinstance(body, Form) else None


def reply_of(response: httpx.Response, body: bytes) -> Reply:
    return Reply(response.status_code, dict(response.headers), body)


def lost_of(error: httpx.HTTPError) -> Lost:
    return Lost(type(error).__name__)
