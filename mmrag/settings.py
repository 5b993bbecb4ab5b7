"""User settings from options, `MMRAG_…` variables and `mmrag.toml`, in this order."""

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
    """Location of the index and its models.

    Attributes
    ----------
    db : str
        A Milvus Lite folder, ``http://host:19530``, or a Zilliz Cloud address.
    collection : str
        The collection inside it.
    token : SecretStr
        Token of the Milvus server; unused by Lite.
    model : str
        The encoder: ``demo``, ``base-en-v1.5``, ``m3``, or a folder.
    reranker : str
        The vision LLM: ``demo``, a Phi-3 Vision name, a folder, or the model's name at ``llm_url``.
    llm_url, llm_key : str, SecretStr
        An OpenAI-compatible server and its key. Default: empty, the reranker runs on this machine.
    device : str, optional
        ``cpu``, ``cuda``, ``mps``. Default: chosen by the models.
    top : int
        Number of results of a search.
    hosts : tuple of str
        Hosts from which images may be fetched. Default: none.
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
        """The database without the password of its address, to be shown."""
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
        """Read `mmrag.toml` of the current folder; ignore `.env` files, which belong to other programs."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=SETTINGS_FILE)
        return init_settings, env_settings, file


def read_settings(**given: Any) -> Settings:
    """Read the settings; ``given`` values take precedence, except None. Raise `SettingError` naming each bad one."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValueError as error:  # invalid values, a malformed mmrag.toml, or a list in a variable that is no JSON
        invalid = error.errors() if isinstance(error, ValidationError) else []
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in invalid) or str(error)
        raise SettingError(
            f"settings: {faults}. Look at the options, the MMRAG_… variables and {SETTINGS_FILE}"
        ) from error
