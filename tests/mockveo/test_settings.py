from pathlib import Path

import pytest

from mockveo import settings
from mockveo.errors import SettingsError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"port": -1}, "--port is -1, wanted 0 or more, e.g. --port 8360"),
        ({"port": 70000}, "--port is 70000, wanted 0 to 65535, e.g. --port 8360"),
        ({"speed": -2.0}, "--speed is -2.0, wanted 0 or more, e.g. --speed 10"),
        ({"speed": float("inf")}, "--speed is inf, wanted 0 or more, e.g. --speed 10"),
        ({"speed": float("nan")}, "--speed is nan, wanted 0 or more, e.g. --speed 10"),
        ({"max_jobs": 0}, "--max-jobs is 0, wanted 1 or more, e.g. --max-jobs 1000"),
        ({"key": ("",)}, "--key is empty, wanted a key such as --key sk-test"),
        ({"host": " "}, "--host is empty, wanted an address such as --host 127.0.0.1"),
        ({"port": "x"}, "port is 'x', wanted int, e.g. port=8360"),
        ({"port": True}, "port is True, wanted int, e.g. port=8360"),
        ({"max_jobs": 1.5}, "max_jobs is 1.5, wanted int, e.g. max_jobs=100000"),
        ({"speed": "fast"}, "speed is 'fast', wanted float, e.g. speed=10.0"),
        ({"seed": "x"}, "seed is 'x', wanted int or None, e.g. seed=None"),
        ({"host": None}, "host is None, wanted str, e.g. host='127.0.0.1'"),
        ({"key": 5}, "key is 5, wanted a list of texts, e.g. key=()"),
        ({"strict": "yes"}, "strict is 'yes', wanted bool, e.g. strict=False"),
        ({"sped": 3}, "'sped' is not a setting; wanted one of host, port,"),
    ],
)
def test_a_wrong_value_is_named_with_one_that_works(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.of(**values)
    assert message in str(caught.value)


def test_paths_are_as_good_as_texts() -> None:
    assert settings.of(spec=Path("a.yaml")).spec == "a.yaml"
    assert settings.of(overlay=Path("a.yaml")).overlay == ("a.yaml",)
    assert settings.of(overlay=[Path("a.yaml"), "b.yaml"]).overlay == ("a.yaml", "b.yaml")


def test_one_key_can_be_given_as_text_and_several_as_a_list() -> None:
    assert settings.of(key="sk-a").key == ("sk-a",)
    assert settings.of(key=["sk-a", "sk-b"]).key == ("sk-a", "sk-b")
