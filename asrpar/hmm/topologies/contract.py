"""What a topology has to offer: H, the transducer from classes of frames to units."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import kaldifst


class UnitTopology(ABC):
    """What sequences of frame classes stand for a sequence of units.

    Attributes:
        blank: the class that stands for no unit; None where each frame is part of one.
    """

    blank: ClassVar[int | None] = None

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def transducer(self, units: Sequence[int]) -> kaldifst.StdVectorFst:
        """H of these units.

        Args:
            units: ids, each above 0.

        Returns:
            from frame labels (class + 1, since OpenFst keeps 0 for epsilon) to unit ids, a unit on its first frame.
        """
