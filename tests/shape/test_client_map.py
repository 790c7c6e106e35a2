"""What the gateway serves and takes, the client reads and sends: whoever adds a field adds it to both."""

import msgspec
import pytest

from gateway.api.answers import CostAnswer, EditAnswer, ErrorAnswer, ImageAnswer
from gateway.api.models import ModelAnswer, PriceAnswer
from gateway.api.problems import KINDS
from gateway.api.quotes import BudgetAnswer, QuoteAnswer, QuotedExclusion, QuotedOffer
from gateway.api.requests import EditRequest
from gateway.api.routing import AttemptAnswer, CandidateAnswer, RoutingAnswer
from gateway.api.uploads import UploadAnswer
from gateway.client.edits import Attempt, Candidate, Cost, Edit, EditProblem, Image, Routing
from gateway.client.errors import BY_KIND, BY_STATUS
from gateway.client.models import Model, Price
from gateway.client.quotes import Budget, Exclusion, Quote
from gateway.client.quotes import QuotedOffer as Offered
from gateway.client.uploads import Upload
from gateway.client.wishes import Fields

PAIRS: list[tuple[type[msgspec.Struct], type[msgspec.Struct]]] = [
    (EditAnswer, Edit),
    (ImageAnswer, Image),
    (CostAnswer, Cost),
    (ErrorAnswer, EditProblem),
    (RoutingAnswer, Routing),
    (CandidateAnswer, Candidate),
    (AttemptAnswer, Attempt),
    (QuoteAnswer, Quote),
    (QuotedOffer, Offered),
    (QuotedExclusion, Exclusion),
    (BudgetAnswer, Budget),
    (PriceAnswer, Price),
]


@pytest.mark.parametrize(("served", "read"), PAIRS, ids=lambda kind: kind.__name__)
def test_the_client_reads_every_field_that_is_served(served: type[msgspec.Struct], read: type[msgspec.Struct]) -> None:
    told = f"add the field to {read.__module__}, with a default"
    assert set(read.__struct_fields__) == set(served.__struct_fields__), told


def test_a_model_is_read_but_for_what_openai_calls_it() -> None:
    assert set(ModelAnswer.__struct_fields__) - set(Model.__struct_fields__) == {"object", "created", "owned_by"}


def test_an_upload_is_read_but_for_what_it_is() -> None:
    assert set(UploadAnswer.__struct_fields__) - set(Upload.__struct_fields__) == {"object"}


def test_every_field_that_can_be_asked_for_has_a_type() -> None:
    assert set(Fields.__annotations__) - {"extra"} == set(EditRequest.__struct_fields__) - {"prompt", "images"}


def test_every_problem_has_an_error() -> None:
    assert set(BY_KIND) <= set(KINDS)
    assert {kind.status for kind in KINDS.values()} - set(BY_STATUS) <= {202, 409, 410, 499}
