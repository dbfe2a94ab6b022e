from __future__ import annotations

from collections.abc import Callable

import pytest

from runner.host.doctor import needs
from runner.host.doctor.needs import Need
from runner.host.doctor.plan import Tables
from runner.host.images.build import BuiltImage
from runner.host.readers import catalog as catalogs
from runner.host.readers import lockfile, profiles

NeedsOf = Callable[..., list[Need]]


BUILT = BuiltImage(
    image="id",
    tag="tag",
    base="base",
    pinned=True,
    revision="revision",
    inputs="inputs",
    packages=1,
    bytes=10**9,
    builder="1.28.2",
)


@pytest.fixture(scope="session")
def tables() -> Tables:
    catalog = catalogs.read()
    return Tables(catalog, lockfile.read(), profiles.read(catalog))


@pytest.fixture
def needs_of(tables: Tables) -> NeedsOf:
    """Returns the needs of cases by their names."""
    return lambda *names: needs.of_cases(tables.catalog, tables.lock, tables.profiles, names)
