"""yapapi.rest without its engine: a demand, a proposal rejected and one answered, an agreement, polled and streamed batches, the bills."""
import asyncio
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from yapapi import props, rest
from yapapi.config import ApiConfig
from yapapi.props.builder import DemandBuilder

from support import IMAGE_HASH

PLATFORM = "erc20-holesky-tglm"
CAPTURE = {"stdout": {"atEnd": {"tail": 4}}, "stderr": {"stream": {"format": "string"}}}


def run(*command):
    return {"run": {"entry_point": command[0], "args": list(command[1:]), "capture": CAPTURE}}


async def negotiated(subscription, demand):
    """The first agreement that a provider approves; the first offer is not wanted."""
    rejected = False
    answer = {**demand.properties, "golem.com.payment.chosen-platform": PLATFORM}
    async for proposal in subscription.events():
        if proposal.is_draft:
            agreement = await proposal.create_agreement(timedelta(minutes=5))
            if await agreement.confirm():
                return agreement
        elif rejected:
            await proposal.respond(answer, demand.constraints)
        else:
            rejected = True
            await proposal.reject("not you")


async def work(activities, agreement):
    soon = datetime.now(timezone.utc) + timedelta(seconds=30)
    script = [{"deploy": {}}, {"start": {}}, run("/bin/sh", "-c", "echo some out; echo beside >&2"), run("/bin/false")]
    async with await activities.new_activity(agreement.id) as activity:
        async for _, result in await activity.send(script, soon):
            told = [result[key] for key in ("success", "stdout", "stderr", "message")]
            print(f"polled {result['cmd_idx']}: {told}", flush=True)
        print(f"state: {(await activity.state()).state[0]}", flush=True)
    stream = {"stdout": {"stream": {}}}
    script = [{"deploy": {}}, {"start": {}}, {"run": {"entry_point": "/bin/echo", "args": ["out"], "capture": stream}}]
    async with await activities.new_activity(agreement.id, stream_events=True) as activity:
        async for event, result in await activity.send(script, soon):
            if result["cmd_idx"] == 2:
                print(f"streamed: {event.__name__} {result.get('output', '').strip()}", flush=True)


async def settle(payment, agreement, allocation, invoices, notes):
    invoice = await asyncio.wait_for(anext(invoices), 30)
    assert invoice.agreement_id == agreement.id, invoice
    for _ in invoice.activity_ids:
        note = await payment.debit_note(await asyncio.wait_for(anext(notes), 30))
        await note.accept(amount=Decimal(note.total_amount_due), allocation=allocation)
        print(f"debit note accepted: {note.total_amount_due}", flush=True)
    await invoice.accept(amount=Decimal(invoice.amount), allocation=allocation)
    print(f"invoice accepted: {invoice.amount}", flush=True)
    known = await payment.invoice(invoice.invoice_id)
    print(f"known as: {known.status}", flush=True)
    print(f"spent: {(await allocation.details()).spent_amount == Decimal(invoice.amount)}", flush=True)


async def main():
    config = rest.Configuration(api_config=ApiConfig())
    async with config.market() as market, config.payment() as payment, config.activity() as activity:
        payment = rest.Payment(payment)
        address = [a.address async for a in payment.accounts() if a.platform == PLATFORM][0]
        async with payment.new_allocation(Decimal("0.5"), PLATFORM, address) as allocation:
            demand = DemandBuilder()
            demand.add(props.NodeInfo(subnet_tag="public"))
            demand.add(props.Activity(expiration=datetime.now(timezone.utc) + timedelta(minutes=20), multi_activity=True))
            decoration = await payment.decorate_demand([allocation.id])
            demand.properties.update({p.key: p.value for p in decoration.properties})
            demand.properties["golem.srv.comp.task_package"] = f"hash:sha3:{IMAGE_HASH}:http://127.0.0.1:9/image.gvmi"
            for constraint in [*decoration.constraints, "(golem.runtime.name=vm)"]:
                demand.ensure(constraint)
            invoices, notes = payment.incoming_invoices(), payment.incoming_debit_note_ids()
            async with await demand.subscribe(rest.Market(market)) as subscription:
                agreement = await negotiated(subscription, demand)
            details = await agreement.get_details()
            print(f"agreement with {details.provider_node_info.name}", flush=True)
            await work(rest.Activity(activity), agreement)
            ended = [await agreement.terminate({"message": "Done"}) for _ in range(2)]
            print(f"ended: {ended}", flush=True)
            await settle(payment, agreement, allocation, invoices, notes)
        print(f"left: {[a.id async for a in payment.allocations()]}", flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
