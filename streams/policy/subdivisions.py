"""Regions and provinces of countries: ISO 3166-2, from the pinned `pycountry` package.

Rules of this module
1. A code of any level stands for the region of the first level in which it lies. Rules name only these regions.
2. The package is used when a policy is loaded, and only for countries of which the policy names a region.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pycountry

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def subdivisions(country: str) -> Mapping[str, str]:
    """Every code of the country, without the country, with the code of the first level that it is or in
    which it lies.
    """
    found = [each for each in pycountry.subdivisions if each.country_code == country]
    parents = {each.code[3:]: each.parent_code[3:] if each.parent_code else None for each in found}
    return {code: _first_level(code, parents) for code in sorted(parents)}


def _first_level(code: str, parents: Mapping[str, str | None]) -> str:
    parent = parents.get(code)
    return code if parent is None else _first_level(parent, parents)
