"""yapapi's least expensive strategy: once all offers are in, the cheapest provider gets the agreement."""
import asyncio
from datetime import timedelta
from decimal import Decimal

from yapapi import Golem, Task, WorkContext
from yapapi.payload import vm
from yapapi.props import com
from yapapi.strategy import LeastExpensiveLinearPayuMS

from support import IMAGE_HASH, Facts, image_server

PROVIDERS = 8
scores = {}


def cost(offer):
    linear = com.ComLinear.from_properties(offer.props)
    return linear.fixed_price + sum(linear.price_for.values()) * 60


class Patient(LeastExpensiveLinearPayuMS):
    """Notes the price of every provider."""

    async def score_offer(self, offer):
        score = await super().score_offer(offer)
        scores[offer.issuer] = (float(cost(offer)), score)
        return score


async def worker(context: WorkContext, tasks):
    async for task in tasks:
        script = context.new_script(timeout=timedelta(seconds=30))
        script.run("/bin/sh", "-c", "echo rented")
        yield script
        task.accept_result(result=context.provider_id)


async def some_tasks(count):
    """The tasks come when every provider has been looked at and had time to answer."""
    while len(scores) < PROVIDERS:
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    for number in range(count):
        yield Task(data=number)


async def main():
    with image_server() as url:
        package = await vm.repo(image_hash=IMAGE_HASH, image_url=url)
    strategy = Patient(max_fixed_price=Decimal("1.0"), max_price_for={com.Counter.CPU: Decimal("0.2")})
    async with Golem(budget=1.0, event_consumer=Facts(), strategy=strategy) as golem:
        async for done in golem.execute_tasks(
            worker, some_tasks(2), payload=package, max_workers=1, timeout=timedelta(minutes=10)
        ):
            winner = done.result
    prices = sorted(price for price, _ in scores.values())
    print(f"providers: {len(scores)}, different prices: {len(set(prices)) > 1}", flush=True)
    print(f"cheapest won: {scores[winner][0] == prices[0]}", flush=True)
    print("done", flush=True)


asyncio.run(main())
