import pytest

from mockveo.errors import SettingsError
from mockveo.scenarios import BUILT_IN, named


def test_each_is_found_by_its_name_and_has_a_sentence() -> None:
    for name, scenario in BUILT_IN.items():
        assert named(name) is scenario
        assert scenario.name == name
        assert scenario.summary.endswith(".")


def test_a_name_that_does_not_exist_is_an_error_that_names_those_that_do() -> None:
    with pytest.raises(SettingsError, match=r"'nromal' does not exist; wanted one of normal, instant"):
        named("nromal")
