"""The one way out of the gateway: checked and pinned addresses, one deadline per call, byte caps, and errors that say
whether the request was sent. Nothing else in the gateway opens a connection to the outside.
"""

from gateway.egress.egress import AsgiApp, Body, Egress
from gateway.egress.errors import AnswerRefused, EgressError, MaybeSent, NotSent, Reason, Refusal, Refused
from gateway.egress.profiles import INPUT, PROVIDER, RESULT, WEBHOOK, Profile
from gateway.egress.resolver import Lookup

__all__ = [
    "INPUT",
    "PROVIDER",
    "RESULT",
    "WEBHOOK",
    "AnswerRefused",
    "AsgiApp",
    "Body",
    "Egress",
    "EgressError",
    "Lookup",
    "MaybeSent",
    "NotSent",
    "Profile",
    "Reason",
    "Refusal",
    "Refused",
]
