"""All kinds and all projections that this version of the program knows."""

from typing import Final

from shared.domain.cases import kinds as cases
from shared.domain.cases import view as cases_view
from shared.domain.custody import kinds as custody
from shared.domain.custody import view as custody_view
from shared.domain.divisions import view as divisions_view
from shared.domain.notices import kinds as notices
from shared.domain.notices import view as notices_view
from shared.trust import kinds as trust
from shared.trust.authority import KindTable

KINDS: Final = KindTable((*trust.KINDS, *notices.KINDS, *cases.KINDS, *custody.KINDS))

PROJECTIONS: Final = (
    divisions_view.PROJECTION,
    notices_view.PROJECTION,
    cases_view.PROJECTION,
    custody_view.PROJECTION,
)
