"""golem-core leaves an activity behind; another node goes on with it by its id, pays for it and ends it."""
import asyncio

from golem.managers import PaymentPlatformNegotiator
from golem.node import GolemNode
from golem.resources import NewDebitNote, NewInvoice
from golem.resources.activity import commands

from support import payload


async def negotiated(demand):
    """A provider's answer to our answer, in which a payment platform is chosen."""
    terms = await demand.get_demand_data()
    async for proposal in demand.initial_proposals():
        await PaymentPlatformNegotiator()(terms, await proposal.get_proposal_data())
        answer = await proposal.respond(terms.properties, terms.constraints)
        async for offer in answer.responses():
            return offer


async def leave():
    async with GolemNode(collect_payment_events=False, app_session_id=None) as golem:
        allocation = await golem.create_allocation(0.1)
        demand = await golem.create_demand(payload(), allocations=[allocation])
        agreement = await (await negotiated(demand)).create_agreement(autoclose=False)
        await agreement.confirm()
        assert await agreement.wait_for_approval()
        activity = await agreement.create_activity(autoclose=False)
        begin = [commands.Deploy(), commands.Start(), commands.Run("echo left behind > /golem/work/note")]
        await (await activity.execute_commands(*begin)).wait(20)
        return agreement.id, activity.id


async def take_over(agreement_id, activity_id):
    golem = GolemNode(app_session_id=None)  # hears of the bills of all sessions
    paid = asyncio.Queue()

    async def pay(event):
        allocation = await golem.create_allocation(0.1)
        await event.resource.accept_full(allocation)
        await allocation.release()
        await paid.put(event.resource)

    async with golem:
        await golem.event_bus.on(NewDebitNote, pay)
        await golem.event_bus.on(NewInvoice, pay)
        activity, agreement = golem.activity(activity_id), golem.agreement(agreement_id)
        print(f"found: {(await activity.get_state()).state[0]}", flush=True)
        batch = await activity.execute_commands(commands.Run("cat /golem/work/note"))
        await batch.wait(20)
        print(f"note: {batch.events[-1].stdout.strip()}", flush=True)
        await activity.destroy()
        await agreement.terminate("done")
        for _ in range(2):
            bill = await asyncio.wait_for(paid.get(), 30)
            data = await bill.get_data(force=True)
            if hasattr(data, "amount"):
                print(f"invoice {data.status.lower()}: {data.amount}", flush=True)
            else:
                print(f"debit note {data.status.lower()}: {data.total_amount_due}", flush=True)
        print(f"agreement: {(await agreement.get_data(force=True)).state}", flush=True)


async def main():
    await take_over(*await leave())
    print("done", flush=True)


asyncio.run(main())
