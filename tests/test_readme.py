"""Each example of the README runs where it is pasted into the interactive prompt."""

import code
import re
import sys

import pytest

from tests.readme_picture import ROOT

BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


class Prompt(code.InteractiveConsole):
    """A prompt that passes errors on, as an AssertionError with what was typed."""

    def showtraceback(self):
        raise AssertionError("\n".join(self.buffer)) from sys.exc_info()[1]

    def showsyntaxerror(self, filename=None, **kwargs):
        raise AssertionError("\n".join(self.buffer)) from sys.exc_info()[1]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_an_example_runs_where_it_is_pasted(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    prompt = Prompt()
    waiting = [prompt.push(line) for line in block.splitlines()]
    assert not waiting[-1]
    assert not capsys.readouterr().err
