"""The garbage collector waits while a plan is made, and only then."""

import gc

from deployer.app.collector import collector_waits


def test_it_waits_and_goes_on_also_after_an_error() -> None:
    waited = False
    try:
        with collector_waits():
            waited = not gc.isenabled()
            raise KeyError
    except KeyError:
        pass
    assert waited
    assert gc.isenabled()


def test_who_had_it_waiting_already_keeps_that() -> None:
    with collector_waits():
        with collector_waits():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
