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
        ({"sped": 3}, "'sped' is not a setting; wanted one of host, port,"),
    ],
)
def test_a_wrong_value_is_named_with_one_that_works(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.of(**values)
    assert message in str(caught.value)


def test_one_key_can_be_given_as_text_and_several_as_a_list() -> None:
    assert settings.of(key="sk-a").key == ("sk-a",)
    assert settings.of(key=["sk-a", "sk-b"]).key == ("sk-a", "sk-b")
