//! `rehearse offers`: who offers what for how much at the daemon of `YAGNA_API_URL`, without renting anything.
//! Owns: arguments and output. Does not own: the scan, which is the engine's.

use std::time::Duration;

use clap::Args;
use golem_engine::error::chain as error_chain;
use golem_engine::journal::MemoryJournal;
use golem_engine::model::OfferProposal;
use golem_engine::payload::Payload;
use golem_engine::{Glm, Golem};
use golem_wire::props::{inf, runtime};
use serde_json::{Value, json};

use super::output::complain;
use crate::backend::Backend;
use crate::error::Error;
use crate::language::values::Span;
use crate::stage;

/// What is set aside while the scan runs, and released after it: engines do not start without a budget.
const SET_ASIDE: &str = "0.000001";

/// What prices are told for.
const HOUR: Duration = Duration::from_secs(3600);

/// Arguments of `rehearse offers`.
#[derive(Debug, Args)]
pub(super) struct OffersArgs {
    /// Only offers that meet this constraint, as `(golem.inf.mem.gib>=16)`; several must all be met
    #[arg(long = "constraint", value_name = "CONSTRAINT")]
    constraints: Vec<String>,
    /// Only offers of this subnet [default: YAGNA_SUBNET, or public]
    #[arg(long, value_name = "NAME", conflicts_with = "any_subnet")]
    subnet: Option<String>,
    /// Offers of all subnets
    #[arg(long)]
    any_subnet: bool,
    /// How long offers are listened for
    #[arg(long = "for", value_name = "DURATION", default_value = "5s", value_parser = clap::value_parser!(Span))]
    listen: Span,
    /// Print a JSON array instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

/// Lists offers, the cheapest first; whether there are any.
///
/// # Errors
/// When the daemon cannot be asked, or refuses.
pub(super) fn offers_command(
    args: &OffersArgs,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<bool, Error> {
    let offers = stage::runtime(Backend::Http)?.block_on(scan(args))?;
    let text = if args.json {
        let list: Vec<_> = offers.iter().map(as_json).collect();
        format!("{:#}\n", Value::from(list))
    } else {
        table(&offers)
    };
    say(&text);
    Ok(!offers.is_empty())
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::Offers {
        reason: error_chain(error),
    }
}

async fn scan(args: &OffersArgs) -> Result<Vec<OfferProposal>, Error> {
    let budget: Glm = SET_ASIDE.parse().unwrap_or_default();
    // The file that GOLEM_JOURNAL names is a program's, whose agreements are none of this command's business.
    let journal = MemoryJournal::new();
    let mut builder = Golem::builder().budget(budget).journal(journal);
    if let Some(subnet) = &args.subnet {
        builder = builder.subnet(subnet);
    }
    let golem = builder.start().await.map_err(|error| failed(&error))?;
    let read = read(&golem, args).await;
    let stopped = golem.stop().await;
    if !stopped.is_clean() {
        complain(&stopped.to_string());
    }
    let mut offers = read?;
    offers.sort_by_key(|offer| {
        (
            price(offer).is_none(),
            price(offer),
            offer.provider_name().to_owned(),
        )
    });
    Ok(offers)
}

async fn read(golem: &Golem, args: &OffersArgs) -> Result<Vec<OfferProposal>, Error> {
    let mut wanted = Payload::new();
    for constraint in &args.constraints {
        wanted = wanted.constraint(constraint.as_str());
    }
    let mut scan = golem.scan(wanted);
    if args.any_subnet {
        scan = scan.any_subnet();
    }
    let mut scan = scan.start().await.map_err(|error| failed(&error))?;
    scan.within(args.listen.0)
        .await
        .map_err(|error| failed(&error))
}

/// An hour of the whole machine, with all its threads busy.
fn price(offer: &OfferProposal) -> Option<Glm> {
    let prices = offer.prices().ok()?;
    Some(prices.for_time(HOUR, offer.threads()).normalized())
}

fn number(offer: &OfferProposal, name: &str) -> Option<f64> {
    offer.properties().get(name).and_then(Value::as_f64)
}

/// Words of a stranger, for a table.
fn word<'a>(offer: &'a OfferProposal, name: &str) -> &'a str {
    let word = offer.properties().get(name).and_then(Value::as_str);
    word.filter(|word| !word.chars().any(char::is_control))
        .unwrap_or("?")
}

fn as_json(offer: &OfferProposal) -> Value {
    json!({
        "provider_id": offer.provider_id(),
        "provider_name": offer.provider_name(),
        "glm_per_hour": price(offer),
        "fault": offer.prices().err().map(ToString::to_string),
        "properties": offer.properties(),
    })
}

fn table(offers: &[OfferProposal]) -> String {
    let mut rows = vec![
        [
            "PROVIDER",
            "ID",
            "RUNTIME",
            "THREADS",
            "MEMORY",
            "DISK",
            "GLM FOR AN HOUR",
        ]
        .map(str::to_owned),
    ];
    for offer in offers {
        let gib = |name| number(offer, name).map_or("?".to_owned(), |gib| format!("{gib:.1} GiB"));
        let price = match offer.prices() {
            Ok(prices) => format!(
                "at most {}",
                prices.for_time(HOUR, offer.threads()).normalized()
            ),
            Err(fault) => fault.to_string(),
        };
        rows.push([
            offer.provider_name().to_owned(),
            offer.provider_id().to_string(),
            word(offer, runtime::NAME).to_owned(),
            offer.threads().to_string(),
            gib(inf::MEM),
            gib(inf::STORAGE),
            price,
        ]);
    }
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max();
            let width = width.filter(|_| column + 1 < row.len()).unwrap_or(0);
            text.push_str(&format!("{cell:<width$}  "));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    let count = offers.len();
    text.push_str(&match count {
        0 => "no offers came; --any-subnet shows those of all subnets, --for waits longer\n"
            .to_owned(),
        1 => "1 offer\n".to_owned(),
        _ => format!("{count} offers\n"),
    });
    text
}
