"""Clusters that come with this package, one YAML file each, with the sources of their figures."""

from collections.abc import Sequence
from pathlib import Path

from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.names import unknown
from asrpar.parallel.virtual.cluster import Cluster

FOLDER = Path(__file__).parent


def presets() -> list[str]:
    """Their names."""
    return sorted(p.stem for p in FOLDER.glob("*.yaml"))


def load_cluster(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Cluster:
    """A cluster by the name of a preset or from a file, with ``"a.b=c"`` settings on top; validated.

    Raises:
        ConfigError: neither a preset nor a file, an unknown key, or a value that cannot be.
    """
    name, path = str(name_or_path), Path(name_or_path)
    if name in presets():
        path = FOLDER / f"{name}.yaml"
    elif not path.is_file():
        raise unknown("cluster", name, presets(), more="or the name of a YAML file")
    try:
        return load_config(Cluster, path, overrides)
    except ConfigError as e:
        # A simulation has settings of two kinds.
        raise ConfigError(f"cluster: {str(e).replace('--set ', '--set-cluster ')}") from e
