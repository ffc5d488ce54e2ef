"""One machine installed by Debian's installer and one from an image: what differs between them.

An hour and more, nearly all of it the installer's. What each of the systems said of itself is kept
beside their consoles (`--basetemp FOLDER`).
"""

from collections.abc import Callable
from typing import Any

import pytest

from metal.lab.machines.sameness import FACTS, differences
from metal.model.life import Life

pytestmark = pytest.mark.lab_full
SECONDS = {"preseed": 3 * 3600.0, "image": 1800.0}


def test_both_ways_lead_to_the_same_system(site_of: Callable[..., Any]) -> None:
    told = []
    for method, seconds in SECONDS.items():
        site = site_of("bios", method=method)
        site.install(seconds)
        site.tell(f"bios, by {method}")
        assert site.workspace.life("one") is Life.INSTALLED
        facts = site.ssh(FACTS)
        assert facts is not None, site.machine.console[-3000:]
        (site.wire.folder / f"facts-{method}.txt").write_text(facts)
        told.append(facts)
        site.close()
    assert differences(*told) == []
