"""Where models live and come from, as the environment says."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import ConfigError
from agent.models.places import Places


def test_without_settings_everything_is_below_the_home_folder() -> None:
    places = Places.from_environment({"HOME": "/home/ann"})
    assert places.models == Path("/home/ann/.cache/gemma-agent/models")
    assert places.hub_cache == Path("/home/ann/.cache/huggingface/hub")
    assert places.endpoint.startswith("https://")


@pytest.mark.parametrize(
    ("environment", "models", "hub_cache"),
    [
        ({"XDG_CACHE_HOME": "/c"}, "/c/gemma-agent/models", "/c/huggingface/hub"),
        ({"GEMMA_AGENT_MODELS": "/m"}, "/m", "/h/.cache/huggingface/hub"),
        ({"HF_HOME": "/hf"}, "/h/.cache/gemma-agent/models", "/hf/hub"),
        ({"HF_HOME": "/hf", "HF_HUB_CACHE": "/cache"}, "/h/.cache/gemma-agent/models", "/cache"),
    ],
)
def test_the_usual_variables_move_the_folders(environment: dict[str, str], models: str, hub_cache: str) -> None:
    places = Places.from_environment({"HOME": "/h", **environment})
    assert (str(places.models), str(places.hub_cache)) == (models, hub_cache)


def test_another_hub_is_taken_without_its_last_slash() -> None:
    assert Places.from_environment({"HF_ENDPOINT": "http://mirror:8080/hf/"}).endpoint == "http://mirror:8080/hf"


@pytest.mark.parametrize(
    "endpoint", ["not a url", "http://[::1", "ftp://somewhere", "http://a:99999", "http://", "http://a b"]
)
def test_an_endpoint_that_is_no_address_is_a_sentence_that_names_it(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="HF_ENDPOINT is no address") as raised:
        Places.from_environment({"HF_ENDPOINT": endpoint})
    assert endpoint in str(raised.value)


def test_secrets_do_not_show() -> None:
    assert "hf_secret" not in repr(Places.from_environment({"HF_TOKEN": "hf_secret"}))
