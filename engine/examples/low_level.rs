//! Everything by hand: a demand of one's own is published, an offer countered, an agreement signed, a program run,
//! and the invoice paid, each by the daemon's own operation. For what the engine does not wrap; what is left open
//! here is ended by `stop()` all the same.
//!
//! `cargo run --example low_level` needs no set-up; see `support/mod.rs` for where it runs.

mod support;

use std::time::Duration;

use anyhow::Context;
use golem_engine::low_level::{Approval, LowLevel};
use golem_engine::wire::activity::{
    Capture, CaptureMode, CommandOutcome, Deploy, ExeScriptCommand, Output, Run, Start,
};
use golem_engine::wire::market::{DemandEvent, DemandOfferBase, Proposal, ProposalState};
use golem_engine::wire::payment::{Acceptance, Allocation, Invoice, NewAllocation};
use golem_engine::wire::{ActivityId, AgreementId, DemandId};
use golem_engine::{Glm, Golem};
use jiff::SignedDuration;
use support::say;

/// How long the daemon is asked to wait at a time, and how often.
const WAIT: Duration = Duration::from_secs(10);
const TIMES: u32 = 60;

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        let ((), report) = Golem::run(builder, async |golem| by_hand(golem).await).await?;
        say(&report);
        Ok(())
    })
}

async fn by_hand(golem: Golem) -> anyhow::Result<()> {
    let low = golem.low_level();
    say(format!("daemon {}", low.version().await?.current.version));
    let allocation = allocate(&low, &golem).await?;
    let wanted = wanted(&low, &golem, &allocation).await?;
    let demand = low.market().subscribe_demand(wanted.clone()).await?;
    say(format!("demand {} is published", demand.short()));
    let answer = wanted.property(
        "golem.com.payment.chosen-platform",
        allocation.payment_platform.clone(),
    );
    let agreement = sign(&low, &demand, answer).await?;
    let market = low.market();
    market.unsubscribe_demand(&demand).await?;
    let provider = market.get_agreement(&agreement).await?.offer.provider_id;
    say(format!("agreement {} with {provider}", agreement.short()));

    let activities = low.activity();
    let activity = activities
        .create_activity(&agreement, Duration::from_secs(60))
        .await?;
    say(format!("it says: {}", run(&low, &activity).await?.trim()));
    activities
        .destroy_activity(&activity, Duration::from_secs(30))
        .await?;
    market
        .terminate_agreement(&agreement, "done".into())
        .await?;

    let invoice = invoice(&low, &agreement).await?;
    let acceptance = Acceptance::new(invoice.amount, allocation.allocation_id.clone());
    let payment = low.payment();
    payment
        .accept_invoice(&invoice.invoice_id, acceptance)
        .await?;
    payment
        .release_allocation(&allocation.allocation_id)
        .await?;
    say(format!("paid {} GLM by hand", invoice.amount.normalized()));
    Ok(())
}

/// Sets money aside, on the platform of the engine's settings.
async fn allocate(low: &LowLevel, golem: &Golem) -> anyhow::Result<Allocation> {
    let config = golem.config();
    let accounts = low.payment().get_requestor_accounts().await?;
    let account = accounts.into_iter().find(|account| {
        account.driver == config.payment_driver
            && account.network == config.payment_network
            && account.send
    });
    let account = account.context("no account of this driver and network")?;
    let half: Glm = "0.5".parse()?;
    let hour = low.now() + SignedDuration::from_hours(1);
    let wanted = NewAllocation::new(half)
        .platform(account.platform)
        .address(account.address)
        .timeout(hour);
    Ok(low.payment().create_allocation(wanted).await?)
}

/// What is asked for, and how it is paid.
async fn wanted(
    low: &LowLevel,
    golem: &Golem,
    allocation: &Allocation,
) -> anyhow::Result<DemandOfferBase> {
    let ids = [allocation.allocation_id.clone()];
    let decoration = low.payment().get_demand_decorations(&ids).await?;
    let subnet = &golem.config().subnet;
    // Providers want debit notes accepted on what is longer than half an hour.
    let soon = low.now() + SignedDuration::from_mins(25);
    let image = "hash:sha3:9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae:\
                 http://registry.golem.network/v1/image/download?tag=golem/alpine:latest";
    Ok(DemandOfferBase::new("(golem.runtime.name=vm)")
        .constraint("(golem.com.pricing.model=linear)")
        .constraint(&format!("(golem.node.debug.subnet={subnet})"))
        .property("golem.node.debug.subnet", subnet.as_str())
        .property("golem.srv.comp.expiration", soon.as_millisecond())
        // Without it a provider ends the agreement with its activity.
        .property("golem.srv.caps.multi-activity", true)
        .property("golem.srv.comp.task_package", image)
        .decorate(&decoration))
}

/// Answers offers until a provider signs.
async fn sign(
    low: &LowLevel,
    demand: &DemandId,
    answer: DemandOfferBase,
) -> anyhow::Result<AgreementId> {
    let market = low.market();
    for _ in 0..TIMES {
        for event in market.collect_offers(demand, WAIT).await? {
            let DemandEvent::ProposalEvent { proposal, .. } = event else {
                continue;
            };
            let Proposal {
                state, proposal_id, ..
            } = *proposal;
            if state == ProposalState::Initial {
                let countering =
                    market.counter_proposal_demand(demand, &proposal_id, answer.clone());
                if let Err(error) = countering.await {
                    say(error);
                }
                continue;
            }
            let until = low.now() + SignedDuration::from_mins(1);
            let agreement = market.create_agreement(&proposal_id, until).await?;
            market.confirm_agreement(&agreement).await?;
            match market
                .wait_for_approval(&agreement, Duration::from_secs(55))
                .await?
            {
                Approval::Given => return Ok(agreement),
                other => say(format!("{}: {other:?}", agreement.short())),
            }
        }
    }
    anyhow::bail!("nobody signs")
}

/// Runs a program; what it wrote.
async fn run(low: &LowLevel, activity: &ActivityId) -> anyhow::Result<String> {
    let capture = Capture {
        stdout: Some(CaptureMode::Stream {
            limit: None,
            format: None,
        }),
        stderr: None,
    };
    let script = [
        ExeScriptCommand::Deploy(Deploy::default()),
        ExeScriptCommand::Start(Start::default()),
        ExeScriptCommand::Run(Run {
            entry_point: "/bin/sh".into(),
            args: vec!["-c".into(), "echo Hello by hand".into()],
            capture: Some(capture),
        }),
    ];
    let activities = low.activity();
    let batch = activities.exec(activity, &script).await?;
    for _ in 0..TIMES {
        let last = script.len() - 1;
        let ended = activities.wait_for_command(activity, &batch, last, WAIT);
        let Some(results) = ended.await? else {
            continue;
        };
        let result = results.into_iter().next_back().context("no result")?;
        anyhow::ensure!(result.result == CommandOutcome::Ok, "{result:?}");
        return match result.stdout {
            Some(Output::Text(text)) => Ok(text),
            other => anyhow::bail!("{other:?} instead of a text"),
        };
    }
    anyhow::bail!("it does not end")
}

/// The invoice of an agreement.
async fn invoice(low: &LowLevel, agreement: &AgreementId) -> anyhow::Result<Invoice> {
    let payment = low.payment();
    let mut after = None;
    for _ in 0..TIMES {
        for event in payment.get_invoice_events(after, WAIT).await? {
            after = Some(event.event_date);
            let invoice = payment.get_invoice(&event.invoice_id).await?;
            if invoice.agreement_id == *agreement {
                return Ok(invoice);
            }
        }
    }
    anyhow::bail!("no invoice comes")
}
