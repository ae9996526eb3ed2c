"""A provider that is not paid within the twelve hours that were agreed, and goes. In virtual time only."""
import asyncio
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from ya_market import RequestorApi
from yapapi import props, rest
from yapapi.config import ApiConfig
from yapapi.props.builder import DemandBuilder

from lowlevel import PLATFORM, run
from support import IMAGE_HASH

began = datetime.now(timezone.utc)
AGREED = {
    "golem.com.payment.debit-notes.accept-timeout?": 240,
    "golem.com.scheme.payu.debit-note.interval-sec?": 120,
    "golem.com.scheme.payu.payment-timeout-sec?": 12 * 3600,
}


async def agreed(subscription, demand):
    async for proposal in subscription.events():
        if not proposal.is_draft:
            await proposal.respond({**demand.properties, "golem.com.payment.chosen-platform": PLATFORM}, demand.constraints)
            continue
        agreement = await proposal.create_agreement(timedelta(minutes=5))
        assert await agreement.confirm()
        return agreement


async def main():
    config = rest.Configuration(api_config=ApiConfig())
    async with config.market() as market, config.payment() as payment, config.activity() as activity:
        payment = rest.Payment(payment)
        address = [a.address async for a in payment.accounts() if a.platform == PLATFORM][0]
        async with payment.new_allocation(Decimal("0.5"), PLATFORM, address) as allocation:
            demand = DemandBuilder()
            demand.add(props.NodeInfo(subnet_tag="public"))
            demand.add(props.Activity(expiration=began + timedelta(hours=30), multi_activity=True))
            decoration = await payment.decorate_demand([allocation.id])
            demand.properties.update({p.key: p.value for p in decoration.properties}, **AGREED)
            demand.properties["golem.srv.comp.task_package"] = f"hash:sha3:{IMAGE_HASH}:http://127.0.0.1:9/image.gvmi"
            for constraint in [*decoration.constraints, "(golem.runtime.name=vm)"]:
                demand.ensure(constraint)
            notes, invoices = payment.incoming_debit_note_ids(), payment.incoming_invoices()
            async with await demand.subscribe(rest.Market(market)) as subscription:
                agreement = await agreed(subscription, demand)
            async with await rest.Activity(activity).new_activity(agreement.id) as machine:
                script = [{"deploy": {}}, {"start": {}}, run("/bin/sh", "-c", "sleep 60")]
                async for _ in await machine.send(script, began + timedelta(minutes=10)):
                    pass
            note = await payment.debit_note(await anext(notes))
            await note.accept(amount=Decimal(note.total_amount_due), allocation=allocation)
            hours = (note.payment_due_date - note.timestamp).total_seconds() / 3600
            print(f"to be paid within {hours:.0f} h", flush=True)
            while (await RequestorApi(market).get_agreement(agreement.id)).state == "Approved":
                await asyncio.sleep(600)
            hours = (datetime.now(timezone.utc) - began).total_seconds() / 3600
            print(f"left after {hours:.1f} h", flush=True)
            invoice = await anext(invoices)
            await invoice.accept(amount=Decimal(invoice.amount), allocation=allocation)
    print("done", flush=True)


asyncio.run(main())
