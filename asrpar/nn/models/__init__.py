"""Acoustic models: each module is a page with ``Settings`` and ``Model`` (see `asrpar.nn.model`)."""

from asrpar.choices import Family
from asrpar.nn.model import AcousticModel, ModelSettings, begin_evenly

MODELS = Family("asrpar.nn.models", "model", "Model")


def build_model(name: str, settings: ModelSettings, num_features: int, num_classes: int) -> AcousticModel:
    """The model ``name``, an `AcousticModel`.

    Raises:
        ConfigError: no model of that name, or settings that cannot be.
    """
    model = MODELS.load(name)
    MODELS.check(name, settings)
    made = model(settings, num_features, num_classes)
    if settings.init == "even":
        begin_evenly(made)
    return made
