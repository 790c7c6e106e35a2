"""Every refusal of this server, in OpenAI's shape: `{"error": {message, type, param, code}}`."""

import msgspec
from litestar import Response
from litestar.enums import MediaType


class Problem(Exception):  # noqa: N818 - the word of the protocol's readers; raised to end a request
    """`param` names the field at fault; `message` may be shown to the sender."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.retry_s = status, message, param, code, retry_s

    def __repr__(self) -> str:
        return f"Problem({self.status}, {self.message!r}, param={self.param!r}, code={self.code!r})"

    def response(self) -> Response[bytes]:
        kind = {429: "rate_limit_error"}.get(
            self.status, "invalid_request_error" if self.status < 500 else "server_error"
        )
        body = {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}
        headers = {} if self.retry_s is None else {"retry-after": str(self.retry_s)}
        return Response(msgspec.json.encode(body), media_type=MediaType.JSON, status_code=self.status, headers=headers)
