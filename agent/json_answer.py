"""An answer that must be JSON and fit a schema: what the model is told, and whether it did it.

It asks no model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema.exceptions
import jsonschema.validators

from agent.errors import UsageError
from prompts import load


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer: its ``value`` and ``text`` (the JSON alone) when ``error`` is None, else what is wrong with it."""

    value: object = None
    text: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """A schema that was itself checked."""

    schema: Mapping[str, Any]

    def request(self) -> str:
        """What the model is told beside the prompt."""
        return load("json_answer", schema=json.dumps(self.schema))

    def complaint(self, error: str) -> str:
        """What the model is told when its answer does not fit."""
        return load("json_again", error=error)

    def check(self, answer: str) -> Checked:
        """The JSON value in an answer, with or without a code fence or words around it."""
        try:
            value, text = _find_value(answer)
        except ValueError as error:
            return Checked(error=str(error))
        validator = jsonschema.validators.validator_for(self.schema)(self.schema)
        problem = next(iter(validator.iter_errors(value)), None)
        if problem is None:
            return Checked(value, text)
        place = "/".join(str(part) for part in problem.absolute_path)
        return Checked(error=f"{place}: {problem.message}" if place else str(problem.message))


def read_schema(path: str) -> JsonSchema:
    """Read and check a schema file; raises UsageError."""
    try:
        schema: Any = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The schema {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"The schema {path} is not JSON: {error}.") from error
    try:
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except jsonschema.exceptions.SchemaError as error:
        raise UsageError(f"The schema {path} is not a valid JSON schema: {error.message}.") from error
    return JsonSchema(schema)


def _find_value(answer: str) -> tuple[Any, str]:
    """The first complete JSON object or array, or the whole answer; raises ValueError when there is none."""
    text = answer.strip()
    decoder = json.JSONDecoder()
    try:
        return json.loads(text), text
    except ValueError:
        pass
    for start, character in enumerate(text):
        if character in "{[":
            try:
                value, end = decoder.raw_decode(text, start)
            except ValueError:
                continue
            return value, text[start:end]
    raise ValueError("it holds no JSON value")
