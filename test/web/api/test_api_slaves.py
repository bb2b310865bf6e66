"""
Slaves in the API that the master does not tell of.
"""

from buildbot_lite.storage.records.slaves import Slave
from buildbot_lite.web.farm.slave_states import one_slave
from buildbot_lite.web.html.rendering import segment

from ...seeded.live_answers import LiveAnswers
from .api_case import SEEDING, ApiCase


class StoredSlaveTests(ApiCase):
    """
    Slaves that are in the records alone.
    """

    def test_not_configured(self) -> None:
        """
        Promise 10.5: a slave that master.cfg has no longer has a document as it has a page, with what the records have
        of it; it is in no list.
        """
        answers = LiveAnswers(SEEDING)
        *others, gone = answers.slaves()
        status = answers.to("status")
        assert status is not None
        self.master.answers["status"] = {"status": {**status["status"], "slaves": others}}
        address = f"/slaves/{segment(gone['slave'])}"
        found = self.call(address)
        self.assertEqual((found["state"], found["connected"], found["builders"]), ("not-configured", False, []))
        self.assertEqual(found["version"], "0.1.0")
        self.assertIsNotNone(found["attached"])
        self.assertNotIn(gone["slave"], [each["slave"] for each in self.call("/slaves")["slaves"]])
        self.assertIn("not configured", self.get(address).text)

    def test_row_adds(self) -> None:
        """
        The document of a slave that the master tells of has when it connected last, and what a master that has just
        started does not know yet.
        """
        answers = LiveAnswers(SEEDING)
        slave, *others = answers.slaves()
        status = answers.to("status")
        assert status is not None
        unknown = {**slave, "version": None, "platform": None}
        self.master.answers["status"] = {"status": {**status["status"], "slaves": [unknown, *others]}}
        found = self.call(f"/slaves/{segment(slave['slave'])}")
        self.assertEqual(found["state"], slave["state"])
        self.assertEqual(found["version"], "0.1.0")
        self.assertIn("hostname", found["platform"])
        self.assertIsNotNone(found["attached"])

    def test_unknown(self) -> None:
        """
        While the master has never answered, it is not known whether master.cfg has a slave.
        """
        row = Slave("oak", "home", "boot", "incarnation", "0.1.0", {}, 1.0, None, None)
        found = [one_slave(None, "oak", row), one_slave([], "oak", row)]
        self.assertEqual([(each or {})["state"] for each in found], ["unknown", "not-configured"])
        self.assertEqual((one_slave(None, "oak", None), one_slave([], "oak", None)), (None, None))
