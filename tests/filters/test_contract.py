# SPDX-License-Identifier: Apache-2.0
"""Every prefilter keeps the promises of the interface."""

import pytest

from dealias.filters import create_prefilter, list_prefilters
from dealias.testing import PREFILTER_CHECKS


@pytest.mark.parametrize("check", PREFILTER_CHECKS)
@pytest.mark.parametrize("name", list_prefilters())
def test_contract(name, check):
    if (name, check) == ("none", "stop_band"):
        pytest.skip("no filter: everything that folds is left")
    PREFILTER_CHECKS[check](lambda: create_prefilter(name, 16))
