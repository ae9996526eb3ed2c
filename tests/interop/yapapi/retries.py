"""Results that are rejected go to another machine; a float as budget, a filter on providers, the summary log."""
import asyncio
from collections import Counter
from datetime import timedelta

from yapapi import Golem, Task, WorkContext
from yapapi.contrib.strategy import ProviderFilter
from yapapi.log import SummaryLogger
from yapapi.payload import vm
from yapapi.strategy import DecreaseScoreForUnconfirmedAgreement, LeastExpensiveLinearPayuMS

from support import IMAGE_HASH, Facts, image_server

tries = Counter()
events = Counter()
computed = {}


async def worker(context: WorkContext, tasks):
    async for task in tasks:
        script = context.new_script(timeout=timedelta(seconds=30))
        answer = script.run("/bin/sh", "-c", f"echo $(({task.data} * 3))")
        yield script
        tries[task.data] += 1
        if task.data % 2 and tries[task.data] == 1:
            computed[task.data] = context.provider_id
            task.reject_result("once more", retry=True)
        else:
            assert computed.get(task.data) != context.provider_id, "tried again by the same machine"
            task.accept_result(result=int((await answer).stdout))


async def main():
    with image_server() as url:
        package = await vm.repo(image_hash=IMAGE_HASH, image_url=url)
    refused = set()

    def allowed(provider):
        """The first provider that comes along is not wanted."""
        if not refused:
            refused.add(provider)
        return provider not in refused

    strategy = DecreaseScoreForUnconfirmedAgreement(LeastExpensiveLinearPayuMS(), 0.5)
    # yapapi writes all 55 digits of this float.
    golem = Golem(
        budget=0.1,
        event_consumer=SummaryLogger().log,
        strategy=ProviderFilter(strategy, allowed),
        payment_driver="erc20",
        payment_network="polygon",
    )
    golem.add_event_consumer(strategy.on_event)
    golem.add_event_consumer(Facts())
    golem.add_event_consumer(lambda event: events.update([type(event).__name__]))
    results = {}
    async with golem:
        tasks = [Task(data=number) for number in range(6)]
        async for done in golem.execute_tasks(
            worker, tasks, payload=package, max_workers=3, timeout=timedelta(minutes=10)
        ):
            results[done.data] = done.result
    print(f"results: {[results[number] for number in sorted(results)]}", flush=True)
    print(f"rejected: {events['TaskRejected']}, accepted: {events['TaskAccepted']}", flush=True)
    print(f"offers refused: {events['ProposalRejected'] >= 1}", flush=True)
    print(f"all ended: {events['AgreementTerminated'] == events['AgreementConfirmed']}", flush=True)
    print("done", flush=True)


asyncio.run(main())
