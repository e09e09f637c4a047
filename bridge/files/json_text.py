"""JSON text to plain data, with the place of every key and value; the counterpart of `yaml_text`."""

from __future__ import annotations

import json
import re

from bridge.errors import ConfigError
from bridge.files import yaml_text
from bridge.files.yaml_text import Document


def load(text: str, file: str) -> Document:
    """Return a JSON text as data with the place of every value.

    Raises:
        ConfigError: it is no JSON, or holds what `yaml_text` refuses.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        line, column = getattr(error, "lineno", 1), getattr(error, "colno", 1)
        message = f"not valid JSON: {getattr(error, 'msg', 'a number is too long')}"
        raise ConfigError(message, file, line, column) from None
    except RecursionError:
        raise ConfigError("lists and maps are nested too deep", file) from None
    # JSON is YAML but for tabs between values and escapes of half characters; the first are harmless as spaces, and
    # for the second the data of the JSON parser is the right one.
    document = yaml_text.load(re.sub(r"\\u[dD][89a-fA-F]..", r"\\u0020", text.replace("\t", " ")), file)
    if document.faults:  # the JSON parser takes the last of two keys
        raise document.faults[0]
    return document._replace(data=data)
