"""
Which strings permit which question, and what a refusal says.
"""

from buildbot_lite.control.questions import QuestionDesk, questions_of, sendings_of
from buildbot_lite.control.rights import MAY_CONTROL, MAY_LOOK, not_permitted, verbs_for
from buildbot_lite.errors import RefusedError
from buildbot_lite.master.grants.verbs import ADMIN, CONTROL, SUBMIT, WATCH
from buildbot_lite.storage.records.grants import Grant

from .test_admin import AdminDeskCase


class RightsTests(AdminDeskCase):
    def test_known(self) -> None:
        """
        The tables name only questions that there are.
        """
        own = {*self.desk.answers(), *self.desk.senders()}
        self.assertEqual(MAY_CONTROL - own, set())
        self.assertEqual(own & {*questions_of(self.desk.farm), *sendings_of(self.desk.farm)}, set())

    def test_least(self) -> None:
        """
        Each question of the farm's own belongs to the least right that permits it.
        """
        self.assertEqual(verbs_for("status")[0], WATCH)
        self.assertEqual(verbs_for("force")[0], CONTROL)
        self.assertEqual(verbs_for("grant"), (ADMIN,))
        self.assertLess(MAY_LOOK, MAY_CONTROL)

    def test_refusal(self) -> None:
        """
        A refusal says which command makes a string with the least right that permits the question.
        """
        for question, verbs, made in (
            ("status", verbs_for("status"), "watch"),
            ("force", verbs_for("force"), "control"),
            ("revoke", verbs_for("revoke"), "admin"),
            ("package-kill", {SUBMIT, "jobs", CONTROL}, "jobs TARGET"),
            ("package-list", {SUBMIT, WATCH}, "watch"),
            ("package-root", {"shell"}, "shell TARGET"),
            ("push", questions_of(self.desk.farm)["push"].elsewhere, "push TARGET"),
        ):
            self.assertEqual(
                str(not_permitted(self.desk.farm, question, verbs)),
                f"This string does not permit '{question}'.  Ask the farm's admin for one that does: buildbot-lite "
                f"grant {made}",
            )

    def test_of_a_submitter(self) -> None:
        """
        A submit string that is used to look at the farm is refused with the command for one that permits it.
        """
        desk = QuestionDesk(self.desk.farm, Grant(0, "b", SUBMIT, "b", "", None, 0.0))
        failure = self.failureResultOf(desk.ask({"ask": "status"}), RefusedError)
        self.assertTrue(str(failure.value).endswith(": buildbot-lite grant watch"), failure.value)
