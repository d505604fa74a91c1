from pathlib import Path

import pytest

from mockveo import settings
from mockveo.errors import SettingsError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"port": -1}, "--port is -1; expected 0 or more, e.g. --port 8360"),
        ({"port": 70000}, "--port is 70000; expected 0 to 65535, e.g. --port 8360"),
        ({"speed": -2.0}, "--speed is -2.0; expected 0 or more, e.g. --speed 10"),
        ({"speed": float("inf")}, "--speed is inf; expected 0 or more, e.g. --speed 10"),
        ({"speed": float("nan")}, "--speed is nan; expected 0 or more, e.g. --speed 10"),
        ({"max_jobs": 0}, "--max-jobs is 0; expected 1 or more, e.g. --max-jobs 1000"),
        ({"key": ("",)}, "--key is empty; expected a key, e.g. --key sk-test"),
        ({"model": (" ",)}, "--model is empty; expected the name of a model, e.g. --model veo3.2"),
        ({"host": " "}, "--host is empty; expected an address, e.g. --host 127.0.0.1"),
        ({"port": "x"}, "port is 'x'; expected int, e.g. port=8360"),
        ({"port": True}, "port is True; expected int, e.g. port=8360"),
        ({"max_jobs": 1.5}, "max_jobs is 1.5; expected int, e.g. max_jobs=100000"),
        ({"speed": "fast"}, "speed is 'fast'; expected float, e.g. speed=10.0"),
        ({"seed": "x"}, "seed is 'x'; expected int or None, e.g. seed=None"),
        ({"host": None}, "host is None; expected str, e.g. host='127.0.0.1'"),
        ({"key": 5}, "key is 5; expected a list of texts, e.g. key=()"),
        ({"strict": "yes"}, "strict is 'yes'; expected bool, e.g. strict=False"),
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
