"""Which study of an entry is reported."""

from backend.gallery.report import study_to_report


def study(number, status="finished", length="short", stand_in=False):
    return {"id": f"y{number}", "status": status, "length": length, "stand_in": stand_in}


def test_the_newest_finished_one_at_full_length_on_the_paper_s_data_comes_first():
    studies = [
        study(5, status="cancelled", length="full"),
        study(4),
        study(3, length="full", stand_in=True),
        study(2, length="full"),
        study(1, length="full"),
    ]
    assert study_to_report(studies) == "y2"


def test_without_one_the_newest_finished_one_is_reported():
    studies = [
        study(3, status="running"),
        study(2, stand_in=True),
        study(1, length="full", stand_in=True),
    ]
    assert study_to_report(studies) == "y2"
    assert study_to_report([study(1, status="cancelled")]) is None
