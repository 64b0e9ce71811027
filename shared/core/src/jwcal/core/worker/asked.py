"""What a job may not ask for: the parameters come from elsewhere, code and files of this machine do not."""

import re
from collections.abc import Mapping
from typing import Any

from jwcal.core.errors import InvalidParameter
from jwcal.core.step import FileUse, StepDefinition, file_parameters

_HOOKS = ("pre_hooks", "post_hooks")
_PLAIN_NAME = re.compile(r"^\w[\w.-]*$")


def check_parameters(parameters: Mapping[str, Mapping[str, Any]], known: Mapping[str, StepDefinition]) -> None:
    """Refuse hooks, files to read, and names of files to write that lead out of the job's directory.

    Raises
    ------
    InvalidParameter
    """
    for step, values in parameters.items():
        for name in _HOOKS:
            if values.get(name):
                raise InvalidParameter(
                    f"{step}.{name} cannot be set for a service", remedy="install the hook as an entry point"
                )
        for name, use in file_parameters(known[step].params).items() if step in known else ():
            value = values.get(name)
            if value is None or value in ((), [], "", "None"):
                continue
            if use is FileUse.READ:
                raise InvalidParameter(
                    f"{step}.{name} cannot be set for a service, which reads no files of its machine",
                    remedy="override the reference by an object of the store, or run the stage locally",
                )
            if not _PLAIN_NAME.match(str(value)):
                raise InvalidParameter(
                    f"{step}.{name} = {str(value)[:100]!r} is not a plain file name", remedy="leave out directories"
                )
