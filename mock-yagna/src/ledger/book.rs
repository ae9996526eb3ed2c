//! The books of the ledger: what was posted, summed up, and the laws compared with each posting.
//!
//! Owns what is pending, the books, and the postings about allocations, agreements and activities.
//! Does not own: what notes and invoices add up to (`document`).

mod document;

use golem_wire::{ActivityId, AgreementId, AllocationId, DebitNoteId, Glm, InvoiceId, NodeId};
use indexmap::IndexMap;
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{Fact, Law, OpenItem, Violation};
use crate::journal::Actor;

#[derive(Clone, Debug)]
struct AllocationBook {
    owner: NodeId,
    since: Timestamp,
    total: Glm,
    charged: Glm,
    live: bool,
}

#[derive(Clone, Debug)]
struct AgreementBook {
    requestor: NodeId,
    since: Timestamp,
    live: bool,
    /// The sum of each activity's last debit note.
    noted: Glm,
    /// The largest invoice.
    invoiced: Glm,
    accepted: Glm,
    paid: Glm,
    /// The most that may be accepted for what its activities used, where that is known.
    used: Option<Glm>,
}

impl AgreementBook {
    fn billed(&self) -> Glm {
        self.noted.max(self.invoiced)
    }
}

#[derive(Clone, Debug)]
struct ActivityBook {
    agreement: AgreementId,
    since: Timestamp,
    live: bool,
    noted: Glm,
    used: Glm,
}

/// How much more than was used may be accepted, as a fraction.
const TOLERANCE: Decimal = Decimal::from_parts(105, 0, 0, false, 2);

#[derive(Clone, Debug)]
struct DocumentBook {
    agreement: AgreementId,
    since: Timestamp,
    amount: Glm,
    accepted: Glm,
    paid: Glm,
    decided: bool,
    settled: bool,
}

/// The books.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pending: Vec<(Timestamp, Actor, Fact)>,
    allocations: IndexMap<AllocationId, AllocationBook>,
    agreements: IndexMap<AgreementId, AgreementBook>,
    activities: IndexMap<ActivityId, ActivityBook>,
    invoices: IndexMap<InvoiceId, DocumentBook>,
    notes: IndexMap<DebitNoteId, DocumentBook>,
    violations: Vec<Violation>,
}

/// The law that a posting breaks, and how.
type Broken = (Law, String);

impl Ledger {
    pub(crate) fn post(&mut self, at: Timestamp, by: Actor, fact: Fact) {
        self.pending.push((at, by, fact));
    }

    /// Books what is pending; answers the laws that it breaks. Costs as much as was posted.
    pub(crate) fn book_pending(&mut self) -> Vec<Violation> {
        let known = self.violations.len();
        for (at, by, fact) in std::mem::take(&mut self.pending) {
            for (law, detail) in self.book(at, fact) {
                self.violations.push(Violation {
                    law,
                    at,
                    by: by.clone(),
                    detail,
                });
            }
        }
        self.violations[known..].to_vec()
    }

    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    fn book(&mut self, at: Timestamp, fact: Fact) -> Vec<Broken> {
        match fact {
            Fact::Allocated {
                allocation,
                owner,
                total,
            } => self.allocated(at, allocation, owner, total),
            Fact::Released { allocation } => {
                let live = self
                    .allocations
                    .get_mut(&allocation)
                    .map(|book| &mut book.live);
                end(live, || format!("allocation {allocation}"))
            }
            Fact::Approved {
                agreement,
                requestor,
            } => {
                let book = AgreementBook {
                    requestor,
                    since: at,
                    live: true,
                    noted: Glm::ZERO,
                    invoiced: Glm::ZERO,
                    accepted: Glm::ZERO,
                    paid: Glm::ZERO,
                    used: None,
                };
                match self.agreements.insert(agreement.clone(), book) {
                    Some(_) => vec![(
                        Law::EndedOnce,
                        format!("agreement {agreement} was approved twice"),
                    )],
                    None => Vec::new(),
                }
            }
            Fact::Ended { agreement } => {
                let live = self
                    .agreements
                    .get_mut(&agreement)
                    .map(|book| &mut book.live);
                end(live, || format!("agreement {agreement}"))
            }
            Fact::ActivityCreated {
                activity,
                agreement,
            } => {
                let covered = self
                    .agreements
                    .get(&agreement)
                    .is_some_and(|book| book.live);
                let broken = (!covered).then(|| {
                    let detail = format!(
                        "activity {activity} was created under {agreement}, which is not in force"
                    );
                    (Law::ActivityUnderAgreement, detail)
                });
                let book = ActivityBook {
                    agreement,
                    since: at,
                    live: true,
                    noted: Glm::ZERO,
                    used: Glm::ZERO,
                };
                self.activities.insert(activity, book);
                broken.into_iter().collect()
            }
            Fact::Used {
                activity,
                cost,
                minute,
            } => {
                self.used(&activity, cost, minute);
                Vec::new()
            }
            Fact::ActivityEnded { activity } => {
                let live = self
                    .activities
                    .get_mut(&activity)
                    .map(|book| &mut book.live);
                end(live, || format!("activity {activity}"))
            }
            Fact::DebitNoteIssued {
                note,
                activity,
                total,
            } => self.note_issued(at, note, &activity, total),
            Fact::InvoiceIssued {
                invoice,
                agreement,
                amount,
            } => self.invoice_issued(at, invoice, agreement, amount),
            Fact::Forgotten { note } => {
                self.notes.swap_remove(&note);
                Vec::new()
            }
            Fact::Accepted {
                document,
                allocation,
                charged,
            } => self.accepted(&document, &allocation, charged),
            Fact::Rejected { invoice } => match self.invoices.get_mut(&invoice) {
                Some(book) => {
                    book.decided = true;
                    Vec::new()
                }
                None => vec![(
                    Law::DocumentExists,
                    format!("invoice {invoice} was rejected but never issued"),
                )],
            },
            Fact::Paid { document, amount } => self.paid(&document, amount),
            Fact::Settled { invoice } => self.settled(&invoice),
        }
    }

    fn allocated(
        &mut self,
        at: Timestamp,
        id: AllocationId,
        owner: NodeId,
        total: Glm,
    ) -> Vec<Broken> {
        let new = || AllocationBook {
            owner,
            since: at,
            total,
            charged: Glm::ZERO,
            live: true,
        };
        let book = self.allocations.entry(id.clone()).or_insert_with(new);
        book.total = total;
        let mut broken = Vec::new();
        if !book.live {
            broken.push((
                Law::EndedOnce,
                format!("allocation {id} was amended after its release"),
            ));
        }
        broken.extend(within_allocated(&id, book));
        broken
    }

    fn used(&mut self, activity: &ActivityId, cost: Glm, minute: Glm) {
        let Some(book) = self.activities.get_mut(activity) else {
            return;
        };
        let most = Glm::new(cost.get().saturating_mul(TOLERANCE)) + minute;
        let before = book.used;
        book.used = before.max(most);
        let more = book.used - before;
        if let Some(agreement) = self.agreements.get_mut(&book.agreement) {
            agreement.used = Some(agreement.used.unwrap_or_default() + more);
        }
    }

    pub(crate) fn open_items(&self) -> Vec<OpenItem> {
        let requestor = |id: &AgreementId| {
            let book = self.agreements.get(id);
            book.map_or_else(|| NodeId::new("unknown"), |book| book.requestor.clone())
        };
        let agreements = self
            .agreements
            .iter()
            .filter(|(_, book)| book.live)
            .map(|(id, book)| OpenItem::Agreement {
                id: id.clone(),
                owner: book.requestor.clone(),
                since: book.since,
            });
        let activities = self
            .activities
            .iter()
            .filter(|(_, book)| book.live)
            .map(|(id, book)| OpenItem::Activity {
                id: id.clone(),
                agreement: book.agreement.clone(),
                owner: requestor(&book.agreement),
                since: book.since,
            });
        let invoices = self
            .invoices
            .iter()
            .filter(|(_, book)| !book.decided)
            .map(|(id, book)| OpenItem::Invoice {
                id: id.clone(),
                owner: requestor(&book.agreement),
                amount: book.amount,
                since: book.since,
            });
        let allocations =
            self.allocations
                .iter()
                .filter(|(_, book)| book.live)
                .map(|(id, book)| OpenItem::Allocation {
                    id: id.clone(),
                    owner: book.owner.clone(),
                    remaining: (book.total - book.charged).normalized(),
                    since: book.since,
                });
        agreements
            .chain(activities)
            .chain(invoices)
            .chain(allocations)
            .collect()
    }
}

fn within_allocated(id: &AllocationId, book: &AllocationBook) -> Option<Broken> {
    (book.charged > Glm::ZERO && book.charged > book.total).then(|| {
        let detail = format!(
            "{} is accepted with allocation {id} over {}",
            book.charged, book.total
        );
        (Law::AcceptedWithinAllocated, detail)
    })
}

fn end(live: Option<&mut bool>, what: impl FnOnce() -> String) -> Vec<Broken> {
    match live {
        Some(live) if *live => {
            *live = false;
            Vec::new()
        }
        Some(_) => vec![(Law::EndedOnce, format!("{} ended twice", what()))],
        None => vec![(Law::EndedOnce, format!("{} ended but never began", what()))],
    }
}
