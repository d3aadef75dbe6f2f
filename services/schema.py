"""/docs.json: BentoML's OpenAPI document, corrected by what this project's checks let pass and answer."""

import inspect
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from limelight.foundation.version import __version__
from limelight.services.forms import Form

Tree = dict[str, Any]
ERRORS = (400, 401, 403, 408, 413, 415, 429, 500, 503, 504)
"""Statuses of refusals of what is posted."""
_COMPONENTS = {
    "schemas": {
        "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
    },
    "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
}


def document(service: Any, forms: Mapping[str, Form], beside: Mapping[str, Tree]) -> Tree:
    """Build the document.

    Args:
        service: the class, as BentoML knows it.
        forms: path -> the form that is posted to it.
        beside: path -> OpenAPI's description of what BentoML does not know.
    """
    tree: Tree = service.openapi_spec.asdict()
    for path, item in tree["paths"].items():
        if operation := item.get("post"):
            operation["description"] = inspect.cleandoc(operation["description"])
            operation["responses"] = {"200": operation["responses"][HTTPStatus.OK], **refusals(ERRORS)}
            if path in forms:
                (given,) = operation["requestBody"]["content"].values()
                texts = {name: _text(each) for name, each in given["schema"]["properties"].items()}
                operation["requestBody"] = form_body(forms[path], texts)
    tree["paths"] |= beside
    about = {"title": service.name, "version": __version__, "description": service.inner.__doc__}
    return tree | {"info": about, "components": _COMPONENTS, "security": [{}, {"token": []}]}


def refusals(statuses: Iterable[int]) -> Tree:
    """Describe answers of these statuses: JSON, {"error": "one line"}."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def form_body(form: Form, texts: Mapping[str, Tree]) -> Tree:
    """Describe a form as the body of a request.

    Args:
        texts: schemas of its text fields, by their names.
    """
    files = (form.file_field, *sorted(form.files))
    properties: Tree = {name: {"type": "string", "format": "binary"} for name in files}
    for name in sorted(form.texts):
        properties[name] = texts[name] | ({"enum": [*form.choices[name]]} if name in form.choices else {})
    required = [form.file_field, *sorted(form.needs)]
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


def _text(given: Tree) -> Tree:
    """The schema of a text field, of which BentoML's has the default."""
    default = given.get("default")
    return {"type": "string"} if default is None else {"type": "string", "default": default}
