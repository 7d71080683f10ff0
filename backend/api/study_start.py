"""Check and start a study: one way for studies of a user's own and for those of the gallery."""

from collections.abc import Mapping, Sequence
from typing import Any

from backend.api.deps import Lab
from backend.studies.cells import count_cells
from backend.studies.planning import Draft, describe, drafts, fitted_drafts, to_fit
from backend.studies.study_file import StudyFile


def checked_variants(lab: Lab, study: StudyFile) -> list[dict[str, Any]]:
    """The variants of a study, validated as a whole and fitted into the budget's memory.

    Raises:
        StudyFileError: the study is not valid; the message has a line for each problem.
    """
    tried = drafts(study)
    answers = lab.supervisor.validate([draft.config for draft in tried])
    if fitting := to_fit(study, tried, answers):
        tried = _fitted(lab, study, tried, {at: answers[at]["config"] for at in fitting})
        answers = lab.supervisor.validate([draft.config for draft in tried])
    return describe(study, tried, answers)


def _fitted(
    lab: Lab, study: StudyFile, tried: Sequence[Draft], configs: Mapping[int, Any]
) -> list[Draft]:
    """The drafts with the values that fit into the budget's memory. Raises StudyFileError."""
    budget = study.budget
    assert budget is not None
    assert budget.fit is not None
    assert budget.memory is not None
    fits = lab.supervisor.fit([*configs.values()], budget.fit, int(budget.memory * 2**30))
    return fitted_drafts(study, tried, dict(zip(configs, fits, strict=True)))


def start_study(lab: Lab, study: StudyFile, variants: Sequence[Mapping[str, Any]]) -> str:
    """Store a study whose variants were checked, queue its first runs, and return its id."""
    study_id = lab.store.create_study(study.name, study.document(), variants, count_cells(study))
    lab.studies.advance(study_id)
    return study_id
