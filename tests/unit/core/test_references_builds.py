"""Operational builds and their contexts."""

import pytest

from jwcal.core.errors import InvalidParameter, UnknownBuild
from jwcal.core.references.builds import KNOWN, Build, BuildTable


def test_the_builds_of_operations_are_known() -> None:
    assert [(build.name, build.package_version, build.context) for build in KNOWN] == [
        ("11.0.1", "1.15.1", "jwst_1293.pmap"),
        ("11.1.1", "1.16.1", "jwst_1303.pmap"),
        ("11.2", "1.17.1", "jwst_1321.pmap"),
    ]


def test_builds_are_ordered_by_number_not_by_text() -> None:
    table = BuildTable([Build("9.2", "1.9", "jwst_0900.pmap"), Build("11.10", "1.99", "jwst_1900.pmap")])
    assert [build.name for build in table.builds] == ["11.10", "11.2", "11.1.1", "11.0.1", "9.2"]


def test_a_configured_build_replaces_a_known_one() -> None:
    table = BuildTable([Build("11.2", "1.17.2", "jwst_1322.pmap")])
    assert table.named("11.2").context == "jwst_1322.pmap"
    with pytest.raises(UnknownBuild):
        table.of_context("jwst_1321.pmap")


def test_a_context_of_two_builds_answers_with_the_newest() -> None:
    table = BuildTable([Build("11.3", "1.18.0", "jwst_1321.pmap")])
    assert table.of_context("jwst_1321.pmap").name == "11.3"
    assert table.names("jwst_1321.pmap") == ("11.3", "11.2")


def test_an_unknown_build_names_the_known_ones() -> None:
    with pytest.raises(UnknownBuild) as caught:
        BuildTable().named("8.0")
    assert "11.2, 11.1.1, 11.0.1" in str(caught.value.remedy)


@pytest.mark.parametrize("name", ["", "eleven", "11.", "11-2"])
def test_what_is_no_number_of_a_build_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameter):
        BuildTable([Build(name, "1", "jwst_0001.pmap")])
