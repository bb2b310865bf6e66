"""
``twistd buildbot-lite-master`` and ``twistd buildbot-lite-slave``.
"""

from twisted.application.service import ServiceMaker

buildbot_lite_master = ServiceMaker(
    "buildbot_lite master",
    "buildbot_lite.master_tap",
    "The master of a build farm in which a slave is one string.",
    "buildbot-lite-master",
)
buildbot_lite_slave = ServiceMaker(
    "buildbot_lite slave",
    "buildbot_lite.slave_tap",
    "A slave of a buildbot_lite farm.",
    "buildbot-lite-slave",
)
