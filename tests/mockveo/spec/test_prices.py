"""Prices of models: what `x-price` may say, and what a job then costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from paths import ROOT

import mockveo
from mockveo.errors import SpecError
from mockveo.spec.prices import Money, read_prices, total
from mockveo.spec.spec import load

JOB = {"amount": 0.4, "currency": "USD", "per": "job", "source": "our contract", "date": "2026-11-01"}
SECOND = {**JOB, "amount": 0.05, "per": "second", "seconds": 8}


def prices(entry: Any, *fields: str) -> Any:
    return read_prices({"x-price": {"veo": entry}}, fields)


@pytest.mark.parametrize("profile", ["docs-2026-03", "docs-2026-10", "gateway"])
def test_no_price_is_invented(profile: str) -> None:
    spec = load(profile=profile)
    assert spec.prices == {}
    assert set(spec.form.fields["model"]["x-price"].values()) == {"unknown"}
    assert set(spec.form.fields["model"]["x-price"]) == set(spec.aliases or ())


def test_price_of_a_job_is_its_amount() -> None:
    assert prices(JOB)["veo"].of({}) == Money(Decimal("0.4"), "USD")


def test_price_of_a_second_takes_the_seconds_of_the_form_first() -> None:
    price = prices(SECOND, "seconds")["veo"]
    assert str(price.of({"seconds": "4"})) == "0.20 USD"
    assert str(price.of({})) == "0.40 USD"
    assert prices({**JOB, "per": "second"}, "seconds")["veo"].of({"seconds": "soon"}) is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (0.4, "`x-price` of veo is 0.4; expected unknown or a price"),
        ({**JOB, "amont": 1}, "has the unknown key 'amont'"),
        ({"amount": 1}, "lacks currency, date, per, source"),
        ({**JOB, "amount": -1}, "`amount` is -1; expected a number"),
        ({**JOB, "amount": "0.4"}, "`amount` is '0.4'"),
        ({**JOB, "amount": True}, "`amount` is True"),
        ({**JOB, "amount": 1e300}, "`amount` is 1e+300"),
        ({**JOB, "currency": "$"}, "`currency` is '$'"),
        ({**JOB, "per": "minute"}, "`per` is 'minute'; expected job or second"),
        ({**JOB, "per": "second"}, "the form has no `seconds`"),
        ({**SECOND, "seconds": 0}, "`seconds` is 0"),
        ({**JOB, "source": " "}, "`source` is ' '"),
        ({**JOB, "date": "today"}, "`date` is 'today'"),
    ],
)
def test_price_that_cannot_be_used_is_explained(entry: Any, message: str) -> None:
    with pytest.raises(SpecError) as error:
        prices(entry)
    assert message in str(error.value)
    assert "expected" in str(error.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*SECOND]), inner),
    )
)
def test_any_data_is_a_price_or_an_error(entry: Any) -> None:
    try:
        prices(entry)
    except SpecError as error:
        assert "expected" in str(error)


def test_sums_are_exact_and_apart_by_currency() -> None:
    tenths = [Money(Decimal("0.1"), "USD")] * 3 + [Money(Decimal("0.005"), "EUR")]
    assert list(map(str, total(tenths))) == ["0.30 USD", "0.005 EUR"]


def test_overlay_sets_a_price_which_the_catalogue_shows(tmp_path: Any) -> None:
    target = "$.components.schemas.CreateVideoForm.properties.model.x-price"
    actions = [{"target": target, "update": {"veo3-fast": JOB, "veo3": SECOND}}]
    overlay = tmp_path / "prices.yaml"
    overlay.write_text(yaml.safe_dump({"overlay": "1.0.0", "info": {"title": "t", "version": "1"}, "actions": actions}))
    with mockveo.serve(overlay=overlay, render=False, self_check=True) as server:
        models = {model["id"]: model["pricing"] for model in httpx.get(f"{server.url}/api/models").json()["data"]}
    assert models["veo3-fast"]["per_request"] == 0.4
    assert (models["veo3"]["per_second"], models["veo3"]["currency"]) == (0.05, "USD / second")
    assert models["veo3.1"]["per_request"] is None


def test_head_of_the_document_explains_the_extension() -> None:
    assert "x-price" in (ROOT / "openapi.yaml").read_text().partition("openapi: 3.1.0")[0]
