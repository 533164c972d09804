"""The least role that each operation needs. A test compares it with the table that walks every endpoint and role."""

from typing import NamedTuple


class Access(NamedTuple):
    """`least` is a role in the project, or words for those that are none; `run`: whether a run token may."""

    least: str
    run: bool = False
    more: str = ""
    """What goes beyond the role."""


ANYBODY = Access("anybody")
LINK = Access("whoever has its link, for an hour")
SITE = Access("the site of one attempt, by its secret address")
LOGIN = Access("needs no login, and fails without a right password")
USER = Access("any user")
ADMIN = Access("admin")
OWN = Access("the owner of these settings")
OWN_SCHEDULES = "; a researcher for schedules of their own"
OWN_RUNS = "; a researcher for runs of their own"

ROLES: dict[str, Access] = {
    "showVersion": ANYBODY,
    "showHealth": ANYBODY,
    "tellOfJob": SITE,
    "createTokens": LOGIN,
    "refreshTokens": LOGIN,
    "showMe": USER,
    "listApiTokens": USER,
    "createApiToken": USER,
    "revokeApiToken": OWN,
    "listUsers": USER,
    "createUser": ADMIN,
    "showUser": ADMIN,
    "disableUser": ADMIN,
    "enableUser": ADMIN,
    "listProjects": USER,
    "createProject": USER,
    "showProject": Access("guest"),
    "changeProject": Access("maintainer"),
    "deleteProject": Access("owner"),
    "listMembers": Access("guest"),
    "setMember": Access("maintainer"),
    "removeMember": Access("maintainer"),
    "showBudget": Access("guest"),
    "setBudget": Access("maintainer"),
    "listExperiments": Access("guest"),
    "createExperiment": Access("researcher"),
    "showExperiment": Access("guest"),
    "changeExperiment": Access("researcher"),
    "deleteExperiment": Access("maintainer"),
    "uniqueRunName": Access("guest"),
    "listCode": Access("guest"),
    "createCode": Access("researcher"),
    "showCode": Access("guest"),
    "changeCode": Access("researcher"),
    "deleteCode": Access("maintainer"),
    "submitRun": Access("researcher"),
    "listRuns": Access("guest"),
    "getRun": Access("guest", run=True),
    "deleteRun": Access("maintainer", more=OWN_RUNS),
    "reportRunStatus": Access("maintainer", run=True, more=OWN_RUNS),
    "reportInfrastructure": Access("maintainer", run=True, more=OWN_RUNS),
    "reportNotebookSource": Access("maintainer", run=True, more=OWN_RUNS),
    "cancelRun": Access("maintainer", more=OWN_RUNS),
    "listRunEvents": Access("guest", run=True),
    "readRunLog": Access("guest", run=True),
    "listSchedules": Access("guest"),
    "createSchedule": Access("researcher"),
    "previewExpression": Access("guest"),
    "showSchedule": Access("guest"),
    "changeSchedule": Access("maintainer", more=OWN_SCHEDULES),
    "deleteSchedule": Access("maintainer", more=OWN_SCHEDULES),
    "previewSchedule": Access("guest"),
    "listFirings": Access("guest"),
    "pauseSchedule": Access("maintainer", more=OWN_SCHEDULES),
    "resumeSchedule": Access("the owner of its connection"),
    "fireNow": Access("researcher", more="; with another's schedule by a connection of their own"),
    "listModels": Access("guest"),
    "registerModel": Access("researcher"),
    "showModel": Access("guest"),
    "renameModel": Access("researcher"),
    "unregisterModel": Access("researcher"),
    "downloadModel": Access("reporter"),
    "showModelImage": Access("reporter"),
    "buildModelImage": Access("researcher"),
    "downloadModelImage": LINK,
    "showRetention": Access("guest"),
    "changeRetention": Access("maintainer"),
    "previewRetention": Access("reporter"),
    "listSites": USER,
    "createSite": ADMIN,
    "scanHostKeys": ADMIN,
    "showSite": USER,
    "changeSite": ADMIN,
    "deleteSite": ADMIN,
    "listConnections": OWN,
    "createConnection": OWN,
    "showConnection": OWN,
    "changeConnection": OWN,
    "deleteConnection": OWN,
    "checkConnection": OWN,
    "renewCredential": OWN,
    "listSubscriptions": OWN,
    "createSubscription": OWN,
    "showSubscription": OWN,
    "changeSubscription": OWN,
    "deleteSubscription": OWN,
    "testSubscription": OWN,
    "listDeliveries": OWN,
}
