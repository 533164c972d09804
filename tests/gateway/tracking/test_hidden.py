"""What a stranger to a public project may search by: what the answer shows, and nothing else."""

from typing import Any

import pytest

from gateway.errors import Forbidden
from gateway.tracking.hidden import check_search


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": "", "order_by": []},
        {"filter": "metrics.loss < 0.5 and params.`a rate` = '0.1' AND tags.mlflow.runName LIKE 'a%'"},
        {"filter": "attributes.status = 'FINISHED' and run_id in ('a', 'b')", "order_by": ["metrics.loss DESC"]},
        {"order_by": ["attributes.start_time", 'params."a b" ASC']},
        {"order_by": [{"field_name": "metrics.loss", "ascending": False}]},
    ],
)
def test_what_shows_is_searched_by(body: dict[str, Any]) -> None:
    check_search(body)


@pytest.mark.parametrize(
    "body",
    [
        {"filter": "tags.secret LIKE 'a%'"},
        {"filter": "tags.`mlflow.user` = 'ada'"},
        {"filter": "tag.mantik.computeBudgetAccount like 'a%'"},
        {"filter": "metrics.loss > 0 and tags.secret LIKE 'a%'"},
        {"filter": "params.a = 'x\\' and tags.secret like \\'y'"},
        {"filter": "params.a = 'x'' and tags.secret like 'y'"},
        {"filter": "params.a = 'x' -- \n and tags.secret = 'y'"},
        {"filter": "attributes.user_id = 'ada'"},
        {"filter": "user_id = 'ada'"},
        {"filter": "datasets.name = 'd'"},
        {"filter": ["tags.a = 'b'"]},
        {"order_by": ["tags.secret"]},
        {"order_by": ["metrics.loss, tags.secret"]},
        {"order_by": "tags.secret"},
        {"order_by": [{"field_name": "tags.secret"}]},
        {"order_by": [{"field_name": "metrics.loss", "dataset_name": "d"}]},
        {"datasets": [{"dataset_name": "d"}]},
    ],
)
def test_what_is_hidden_is_not(body: dict[str, Any]) -> None:
    with pytest.raises(Forbidden, match="cannot filter or order"):
        check_search(body)
