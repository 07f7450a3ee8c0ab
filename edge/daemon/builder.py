"""The process that builds TensorRT engines, so that those who wait for them need not."""

from __future__ import annotations

import sys

from edge.config import Config
from edge.daemon.child import enter_child
from edge.daemon.logs import set_up
from edge.daemon.pair import wanted_pair
from edge.daemon.runtime import load_models
from edge.errors import EdgeError


def main(fd: int, parent: int) -> int:
    """Load the models of the configuration in the first message; 0 when that worked."""
    channel = enter_child(fd, parent)
    for message in channel.receive(30.0):
        config = Config.from_json(message["config"])
        set_up(config.log, "builder")
        try:
            load_models(config, wanted_pair(config.models).bundle)
        except EdgeError:
            return 1
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
