from pathlib import Path

import pytest

from mockveo import settings
from mockveo.errors import SettingsError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"port": -1}, "--port is -1; expected 0 to 65535, e.g. --port 8360"),
        ({"port": 70000}, "--port is 70000; expected 0 to 65535, e.g. --port 8360"),
        ({"speed": -2.0}, "--speed is -2.0; expected 1e-06 to 1e+09, e.g. --speed 10"),
        ({"speed": 0}, "--speed is 0; expected more than 0. To stop time use --clock manual"),
        ({"speed": 5e-324}, "--speed is 5e-324; expected 1e-06 to 1e+09, e.g. --speed 10"),
        ({"speed": float("inf")}, "--speed is inf; expected 1e-06 to 1e+09, e.g. --speed 10"),
        ({"speed": float("nan")}, "--speed is nan; expected 1e-06 to 1e+09, e.g. --speed 10"),
        ({"step": 1e308}, "--step is 1e+308; expected 0 to 1e+09, e.g. --step 10"),
        ({"seed": 2**64}, "--seed is 18446744073709551616; expected at most 9007199254740991, e.g. --seed 7"),
        ({"max_exchanges": 10**300}, f"--max-exchanges is 1{'0' * 79}...; expected at most 9007199254740991, e.g."),
        ({"credit": -1}, "--credit is -1; expected 0 or more, e.g. --credit 3"),
        ({"clock": "sundial"}, "--clock is 'sundial'; expected one of wall, manual, poll, e.g. --clock manual"),
        ({"model": ("\udcff",)}, "--model is '\\udcff'; expected Unicode text, e.g. --model a"),
        ({"allow_host": ("a\ud800",)}, "--allow-host is 'a\\ud800'; expected Unicode text"),
        ({"max_jobs": 0}, "--max-jobs is 0; expected 1 or more, e.g. --max-jobs 1000"),
        ({"key": ("",)}, "--key is empty; expected a key, e.g. --key sk-test"),
        ({"model": (" ",)}, "--model is empty; expected the name of a model, e.g. --model veo3.2"),
        ({"host": " "}, "--host is empty; expected an address, e.g. --host 127.0.0.1"),
        (
            {"public_url": "mock.example"},
            "--public-url is 'mock.example'; expected a scheme and a host without a path,",
        ),
        ({"public_url": "https://a.example/x"}, "e.g. --public-url https://mock.example:8360"),
        ({"public_url": "http://a", "other_url": "http://"}, "--other-url is 'http://'; expected a scheme and a host"),
        ({"other_url": "http://a"}, "--other-url is given without --public-url; expected both, e.g. --public-url"),
        ({"corpus": __file__}, "a file; expected a directory, e.g. --corpus cases"),
        ({"port": "x"}, "port is 'x'; expected int, e.g. port=8360"),
        ({"port": True}, "port is True; expected int, e.g. port=8360"),
        ({"max_jobs": 1.5}, "max_jobs is 1.5; expected int, e.g. max_jobs=100000"),
        ({"speed": "fast"}, "speed is 'fast'; expected float, e.g. speed=10.0"),
        ({"seed": "x"}, "seed is 'x'; expected int or None, e.g. seed=None"),
        ({"host": None}, "host is None; expected str, e.g. host='127.0.0.1'"),
        ({"key": 5}, "key is 5; expected a list of texts, e.g. key=()"),
        ({"strict": "yes"}, "strict is 'yes'; expected bool, e.g. strict=False"),
        ({"budget": "2.50"}, "--budget is '2.50'; expected a number of jobs, or an amount with its currency, e.g."),
        ({"budget": "2.50 usd"}, "--budget is '2.50 usd'; expected"),
        ({"budget": "-1"}, "--budget is '-1'; expected"),
        ({"budget": -1}, "--budget is '-1'; expected"),
        ({"budget": "٣"}, "--budget is '٣'; expected"),
        ({"budget": "9" * 5000}, "expected a number of jobs"),
        ({"budget": True}, "budget is True; expected str or int or None"),
        ({"sped": 3}, "'sped' is not a setting; expected one of host, port,"),
    ],
)
def test_invalid_value_is_shown_with_a_valid_example(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.of(**values)
    assert message in str(caught.value)


def test_paths_are_accepted_as_texts() -> None:
    assert settings.of(spec=Path("a.yaml")).spec == "a.yaml"
    assert settings.of(overlay=Path("a.yaml")).overlay == ("a.yaml",)
    assert settings.of(overlay=[Path("a.yaml"), "b.yaml"]).overlay == ("a.yaml", "b.yaml")


def test_one_key_can_be_given_as_text_and_several_as_a_list() -> None:
    assert settings.of(key="sk-a").key == ("sk-a",)
    assert settings.of(key=["sk-a", "sk-b"]).key == ("sk-a", "sk-b")
