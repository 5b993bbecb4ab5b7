"""Settings: the command line wins over the environment, that over the file, that over defaults."""

from __future__ import annotations

import pytest

from mmrag.errors import SettingError
from mmrag.settings import read_settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_nearer_source_wins(empty_folder, monkeypatch):
    assert read_settings().top == 9
    (empty_folder / "mmrag.toml").write_text('top = 4\nmodel = "m3"\nhosts = ["a.example"]\n')
    assert (read_settings().top, read_settings().model) == (4, "m3")
    assert read_settings().hosts == ("a.example",)
    monkeypatch.setenv("MMRAG_TOP", "5")
    assert read_settings().top == 5
    assert read_settings(top=6, model=None).top == 6
    assert read_settings(top=6, model=None).model == "m3"


def test_a_misspelt_setting_is_named(empty_folder):
    (empty_folder / "mmrag.toml").write_text("tpo = 4\n")
    with pytest.raises(SettingError, match=r"tpo.*mmrag\.toml"):
        read_settings()


def test_a_broken_file_is_one_clear_error(empty_folder):
    (empty_folder / "mmrag.toml").write_text("top = \n")
    with pytest.raises(SettingError, match="settings: "):
        read_settings()


@pytest.mark.parametrize(("name", "value"), [("TOP", "0"), ("TOP", "many"), ("HOSTS", "a.example")])
def test_a_wrong_variable_is_named(monkeypatch, name, value):
    monkeypatch.setenv(f"MMRAG_{name}", value)
    with pytest.raises(SettingError, match=name.lower()):
        read_settings()


def test_the_displayed_database_has_no_password():
    assert read_settings(db="https://root:secret@shop.example:19530").where == ("https://shop.example:19530")
    assert read_settings(db="shop.db").where == "shop.db"


def test_secrets_are_not_shown(monkeypatch):
    monkeypatch.setenv("MMRAG_TOKEN", "root:secret")
    assert "secret" not in repr(read_settings())
    assert read_settings().token.get_secret_value() == "root:secret"
