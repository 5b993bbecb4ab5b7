"""What a person sets once. In: options, then `MMRAG_…`, then `mmrag.toml`. Out: the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from mmrag.errors import SettingError
from mmrag.images.redact import describe_source, url_scheme

__all__ = ["SETTINGS_FILE", "Settings", "read_settings"]

SETTINGS_FILE = Path("mmrag.toml")


class Settings(BaseSettings):
    """Where the index is and which models serve it.

    Attributes
    ----------
    db
        A Milvus Lite folder, ``http://host:19530``, or a Zilliz Cloud address.
    collection
        The collection inside it.
    token
        What the Milvus server asks for; Lite asks for nothing.
    model
        The encoder: ``demo``, ``base-en-v1.5``, ``m3``, or a folder.
    reranker
        The vision LLM: ``demo``, a Phi-3 Vision name, a folder, or what the server
        at ``llm_url`` calls its model.
    llm_url, llm_key
        An OpenAI-compatible server; when empty, the reranker runs on this machine.
    device
        ``cpu``, ``cuda``, ``mps``; chosen by the models when empty.
    top
        How many results a search gives.
    hosts
        Hosts from which images may be fetched; none by default.
    """

    model_config = SettingsConfigDict(env_prefix="MMRAG_", extra="forbid", frozen=True)

    db: str = "catalog.db"
    collection: str = "images"
    token: SecretStr = SecretStr("")
    model: str = "base-en-v1.5"
    reranker: str = "microsoft/Phi-3.5-vision-instruct"
    llm_url: str = ""
    llm_key: SecretStr = SecretStr("")
    device: str | None = None
    top: int = Field(default=9, ge=1, le=1000)
    hosts: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The database as people may be told of it: a server without its password.

        Examples
        --------
        >>> read_settings(db="http://root:secret@shop.example:19530").where
        'http://shop.example:19530'
        """
        return describe_source(self.db) if url_scheme(self.db) else self.db

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        secrets = {name for name, value in self if isinstance(value, SecretStr)}
        return state | {"__dict__": state["__dict__"] | dict.fromkeys(secrets, SecretStr(""))}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add the file of this folder; leave out `.env` files, which belong to other programs."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=SETTINGS_FILE)
        return init_settings, env_settings, file


def read_settings(**given: Any) -> Settings:
    """Read the settings; what was ``given`` on the command line wins, None stands for not given.

    Raises
    ------
    SettingError
        Names each wrong setting and where settings come from.

    Examples
    --------
    >>> read_settings(top=3, model=None).top
    3
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise SettingError(_advice("; ".join(faults))) from error
    except ValueError as error:  # a malformed mmrag.toml, or a list in a variable that is no JSON
        raise SettingError(_advice(str(error))) from error


def _advice(fault: str) -> str:
    return f"settings: {fault}. Look at the options, the MMRAG_… variables and {SETTINGS_FILE}"
