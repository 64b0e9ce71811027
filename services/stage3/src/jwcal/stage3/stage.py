"""Stage 3 as a worker runs it."""

from jwcal.core.errors import InvalidParameter
from jwcal.core.references.resolved import WantedReferences
from jwcal.core.worker.work import Made, Plan, Tell, Work


class Stage3:
    """No plan of stage 3 exists in this version; the service says so."""

    name = "stage3"

    def plans(self) -> tuple[Plan, ...]:
        """None yet."""
        return ()

    def wanted_references(self, work: Work) -> WantedReferences | None:
        """None: the job will be refused."""
        del work
        return None

    def warm_up(self) -> None:
        """Nothing is to be compiled."""

    def process(self, work: Work, tell: Tell) -> Made:
        """Refuse the job."""
        del work, tell
        raise InvalidParameter("this version has no plan of stage 3", remedy="ask for products of stage 1")


STAGE = Stage3()
"""What ``python -m jwcal.core.worker.child`` is given."""
