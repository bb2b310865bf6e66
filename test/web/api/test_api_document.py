"""
docs/api.md: its examples work.
"""

import shlex
from pathlib import Path

from .api_case import ApiCase

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"
HERE = "http://localhost:8010"


class ApiDocumentTests(ApiCase):
    """
    The examples in docs/api.md.
    """

    def test_examples(self) -> None:
        """
        Every example that reads is answered, of a farm that has the builder of the examples.
        """
        builder = self.call("/builds?result=SUCCESS")["builds"][0]
        count = 0
        for line in DOCUMENT.read_text().splitlines():
            if not line.startswith("curl ") or HERE not in line:
                continue
            words = shlex.split(line.replace("linux/1", f"{builder['builder']}/{builder['number']}"))
            headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
            self.assertEqual(words[-1][: len(HERE)], HERE)
            answer = self.get(words[-1].removeprefix(HERE), headers)
            self.assertIn(answer.status, (200, 206), line)
            count += 1
        self.assertGreater(count, 10)
