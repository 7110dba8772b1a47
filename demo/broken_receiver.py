"""`rollback-receiver` with one safety replaced in memory: only for `BREAK=readback` and `BREAK=evidence`."""

import sys

from demo.breaks import Break
from genesys.flows import Flow, Readback
from receiver import confirmation
from receiver.cli import main
from receiver.situation import VersionEvidence


def _believe(_flow: Flow, **_: object) -> Readback:
    """A 200 is taken for the effect."""
    return Readback.DONE


def _take_out(broken: Break) -> None:
    if broken is Break.READBACK:
        setattr(confirmation, "read_back", _believe)  # noqa: B010 - not a name that the module offers
    elif broken is Break.EVIDENCE:
        VersionEvidence.confirms = property(lambda _: True)  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    _take_out(Break(sys.argv.pop(1)))
    main()
