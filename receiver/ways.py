"""Every way back by its strategy."""

from collections.abc import Mapping
from types import MappingProxyType

from receiver.anew import Anew
from receiver.redeploy import Redeploy
from receiver.repoint import Repoint
from receiver.republish import Republish
from receiver.restore import Restore
from receiver.strategy import Strategy
from receiver.way import Way

WAYS: Mapping[Strategy, Way] = MappingProxyType(
    {
        Strategy.REPUBLISH: Republish(),
        Strategy.REDEPLOY: Redeploy(),
        Strategy.REPOINT: Repoint(),
        Strategy.ANEW: Anew(),
        Strategy.RESTORE: Restore(),
    }
)
