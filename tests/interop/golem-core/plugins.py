"""golem-core's plugins: dear offers rejected, others scored, payments on the way negotiated, work tried again."""
import asyncio
from datetime import timedelta

from golem.managers import (
    LinearAverageCostPricing,
    MapScore,
    MidAgreementPaymentsNegotiator,
    PropertyValueLerpScore,
    ProposalScoringBuffer,
    RejectIfCostsExceeds,
    WorkContext,
    WorkResult,
)
from golem.managers.work.plugins import retry, work_plugin
from golem.node import GolemNode

from support import payload, workers

tries = []


@work_plugin(retry(tries=3))
async def flaky(context: WorkContext):
    tries.append(await context.get_provider_name())
    batch = await context.run("exit 4" if len(tries) < 3 else "echo at last")
    await batch.wait(20)
    return WorkResult(result=batch.events[-1].stdout.strip())


async def long(context: WorkContext):
    batch = await context.run("sleep 1; echo worked")
    await batch.wait(20)
    return WorkResult(result=batch.events[-1].stdout.strip())


async def main():
    pricing = LinearAverageCostPricing(average_cpu_load=0.2, average_duration=timedelta(seconds=10))
    plugins = [
        RejectIfCostsExceeds(1, pricing),
        ProposalScoringBuffer(
            min_size=4,
            max_size=8,
            fill_at_start=True,
            proposal_scorers=[
                MapScore(pricing, normalize=True, normalize_flip=True),
                PropertyValueLerpScore("golem.inf.mem.gib", zero_at=1, one_at=8),
            ],
            scoring_debounce=timedelta(seconds=1),
        ),
    ]
    often = MidAgreementPaymentsNegotiator(
        min_debit_note_interval=timedelta(seconds=1),
        optimal_debit_note_interval=timedelta(seconds=2),
        min_payment_timeout=timedelta(seconds=60),
        optimal_payment_timeout=timedelta(minutes=5),
    )
    async with workers(GolemNode(), payload(), size=2, plugins=plugins, negotiators=[often], budget=0.3) as works:
        first, second = await works.do_work_list([flaky, long])
        for answer in (first, second):
            if answer.exception:
                raise answer.exception
        print(f"results: {sorted([first.result, second.result])}", flush=True)
    print(f"tries: {len(tries)}", flush=True)
    print("done", flush=True)


asyncio.run(main())
