"""The ``neurohorizon`` command: its table of verbs, and how errors reach the user.

Exit codes: 0 done; 2 the user can mend it (one line on stderr says what, where and how);
130 interrupted; 141 the reader of a pipe went away. A verb may return an int as its own
exit code. Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cyclopts import App, CycloptsError

from neurohorizon import __version__
from neurohorizon.errors import NeuroHorizonError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


@dataclass(frozen=True)
class Verb:
    """One row of the table of verbs.

    Parameters
    ----------
    words : str
        What the user types: ``"train"``, or ``"data show"`` for a verb in a group.
    function : str
        ``"file:function"`` in ``neurohorizon/cli``, imported when the verb is called.
    help : str
        The line that ``--help`` shows, so that it need not import the file.
    """

    words: str
    function: str
    help: str


GROUPS: dict[str, str] = {
    "demo": "See the whole way, on a world that is simulated for the purpose.",
    "data": "Get recordings: public data sets, and your own files.",
    "simulate": "Make recordings of worlds whose truth is known.",
    "config": "Show what can be configured and what a recipe comes to.",
    "bridge": "From visual cortex to pictures: fit bridges, find pictures by responses.",
}
"""First word of a group of verbs -> the line that ``--help`` shows for the group."""

VERBS: tuple[Verb, ...] = (
    Verb("doctor", "doctor:doctor", "Say what is installed, what is missing, what is broken."),
    Verb(
        "demo forecast",
        "demo:forecast",
        "Simulate a population, train a forecaster, score it beside every baseline, and report.",
    ),
    Verb(
        "demo decode",
        "demo:decode",
        "Simulate reaches, train POYO, score it beside simple decoders, and report.",
    ),
    Verb(
        "demo bridge",
        "demo_bridge:bridge",
        "Simulate a monkey that looks at pictures, draw them from its responses, and report.",
    ),
    Verb(
        "data list",
        "data_list:list_sources",
        "List the public data sets and the formats that can be prepared.",
    ),
    Verb(
        "data card",
        "data_card:card",
        "Tell a data set's licence, citation, size, settings and known problems.",
    ),
    Verb(
        "data fetch",
        "data_fetch:fetch",
        "Download sessions of a public data set and make recordings of them.",
    ),
    Verb(
        "data prepare",
        "data_prepare:prepare",
        "Make recordings of a data set, or of your own files.",
    ),
    Verb(
        "data embed",
        "data_embed:embed",
        "Embed pictures with a frozen image encoder; what is embedded already is kept.",
    ),
    Verb(
        "data responses",
        "data_responses:responses",
        "Count the spikes that follow each picture: responses that bridges are fitted to.",
    ),
    Verb(
        "data validate", "data_validate:validate", "Say what is wrong, or strange, with recordings."
    ),
    Verb(
        "data show",
        "data_show:show",
        "Draw a recording's session card, or a page on a folder of recordings.",
    ),
    Verb(
        "simulate population",
        "simulate:population",
        "Simulate sessions of a neural population, with the truth beside each.",
    ),
    Verb(
        "simulate ventral-stream",
        "simulate:ventral_stream",
        "Simulate a monkey that looks at drawn pictures, in the layout of TVSD.",
    ),
    Verb("features", "features:features", "Compute the 33 reference features of every unit."),
    Verb(
        "config list",
        "config:list_all",
        "List the recipes and the experiments, and what each is for.",
    ),
    Verb(
        "config explain",
        "config:explain",
        "Show every setting of a recipe and where its value comes from.",
    ),
    Verb(
        "config schema",
        "config:schema",
        "Print the JSON schema of recipes: every key, its type, default and meaning.",
    ),
    Verb(
        "baselines",
        "baselines:baselines",
        "Say how predictable recordings are: the baseline ladder alone, without a network.",
    ),
    Verb("train", "train:train", "Train a model as a recipe says."),
    Verb("evaluate", "evaluate:evaluate", "Score a run's model beside every baseline."),
    Verb("adapt", "adapt:adapt", "Adapt a run's model to a session with some minutes of it."),
    Verb("decode", "decode:decode", "Decode every task of a run over the whole of a recording."),
    Verb("forecast", "forecast:forecast", "Forecast the rates of every unit of a recording."),
    Verb(
        "export",
        "export:export",
        "Write a run's scored forecasts and their targets, for other benchmarks' own code.",
    ),
    Verb(
        "sweep",
        "sweep:sweep",
        "Train and evaluate a grid of settings, or an experiment, and write one table of it.",
    ),
    Verb("search", "search:search", "Search the settings that validate best, with Optuna."),
    Verb("compare", "compare:compare", "Set several runs side by side, with paired differences."),
    Verb(
        "report",
        "report:report",
        "Write a run's results as one HTML page, with all figures and the numbers behind them.",
    ),
    Verb(
        "bridge pretrain",
        "bridge_pretrain:pretrain",
        "Pretrain a Perceiver on responses alone: it learns to say electrodes that are hidden from "
        "it.",
    ),
    Verb(
        "bridge align",
        "bridge_align:align",
        "Tune and fit bridges from responses to the space of pictures, every row of the ladder.",
    ),
    Verb(
        "bridge embed",
        "bridge_embed:embed",
        "Write the embeddings that responses speak for, as banks: out of fold, and of the test.",
    ),
    Verb(
        "bridge retrieve",
        "bridge_retrieve:retrieve",
        "Find the test pictures by the responses to them, and the responses by their pictures.",
    ),
    Verb(
        "bridge train-encoder",
        "bridge_train_encoder:train_encoder",
        "Train a small image encoder on pictures at hand, with labels or without; no download.",
    ),
    Verb(
        "bridge train-judge",
        "bridge_train_judge:train_judge",
        "Train a judge that says which shape, hue and surface a drawn picture shows.",
    ),
    Verb(
        "bridge train-generator",
        "bridge_train_generator:train_generator",
        "Train a network that draws pictures from embeddings; no download.",
    ),
    Verb(
        "bridge train-adapter",
        "bridge_train_adapter:train_adapter",
        "Train tokens that tell Stable Diffusion what to draw, through its frozen denoiser.",
    ),
    Verb(
        "bridge reconstruct",
        "bridge_reconstruct:reconstruct",
        "Draw the test pictures from the responses to them, and score what was drawn.",
    ),
    Verb(
        "bench",
        "bench:bench",
        "Measure how fast windows are read and the tiny model trains and forecasts.",
    ),
)
"""Every verb, in the order in which ``--help`` lists them."""

HINTS: dict[int, str] = {
    errno.ENOSPC: "free some space there and run the same command again",
    errno.EDQUOT: "free some of your quota there and run the same command again",
    errno.EFBIG: "the disk or your limit (ulimit -f) allows no such file: choose another place",
    errno.EACCES: "check who may read and write there",
    errno.EPERM: "check who may read and write there",
    errno.EROFS: "choose a folder that can be written to",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "a file is wanted, not a folder",
}
"""What to do about the errors of the operating system that a user can mend."""


def build_app(
    tokens: Sequence[str] = (),
    *,
    verbs: Sequence[Verb] = VERBS,
    groups: dict[str, str] = GROUPS,
) -> App:
    """Build the command-line application from the table of verbs.

    Parameters
    ----------
    tokens : sequence of str
        The arguments that will be parsed: the verb that they call shows the whole of its
        docstring as help, the others the line in the table.
    verbs : sequence of Verb
        The table; nothing that it names is imported.
    groups : dict of str to str
        Help line of each group that the table's verbs belong to.

    Returns
    -------
    cyclopts.App
        Parses and calls; raises instead of printing errors or exiting.
    """
    app = App(
        name="neurohorizon",
        help="Forecast, decode and see: models of neural population recordings.",
        version=__version__,
        help_format="markdown",
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    group_apps: dict[str, App] = {}
    for position, verb in enumerate(verbs):
        *group, name = verb.words.split()
        parent = app
        if group:
            word = group[0]
            if word not in group_apps:
                group_apps[word] = App(
                    name=word, help=groups[word], version=__version__, sort_key=position
                )
                app.command(group_apps[word])
            parent = group_apps[word]
        called = list(tokens[: len(group) + 1]) == [*group, name]
        parent.command(
            f"neurohorizon.cli.{verb.function}",
            name=name,
            help=None if called else verb.help,
            sort_key=position,
        )
    return app


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command line and turn what went wrong into one line and an exit code.

    Parameters
    ----------
    tokens : sequence of str, optional
        Arguments after the command's name; those of the process by default.

    Returns
    -------
    int
        The exit code, as the module's text lists them.

    Notes
    -----
    With ``NEUROHORIZON_TRACEBACK=1`` in the environment errors keep their traceback.
    """
    tokens = list(sys.argv[1:] if tokens is None else tokens)
    try:
        result = build_app(tokens)(tokens)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError as error:
        if _stdout_is_gone():
            return EXIT_BROKEN_PIPE
        return _refuse(error, _describe(error))
    except CycloptsError as error:
        command = " ".join(["neurohorizon", *(error.command_chain or ())])
        return _refuse(error, f"{error} ('{command} --help' shows how)")
    except NeuroHorizonError as error:
        return _refuse(error, str(error))
    except OSError as error:
        return _refuse(error, _describe(error))
    return result if isinstance(result, int) else 0


def _refuse(error: BaseException, message: str) -> int:
    if os.environ.get("NEUROHORIZON_TRACEBACK") == "1":
        raise error
    print("error:", " ".join(message.split()), file=sys.stderr)
    return EXIT_USER_ERROR


def _describe(error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    hint = HINTS.get(error.errno or 0)
    return f"{error.strerror or error}{where}" + (f" ({hint})" if hint else "")


def _stdout_is_gone() -> bool:
    """Tell whether it is our own output that nobody reads, and if so let go of it."""
    try:
        print(flush=True)  # only writing tells
    except BrokenPipeError:
        # The interpreter flushes once more at exit: give it somewhere to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
