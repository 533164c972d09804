"""What belongs to one project. Making these asks nothing of the gateway."""

from gateway.client.budget import AsyncBudget, Budget
from gateway.client.drivers import AsyncDriver, Driver
from gateway.client.kinds import CODE, EXPERIMENT, of_project
from gateway.client.listings import AsyncListing, Listing
from gateway.client.members import AsyncMembers, Members
from gateway.client.models import AsyncModels, Models
from gateway.client.names import Ref
from gateway.client.retention import AsyncRetention, Retention
from gateway.client.runs import AsyncRuns, Runs
from gateway.client.schedules import AsyncSchedules, Schedules
from gateway.schemas.projects import CodeView, CreateCode, CreateExperiment, ExperimentView


class Project:
    """Its members, experiment repositories, code repositories, budget guard, retention rules, runs, schedules and
    models."""

    def __init__(self, driver: Driver, ref: Ref | None) -> None:
        session = driver.session
        self.experiments: Listing[ExperimentView, CreateExperiment] = Listing(
            driver, EXPERIMENT, of_project(session, ref, "/experiments")
        )
        self.code: Listing[CodeView, CreateCode] = Listing(driver, CODE, of_project(session, ref, "/code"))
        self.members = Members(driver, of_project(session, ref, "/members"))
        self.budget = Budget(driver, of_project(session, ref, "/budget"))
        self.runs = Runs(driver, of_project(session, ref, "/runs"))
        self.schedules = Schedules(driver, of_project(session, ref, "/schedules"))
        self.models = Models(driver, of_project(session, ref, "/models/trained"))
        self.retention = Retention(driver, of_project(session, ref, "/retention"))


class AsyncProject:
    """As `Project`."""

    def __init__(self, driver: AsyncDriver, ref: Ref | None) -> None:
        session = driver.session
        self.experiments: AsyncListing[ExperimentView, CreateExperiment] = AsyncListing(
            driver, EXPERIMENT, of_project(session, ref, "/experiments")
        )
        self.code: AsyncListing[CodeView, CreateCode] = AsyncListing(driver, CODE, of_project(session, ref, "/code"))
        self.members = AsyncMembers(driver, of_project(session, ref, "/members"))
        self.budget = AsyncBudget(driver, of_project(session, ref, "/budget"))
        self.runs = AsyncRuns(driver, of_project(session, ref, "/runs"))
        self.schedules = AsyncSchedules(driver, of_project(session, ref, "/schedules"))
        self.models = AsyncModels(driver, of_project(session, ref, "/models/trained"))
        self.retention = AsyncRetention(driver, of_project(session, ref, "/retention"))
