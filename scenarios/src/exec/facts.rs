//! What a journal of the network tells of agreements and bills, for reports and expectations.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use golem_wire::Glm;

use crate::report::history::for_each_line;
use crate::report::history::line::Line;
use crate::report::outcome::Outcome;

/// Reads a journal that was written to its end.
pub(super) fn gather(journal: &Path) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut amounts: BTreeMap<String, Glm> = BTreeMap::new();
    for_each_line(BufReader::new(File::open(journal)?), |_, text| {
        if let Some(line) = Line::read(text).filter(|line| line.from() == "network") {
            add(&mut outcome, &mut amounts, &line);
        }
    })?;
    Ok(outcome)
}

fn add(outcome: &mut Outcome, amounts: &mut BTreeMap<String, Glm>, line: &Line<'_>) {
    let id = |name: &str| line.text(name).map(str::to_owned);
    let actor = line.text("actor").unwrap_or_default();
    let provider = actor.strip_prefix("provider ").map(str::to_owned);
    match (line.event(), id("agreement"), id("activity"), id("invoice")) {
        ("agreement_approved", Some(agreement), ..) => {
            let Some(provider) = provider else { return };
            outcome
                .providers
                .entry(provider.clone())
                .or_default()
                .agreements += 1;
            outcome.agreement_providers.insert(agreement, provider);
        }
        ("activity_created", Some(agreement), Some(activity), _) => {
            outcome.parts_of_agreements.insert(activity, agreement);
        }
        ("invoice_issued", Some(agreement), _, Some(invoice)) => {
            let amount = line.text("amount").and_then(|text| text.parse().ok());
            amounts.insert(invoice.clone(), amount.unwrap_or_default());
            outcome.parts_of_agreements.insert(invoice, agreement);
        }
        ("invoice_accepted", _, _, Some(invoice)) => {
            let agreement = outcome.parts_of_agreements.get(&invoice);
            let provider = agreement.and_then(|id| outcome.agreement_providers.get(id));
            if let (Some(provider), Some(amount)) = (provider, amounts.remove(&invoice)) {
                let tab = outcome.providers.entry(provider.clone()).or_default();
                tab.accepted = tab.accepted + amount;
            }
        }
        _ => {}
    }
}
