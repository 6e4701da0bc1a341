import sys
import threading
import uuid

from base.ids import RandomIds, new_serial, new_uuid


def test_uuids_are_random_ones_and_differ():
    made = {new_uuid() for _ in range(1000)}
    assert len(made) == 1000
    assert all(uuid.UUID(text).version == 4 for text in made)


def test_random_ids_are_random_uuids_and_differ():
    ids = RandomIds()
    made = [ids() for _ in range(2000)]
    assert len(set(made)) == 2000
    assert len({text[:8] for text in made}) > 1990
    for text in made:
        parsed = uuid.UUID(text)
        assert str(parsed) == text
        assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)


def test_threads_that_share_random_ids_never_get_the_same_twice():
    ids = RandomIds()
    made: list[list[str]] = [[] for _ in range(4)]
    barrier = threading.Barrier(4)

    def take(into: list[str]) -> None:
        barrier.wait(10)
        into.extend(ids() for _ in range(20_000))

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=take, args=(into,)) for into in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    finally:
        sys.setswitchinterval(switch)
    assert len({text for some in made for text in some}) == 80_000


def test_serials_are_positive_and_ordered_by_time():
    early, late = new_serial(lambda: 1_700_000_000.0), new_serial(lambda: 1_700_000_000.001)
    assert 0 < early < late < 2**63
    assert new_serial(lambda: 4e9) < 2**63
