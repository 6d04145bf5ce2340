"""Where files that the settings name are looked for."""

from dataclasses import dataclass
from pathlib import Path

from asrpar.errors import ConfigError, MissingInputError


@dataclass(frozen=True)
class Places:
    """Where files that the configuration names are looked for."""

    corpus_dir: str | None = None
    config_dirs: tuple[str, ...] = ()

    def find(self, path: str, key: str) -> Path:
        """The file that the setting ``key`` names.

        ``{corpus_dir}`` in the path stands for --corpus-dir (quote the value in YAML, where a brace starts a mapping).
        Another relative path is looked for in --corpus-dir, then beside the configuration files (the last first), then
        in the current folder.

        Raises:
            ConfigError: the path needs --corpus-dir and there is none.
            MissingInputError: no such file; the message lists the places.
        """
        if "{corpus_dir}" in path:
            if self.corpus_dir is None:
                raise ConfigError(f"{key}: '{path}' needs --corpus-dir")
            places = [Path(path.replace("{corpus_dir}", self.corpus_dir))]
        elif Path(path).is_absolute():
            places = [Path(path)]
        else:
            folders = [self.corpus_dir, *reversed(self.config_dirs), "."]
            places = [Path(folder) / path for folder in folders if folder is not None]
        for place in places:
            if place.is_file():
                return place
        raise MissingInputError(f"{key}: no file {' or '.join(dict.fromkeys(map(str, places)))}")
