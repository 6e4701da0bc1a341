import pytest

from base.pace import Pace


@pytest.mark.parametrize(
    ("share", "took", "rest"), [(0.1, 0.5, 4.5), (0.5, 0.3, 0.3), (1.0, 5.0, 0.0), (0.25, 0.0, 0.0)]
)
def test_a_task_takes_its_share_of_the_time(share: float, took: float, rest: float):
    assert Pace(share=share).rest(took) == pytest.approx(rest)


def test_no_rest_is_endless_or_negative():
    pace = Pace(share=0.001)
    assert pace.rest(60.0) == 10.0
    assert pace.rest(-1.0) == 0.0, "the timer went back"


def test_steps_grow_while_they_are_full_and_short():
    pace = Pace(hold=0.01, most=1000)
    sizes = []
    for _ in range(5):
        pace.held(0.004, full=True)
        sizes.append(pace.size)
    assert sizes == [200, 400, 800, 1000, 1000]


def test_steps_that_find_little_to_do_do_not_grow():
    pace = Pace(hold=0.01)
    pace.held(0.0, full=False)
    assert pace.size == 100


def test_steps_that_hold_others_too_long_shrink_by_as_much_and_at_most_to_a_quarter():
    pace = Pace(hold=0.01)
    pace.held(0.02, full=True)
    assert pace.size == 50
    pace.held(10.0, full=False)
    assert pace.size == 12
    for _ in range(10):
        pace.held(10.0, full=True)
    assert pace.size == 1, "a step does something"


def test_steps_settle_where_each_holds_others_for_as_long_as_it_may():
    pace = Pace(hold=0.005, most=1000)
    a_thing_takes = 0.0001
    for _ in range(30):
        pace.held(pace.size * a_thing_takes, full=True)
    assert 0.005 / 2 <= pace.size * a_thing_takes <= 0.005
