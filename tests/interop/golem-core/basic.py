"""golem-core: three pieces of work on rented machines, found, scored, rented and paid by its managers."""
import asyncio
from dataclasses import dataclass
from datetime import timedelta

from golem.managers import (
    DefaultAgreementManager,
    DefaultPaymentManager,
    DefaultProposalManager,
    LinearAverageCostPricing,
    MapScore,
    NegotiatingPlugin,
    PaymentPlatformNegotiator,
    PoolActivityManager,
    ProposalScoringBuffer,
    RefreshingDemandManager,
    ConcurrentWorkManager,
    WorkContext,
    WorkResult,
)
from golem.node import GolemNode
from golem.payload import RepositoryVmPayload
from golem.resources import NewInvoice

IMAGE_HASH = "d1ac20fe68acc37eba301878b0f6ab24929cf5f985ef420f6c479b14"
# A package that is named with its address is not looked up.
PACKAGE = f"hash:sha3:{IMAGE_HASH}:http://127.0.0.1:9/image.gvmi"


def work(number):
    async def square(context: WorkContext):
        batch = await context.run(f"echo {number * number}", shell=True)
        await batch.wait(30)
        print(f"work by {await context.get_provider_name()}", flush=True)
        return WorkResult(result=int(batch.events[-1].stdout))

    return square


async def main():
    payload = RepositoryVmPayload(package_url=PACKAGE)
    golem = GolemNode()
    payments = DefaultPaymentManager(golem, budget=1.0, shutdown_timeout=timedelta(seconds=30))
    demands = RefreshingDemandManager(golem, payments.get_allocation, [payload])
    pricing = LinearAverageCostPricing(average_cpu_load=1, average_duration=timedelta(seconds=60))
    proposals = DefaultProposalManager(
        golem,
        demands.get_initial_proposal,
        plugins=[
            ProposalScoringBuffer(
                min_size=4,
                max_size=8,
                fill_at_start=True,
                proposal_scorers=[MapScore(pricing, normalize=True, normalize_flip=True)],
                scoring_debounce=timedelta(seconds=1),
            ),
            NegotiatingPlugin(proposal_negotiators=[PaymentPlatformNegotiator()]),
        ],
    )
    agreements = DefaultAgreementManager(golem, proposals.get_draft_proposal)
    activities = PoolActivityManager(golem, agreements.get_agreement, pool_size=2)
    works = ConcurrentWorkManager(golem, activities.get_activity, size=2)
    invoices = []

    async def note(event):
        invoices.append(event.resource)

    async with golem:
        await golem.event_bus.on(NewInvoice, note)
        async with payments, demands, proposals, agreements, activities, works:
            results = await works.do_work_list([work(number) for number in (2, 3, 4)])
            print(f"results: {sorted(result.result for result in results)}", flush=True)
        for invoice in invoices:
            data = await invoice.get_data(force=True)
            print(f"invoice: {data.status} {data.amount}", flush=True)
    print("done", flush=True)


asyncio.run(main())
