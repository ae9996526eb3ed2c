"""What the programs share: a package, and a line of managers from the budget to the work."""
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from golem.managers import (
    ConcurrentWorkManager,
    DefaultAgreementManager,
    DefaultPaymentManager,
    DefaultProposalManager,
    NegotiatingPlugin,
    PaymentPlatformNegotiator,
    PoolActivityManager,
    RefreshingDemandManager,
)
from golem.node import GolemNode
from golem.payload import RepositoryVmPayload
from golem.resources import NewDebitNote, NewInvoice

IMAGE_HASH = "d1ac20fe68acc37eba301878b0f6ab24929cf5f985ef420f6c479b14"
# A package that is named with its address is not looked up.
PACKAGE = f"hash:sha3:{IMAGE_HASH}:http://127.0.0.1:9/image.gvmi"


def payload(**more):
    return RepositoryVmPayload(package_url=PACKAGE, **more)


@asynccontextmanager
async def workers(golem: GolemNode, package, size, plugins=(), negotiators=(), network=None, on_start=None, **payment):
    """Work on `size` machines; prints at the end what became of every bill.

    Handlers are few and quick: golem-core's event bus stops when one is added while another one waits.
    """
    payments = DefaultPaymentManager(golem, shutdown_timeout=timedelta(seconds=30), **payment)
    demands = RefreshingDemandManager(golem, payments.get_allocation, [package])
    negotiating = NegotiatingPlugin(proposal_negotiators=[PaymentPlatformNegotiator(), *negotiators])
    proposals = DefaultProposalManager(golem, demands.get_initial_proposal, plugins=[*plugins, negotiating])
    agreements = DefaultAgreementManager(golem, proposals.get_draft_proposal)
    started = {"on_activity_start": on_start} if on_start else {}
    activities = PoolActivityManager(golem, agreements.get_agreement, pool_size=size, **started)
    works = ConcurrentWorkManager(golem, activities.get_activity, size=size)
    bills = []

    async def billed(event):
        bills.append(event.resource)

    async with golem:
        await golem.event_bus.on(NewInvoice, billed)
        await golem.event_bus.on(NewDebitNote, billed)
        managers = [network] if network else []
        async with AsyncExitStack() as stack:
            for manager in [*managers, payments, demands, proposals, agreements, activities, works]:
                await stack.enter_async_context(manager)
            yield works
        for bill in bills:
            data = await bill.get_data(force=True)
            if hasattr(data, "amount"):
                print(f"invoice {data.status.lower()}: {data.amount}", flush=True)
            else:
                print(f"debit note {data.status.lower()}: {data.total_amount_due}", flush=True)
