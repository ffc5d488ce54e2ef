"""`metal apply` where the boot service's address is taken: by `metal serve`, or by a stranger."""

import socket
from urllib.parse import urlsplit

import pytest

from metal.controller.applying import apply
from metal.controller.look import look
from metal.controller.planning import make_plan
from metal.controller.progress import silent
from metal.controller.serving import BootService, boot_service
from metal.model.errors import Failed


def test_it_is_left_to_the_service_that_answers_already(rack):
    with BootService(rack), boot_service(rack) as mine:
        assert mine is None


def test_a_stranger_there_is_an_error_and_nothing_is_done(rack):
    url = urlsplit(rack.boot_url)
    plan = make_plan(rack, look(rack))
    assert plan.actions
    with (
        socket.create_server((url.hostname, url.port)),
        pytest.raises(Failed, match="cannot listen"),
    ):
        apply(rack, plan, progress=silent)
    assert not rack.store.installs.latest("alba1")
