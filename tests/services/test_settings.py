"""What the environment may say, and what is said of its mistakes."""

from typing import Any

import pytest

from limelight.foundation.errors import UserError
from limelight.services.settings import ServiceSettings, service_settings


def settings(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> ServiceSettings:
    monkeypatch.setenv(f"LIMELIGHT_{name}", value)
    return service_settings()


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://a.example", ("https://a.example",)),
        ("https://A.example:443 , http://localhost:5173", ("https://a.example", "http://localhost:5173")),
        ("http://[0:0::1]:80,capacitor://localhost", ("http://[::1]", "capacitor://localhost")),
        ("http://127.0.0.1:443", ("http://127.0.0.1:443",)),
    ],
)
def test_origins_are_those_that_browsers_send(monkeypatch: pytest.MonkeyPatch, value: str, origins: tuple) -> None:
    assert settings(monkeypatch, "CORS_ORIGINS", value).cors_origins == origins


@pytest.mark.parametrize(
    "value",
    [
        "a.example", "//a.example", "null", "https://", "https://*.example", "https://bücher.example", "https://a b",
        "https://a.example/", "https://a.example/app", "https://a.example?x", "https://u@a.example", "https://a.example;b",
        "https://a.example:0", "https://a.example:65536", "https://a.example:x", "http://[::1", "http://[1:2]",
        " ", "https://a.example,", "https://a.example,,https://b.example", "*,https://a.example", "https://a.example\nb",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_one_line(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    with pytest.raises(UserError, match=r"^LIMELIGHT_CORS_ORIGINS: [^\n]+$"):
        settings(monkeypatch, "CORS_ORIGINS", value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("runtime", "onnx-fp32"), ("threads", 3), ("processing_res", 64), ("half_precision", True),
        ("calibrated", True), ("high_resolution", True), ("flip", True), ("guided", 3),
    ],
)  # fmt: skip
def test_options_of_predict_reach_the_request(name: str, value: Any) -> None:
    assert getattr(ServiceSettings().request(), name) != value
    assert getattr(ServiceSettings.model_validate({name: value}).request(), name) == value


@pytest.mark.parametrize("token", ["", " ", "two words", "secret ", "sécret", "line\nbreak"])
def test_a_token_that_no_request_could_carry_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    with pytest.raises(UserError, match=r"^LIMELIGHT_TOKEN must be visible ASCII") as caught:
        settings(monkeypatch, "TOKEN", token)
    assert "secret" not in str(caught.value) and "words" not in str(caught.value)
