//! A journal, line by line, as spans, marks and counters.
//!
//! Owns: which lines begin, end and belong to a span, and what is remembered between them.

use std::str::FromStr;

use golem_wire::Glm;
use indexmap::IndexMap;

use super::line::Line;
use super::told::told_of;
use super::{Ending, History, KEPT, Kind, LAST, Mark, Party, REQUESTOR, RUN, Role, Sort, Span};

/// What is known while a journal is read.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) history: History,
    begun: bool,
    /// Whether the network wrote anything: of a real one nobody knows when it transfers.
    simulated: bool,
    parties: IndexMap<(Role, String), usize>,
    nodes: IndexMap<String, usize>,
    /// Negotiations by the ids of their proposals.
    proposals: IndexMap<String, usize>,
    /// Negotiations that go on, by provider.
    negotiating: IndexMap<usize, usize>,
    /// Negotiations of a demand.
    demands: IndexMap<String, Vec<usize>>,
    spans: IndexMap<(Kind, String), usize>,
    /// Batches by activity and number of the script.
    scripts: IndexMap<(String, i64), usize>,
    /// Commands of a batch.
    commands: IndexMap<usize, i64>,
    /// Activities of debit notes.
    notes: IndexMap<String, usize>,
    /// GLM accepted by agreement: by its invoice, else by the notes of its activities.
    invoiced: IndexMap<usize, Glm>,
    noted: IndexMap<usize, Glm>,
    total: Glm,
}

impl Reading {
    pub(super) fn take(&mut self, line: &Line<'_>, number: u64) {
        if !self.begun {
            self.begun = true;
            self.history.begin = line.at;
        }
        let at = line.at.as_microsecond() - self.history.begin.as_microsecond();
        let at = at.max(0);
        self.history.length = self.history.length.max(at);
        match line.from() {
            "stage" => self.stage(line, at, number),
            "network" => {
                self.simulated = true;
                self.event(line, at, number);
            }
            "engine" => self.event(line, at, number),
            _ => {}
        }
    }

    fn stage(&mut self, line: &Line<'_>, at: i64, number: u64) {
        match (line.text("who"), line.event()) {
            (Some("timeline"), step) => {
                let step = step.to_owned();
                self.mark(at, RUN, Sort::Step, step, number);
            }
            (_, "ended") => self.history.ended = true,
            _ => {}
        }
    }

    fn event(&mut self, line: &Line<'_>, at: i64, number: u64) {
        let event = line.event();
        match self.history.events.get_mut(event) {
            Some(last) => *last = number,
            None => {
                self.history.events.insert(event.to_owned(), number);
            }
        }
        let party = self.party(line);
        match event {
            "offer_matched"
            | "ProposalReceived"
            | "proposal_countered"
            | "ProposalResponded"
            | "ProposalConfirmed"
            | "proposal_rejected"
            | "ProposalRejected"
            | "ProposalFailed"
            | "demand_unsubscribed"
            | "demand_expired" => self.negotiation(line, at, number, party),
            "agreement_created"
            | "AgreementCreated"
            | "agreement_approved"
            | "AgreementConfirmed"
            | "agreement_rejected"
            | "AgreementRejected"
            | "agreement_cancelled"
            | "agreement_expired"
            | "agreement_terminated"
            | "AgreementTerminated" => self.agreement(line, at, number, party),
            "activity_created" | "ActivityCreated" | "activity_destroyed" | "ActivityDestroyed"
            | "WorkerFinished" => self.activity(line, at, number, party),
            "batch_started" | "ScriptSent" | "command_finished" | "CommandExecuted"
            | "ScriptFinished" => self.batch(line, at, number),
            "invoice_issued" | "InvoiceReceived" | "invoice_accepted" | "InvoiceAccepted"
            | "invoice_rejected" | "invoice_settled" => self.invoice(line, at, number, party),
            "debit_note_issued"
            | "DebitNoteReceived"
            | "debit_note_accepted"
            | "DebitNoteAccepted" => self.debit_note(line, at, number),
            "JobStarted"
            | "JobFinished"
            | "ServiceStateChanged"
            | "TaskStarted"
            | "TaskFinished"
            | "TaskAccepted"
            | "TaskRejected" => self.work(line, at, number),
            _ => self.attach_to_the_nearest(line, number),
        }
        if let Some((sort, text)) = told_of(line) {
            // What the engine says of nobody else is about who rents.
            let own = match line.from() {
                "engine" => self.renter(line),
                _ => RUN,
            };
            self.mark(at, party.unwrap_or(own), sort, text, number);
        }
    }

    fn mark(&mut self, at: i64, party: usize, sort: Sort, text: String, line: u64) {
        self.history.marks.push(Mark {
            at,
            party,
            sort,
            text,
            line,
        });
    }

    /// Who did it, or whom it is about: a provider wherever one is named.
    fn party(&mut self, line: &Line<'_>) -> Option<usize> {
        if let Some(node) = line.text("provider_id") {
            let name = line.text("provider_name").unwrap_or("");
            return Some(self.provider(node, name));
        }
        let actor = line.text("actor")?;
        match actor.split_once(' ') {
            Some(("provider", name)) => Some(self.named(Role::Provider, name)),
            Some(("requestor", name)) => Some(self.requestor(name)),
            _ => None,
        }
    }

    /// The requestor whose engine tells of something.
    fn renter(&mut self, line: &Line<'_>) -> usize {
        match line.text("requestor") {
            Some(name) => self.requestor(name),
            None => REQUESTOR,
        }
    }

    fn requestor(&mut self, name: &str) -> usize {
        let key = (Role::Requestor, name.to_owned());
        if let Some(known) = self.parties.get(&key) {
            return *known;
        }
        let first = !self
            .parties
            .keys()
            .any(|(role, _)| *role == Role::Requestor);
        if first && let Some(party) = self.history.parties.get_mut(REQUESTOR) {
            name.clone_into(&mut party.name);
            self.parties.insert(key, REQUESTOR);
            return REQUESTOR;
        }
        self.named(Role::Requestor, name)
    }

    fn named(&mut self, role: Role, name: &str) -> usize {
        let parties = &mut self.history.parties;
        *self
            .parties
            .entry((role, name.to_owned()))
            .or_insert_with(|| {
                parties.push(Party {
                    role,
                    name: name.to_owned(),
                    node: None,
                });
                parties.len() - 1
            })
    }

    /// A provider by its node: names need not be unique.
    fn provider(&mut self, node: &str, name: &str) -> usize {
        if let Some(known) = self.nodes.get(node) {
            return *known;
        }
        let shown = if name.is_empty() { node } else { name };
        let mut party = self.named(Role::Provider, shown);
        if self
            .history
            .parties
            .get(party)
            .is_some_and(|party| party.node.is_some())
        {
            self.history.parties.push(Party {
                role: Role::Provider,
                name: shown.to_owned(),
                node: None,
            });
            party = self.history.parties.len() - 1;
        }
        if let Some(party) = self.history.parties.get_mut(party) {
            party.node = Some(node.to_owned());
        }
        self.nodes.insert(node.to_owned(), party);
        party
    }

    fn begin(&mut self, kind: Kind, party: usize, id: &str, title: String, at: i64) -> usize {
        let index = self.history.spans.len();
        self.history.spans.push(Span {
            kind,
            party,
            title,
            id: id.to_owned(),
            part_of: None,
            from: at,
            to: at,
            ending: Ending::Open,
            why: None,
            approved: None,
            amount: None,
            lines: Vec::new(),
            mentioned: 0,
        });
        self.spans.insert((kind, id.to_owned()), index);
        index
    }

    /// The span with this id, begun now if it is not known.
    fn known_or_begun(
        &mut self,
        kind: Kind,
        party: usize,
        id: &str,
        title: &str,
        at: i64,
    ) -> usize {
        match self.find(kind, id) {
            Some(index) => index,
            None => self.begin(kind, party, id, title.to_owned(), at),
        }
    }

    fn find(&self, kind: Kind, id: &str) -> Option<usize> {
        self.spans.get(&(kind, id.to_owned())).copied()
    }

    fn span(&mut self, index: usize) -> Option<&mut Span> {
        self.history.spans.get_mut(index)
    }

    fn attach(&mut self, index: usize, number: u64) {
        let Some(span) = self.span(index) else { return };
        span.mentioned += 1;
        if span.lines.len() >= KEPT {
            span.lines.remove(KEPT - LAST);
        }
        span.lines.push(number);
    }

    /// Ends a span, unless something ended it before; bad news is taken in any case.
    fn end(&mut self, index: usize, at: i64, ending: Ending, why: Option<&str>) {
        let Some(span) = self.span(index) else { return };
        if span.ending == Ending::Open {
            span.to = at.max(span.from);
            span.ending = ending;
        } else if ending == Ending::Badly {
            span.ending = ending;
        }
        if span.why.is_none() || ending == Ending::Badly {
            span.why = why.map(str::to_owned).or(span.why.take());
        }
    }

    /// Lines that begin and end nothing belong to the smallest thing that they name.
    fn attach_to_the_nearest(&mut self, line: &Line<'_>, number: u64) {
        let script = line.number("script");
        let activity = line.either("activity_id", "activity");
        let batch = activity.zip(script).and_then(|(activity, script)| {
            self.scripts.get(&(activity.to_owned(), script)).copied()
        });
        let activity = activity.and_then(|id| self.find(Kind::Activity, id));
        let agreement = line.either("agreement_id", "agreement");
        let agreement = agreement.and_then(|id| self.find(Kind::Agreement, id));
        if let Some(index) = batch.or(activity).or(agreement) {
            self.attach(index, number);
        }
    }

    fn negotiation(&mut self, line: &Line<'_>, at: i64, number: u64, party: Option<usize>) {
        let demand = line.either("demand", "demand_id").unwrap_or("").to_owned();
        let event = line.event();
        if matches!(event, "demand_unsubscribed" | "demand_expired") {
            for index in self.demands.swap_remove(&demand).unwrap_or_default() {
                self.end(index, at, Ending::Well, Some("no longer needed"));
                if let Some(span) = self.span(index) {
                    let party = span.party;
                    self.negotiating.swap_remove(&party);
                }
            }
            return;
        }
        let Some(proposal) = line.either("proposal", "proposal_id") else {
            return;
        };
        let previous = line.text("previous");
        let known = previous.unwrap_or(proposal);
        let known = self
            .proposals
            .get(known)
            .or_else(|| self.proposals.get(proposal));
        let mut known = known.copied();
        let provider = party.filter(|party| {
            let party = self.history.parties.get(*party);
            party.is_some_and(|party| party.role == Role::Provider)
        });
        if known.is_none() && event == "ProposalConfirmed" {
            known = provider.and_then(|provider| self.negotiating.get(&provider).copied());
        }
        let index = match (known, provider) {
            (Some(index), _) => index,
            (None, Some(provider)) => {
                let index = self.begin(
                    Kind::Negotiation,
                    provider,
                    proposal,
                    "negotiation".into(),
                    at,
                );
                self.negotiating.insert(provider, index);
                if !demand.is_empty() {
                    self.demands.entry(demand).or_default().push(index);
                }
                index
            }
            (None, None) => return,
        };
        self.proposals.insert(proposal.to_owned(), index);
        self.attach(index, number);
        if matches!(
            event,
            "proposal_rejected" | "ProposalRejected" | "ProposalFailed"
        ) {
            self.end(index, at, Ending::Badly, line.text("reason"));
        }
    }

    fn agreement(&mut self, line: &Line<'_>, at: i64, number: u64, party: Option<usize>) {
        let Some(id) = line.either("agreement", "agreement_id") else {
            return;
        };
        let event = line.event();
        let node = line
            .text("provider")
            .and_then(|node| self.nodes.get(node).copied());
        let actor = party.filter(|party| {
            let party = self.history.parties.get(*party);
            party.is_some_and(|party| party.role == Role::Provider)
        });
        let whose = node.or(actor);
        let title = match line.text("requestor") {
            Some(requestor) => format!("agreement of {requestor}"),
            None => "agreement".to_owned(),
        };
        let index = self.known_or_begun(Kind::Agreement, whose.unwrap_or(RUN), id, &title, at);
        self.attach(index, number);
        if let (Some(whose), Some(span)) = (whose, self.span(index))
            && span.party == RUN
        {
            span.party = whose;
        }
        let proposal = line.text("proposal_id");
        if let Some(negotiation) = proposal.and_then(|id| self.proposals.get(id).copied()) {
            self.end(negotiation, at, Ending::Well, None);
            if let Some(span) = self.span(index) {
                span.part_of = span.part_of.or(Some(negotiation));
            }
        }
        let reason = line.text("reason");
        let by_provider = match line.text("by") {
            Some(by) => by.eq_ignore_ascii_case("provider"),
            None => actor.is_some(),
        };
        let open = self
            .span(index)
            .is_some_and(|span| span.ending == Ending::Open);
        match event {
            "agreement_approved" | "AgreementConfirmed" => {
                if let Some(span) = self.span(index)
                    && span.approved.is_none()
                {
                    span.approved = Some(at);
                    let number = self.history.open_agreements.last() + 1;
                    self.history.open_agreements.set(at, number);
                }
                return;
            }
            "agreement_created" | "AgreementCreated" => return,
            "agreement_terminated" | "AgreementTerminated" => {
                let ending = if by_provider {
                    Ending::Badly
                } else {
                    Ending::Well
                };
                // The first who tells of the end knows best who ended it.
                if open {
                    self.end(index, at, ending, reason);
                }
            }
            "agreement_cancelled" => self.end(index, at, Ending::Well, Some("cancelled")),
            "agreement_expired" => self.end(index, at, Ending::Badly, Some("not approved in time")),
            _ => self.end(index, at, Ending::Badly, reason),
        }
        let approved = self.span(index).is_some_and(|span| span.approved.is_some());
        if open && approved {
            let number = self.history.open_agreements.last() - 1;
            self.history.open_agreements.set(at, number);
        }
    }

    fn activity(&mut self, line: &Line<'_>, at: i64, number: u64, party: Option<usize>) {
        let Some(id) = line.either("activity", "activity_id") else {
            return self.attach_to_the_nearest(line, number);
        };
        let agreement = line.either("agreement", "agreement_id");
        let agreement = agreement.and_then(|id| self.find(Kind::Agreement, id));
        let whose = agreement.and_then(|index| Some(self.span(index)?.party));
        let whose = whose.or(party).unwrap_or(RUN);
        let index = self.known_or_begun(Kind::Activity, whose, id, "activity", at);
        self.attach(index, number);
        if let Some(span) = self.span(index) {
            span.part_of = span.part_of.or(agreement);
            if let Some(user) = line.either("service_name", "task") {
                span.title = format!("activity of {user}");
            }
        }
        match line.event() {
            "activity_destroyed" | "ActivityDestroyed" => {
                let reason = line.text("reason");
                let by_us = reason.is_none_or(|reason| reason.contains("by the requestor"));
                let over = reason.is_some_and(|reason| reason.contains("agreement"));
                let ending = if by_us || over {
                    Ending::Well
                } else {
                    Ending::Badly
                };
                self.end(index, at, ending, reason);
            }
            "WorkerFinished" => {
                if let (Some(error), Some(span)) = (line.text("error"), self.span(index)) {
                    span.why = Some(error.to_owned());
                    if span.ending != Ending::Open {
                        span.ending = Ending::Badly;
                    }
                }
            }
            _ => {}
        }
    }

    fn batch(&mut self, line: &Line<'_>, at: i64, number: u64) {
        let Some(activity) = line.either("activity", "activity_id") else {
            return;
        };
        let script = line.number("script");
        let key = script.map(|script| (activity.to_owned(), script));
        let index = match line.either("batch", "batch_id") {
            Some(id) => {
                let owner = self.find(Kind::Activity, activity);
                let party = owner.and_then(|index| Some(self.span(index)?.party));
                let party = party.unwrap_or(RUN);
                let index = self.known_or_begun(Kind::Batch, party, id, "", at);
                if let Some(span) = self.span(index) {
                    span.part_of = span.part_of.or(owner);
                }
                Some(index)
            }
            None => key.as_ref().and_then(|key| self.scripts.get(key).copied()),
        };
        let Some(index) = index else { return };
        self.attach(index, number);
        if let Some(key) = key {
            self.scripts.entry(key).or_insert(index);
        }
        match line.event() {
            "batch_started" | "ScriptSent" => {
                if let Some(commands) = line.number("commands") {
                    self.commands.insert(index, commands);
                }
            }
            "command_finished" => {
                let last = self.commands.get(&index).copied().unwrap_or(i64::MAX);
                let done = line.number("index").is_some_and(|at| at + 1 >= last);
                self.name_batch(index, line.number("index"), line.text("command"));
                if line.flag("ok") == Some(false) {
                    self.end(index, at, Ending::Badly, line.text("message"));
                } else if done {
                    self.end(index, at, Ending::Well, None);
                }
            }
            "CommandExecuted" => {
                self.name_batch(index, line.number("command"), line.text("text"));
                if line.flag("success") == Some(false) {
                    let why = line.either("message", "stderr");
                    self.end(index, at, Ending::Badly, why);
                }
            }
            "ScriptFinished" => match line.text("error") {
                Some(error) => self.end(index, at, Ending::Badly, Some(error)),
                None => self.end(index, at, Ending::Well, None),
            },
            _ => {}
        }
    }

    /// A batch is called after its commands, the first words of each.
    fn name_batch(&mut self, index: usize, position: Option<i64>, command: Option<&str>) {
        const LONGEST: usize = 80;
        let (Some(command), Some(position)) = (command, position) else {
            return;
        };
        let Some(span) = self.span(index) else { return };
        let known = span
            .title
            .split(", ")
            .filter(|name| !name.is_empty())
            .count();
        if position < known as i64 || span.title.len() > LONGEST {
            return;
        }
        let mut words = command.split_whitespace();
        let verb = words.next().unwrap_or("");
        let rest = words
            .next()
            .map(|path| path.rsplit('/').next().unwrap_or(path));
        let command = match rest {
            Some(rest) => format!("{verb} {rest}"),
            None => verb.to_owned(),
        };
        let separator = if span.title.is_empty() { "" } else { ", " };
        let command = command.replace(", ", " ");
        span.title.push_str(separator);
        span.title.extend(command.chars().take(LONGEST));
    }

    fn invoice(&mut self, line: &Line<'_>, at: i64, number: u64, party: Option<usize>) {
        let Some(id) = line.either("invoice", "invoice_id") else {
            return;
        };
        let amount = amount_of(line);
        let agreement = line.either("agreement", "agreement_id");
        let agreement = agreement.and_then(|id| self.find(Kind::Agreement, id));
        let whose = agreement.and_then(|index| Some(self.span(index)?.party));
        let whose = whose.or(party).unwrap_or(RUN);
        let event = line.event();
        if event != "invoice_settled" {
            let index = self.known_or_begun(Kind::Invoice, whose, id, "invoice", at);
            self.attach(index, number);
            if let Some(span) = self.span(index) {
                span.part_of = span.part_of.or(agreement);
                span.amount = span.amount.or(amount);
            }
            match event {
                "invoice_accepted" | "InvoiceAccepted" => {
                    self.end(index, at, Ending::Well, None);
                    if self.find(Kind::Payment, id).is_none() {
                        let payer = self.renter(line);
                        self.begin_payment(index, id, at, party, payer);
                    }
                }
                "invoice_rejected" => self.end(index, at, Ending::Badly, line.text("reason")),
                _ => {}
            }
        }
        if let Some(payment) = self.find(Kind::Payment, id) {
            self.attach(payment, number);
            if event == "invoice_settled" {
                self.end(payment, at, Ending::Well, None);
                let paid = self.history.paid.last();
                if let Some(sum) = amount.and_then(|amount| paid.checked_add(amount)) {
                    self.history.paid.set(at, sum);
                }
            }
        }
    }

    fn begin_payment(
        &mut self,
        invoice: usize,
        id: &str,
        at: i64,
        party: Option<usize>,
        renter: usize,
    ) {
        let span = self.span(invoice);
        let Some((provider, agreement, amount)) =
            span.map(|span| (span.party, span.part_of, span.amount))
        else {
            return;
        };
        let payer = party.filter(|party| {
            let party = self.history.parties.get(*party);
            party.is_some_and(|party| party.role == Role::Requestor)
        });
        let name = self
            .history
            .parties
            .get(provider)
            .map_or("", |party| &party.name);
        let title = format!("payment to {name}");
        let payment = self.begin(Kind::Payment, payer.unwrap_or(renter), id, title, at);
        if let Some(span) = self.span(payment) {
            span.part_of = Some(invoice);
            span.amount = amount;
        }
        if let (Some(agreement), Some(amount)) = (agreement, amount) {
            self.invoiced.insert(agreement, amount);
            self.account(agreement, at);
        }
    }

    fn debit_note(&mut self, line: &Line<'_>, at: i64, number: u64) {
        let Some(id) = line.either("debit_note", "debit_note_id") else {
            return;
        };
        let activity = line.either("activity", "activity_id");
        let activity = activity.and_then(|id| self.find(Kind::Activity, id));
        if let Some(activity) = activity {
            self.notes.insert(id.to_owned(), activity);
        }
        let Some(activity) = activity.or_else(|| self.notes.get(id).copied()) else {
            return;
        };
        self.attach(activity, number);
        if matches!(line.event(), "debit_note_accepted" | "DebitNoteAccepted")
            && let Some(amount) = amount_of(line)
            && let Some(span) = self.span(activity)
            && span.amount != Some(amount)
        {
            let before = span.amount.replace(amount).unwrap_or_default();
            if let Some(agreement) = span.part_of {
                let noted = self.noted.entry(agreement).or_default();
                let more = amount.checked_sub(before).unwrap_or_default();
                *noted = noted.checked_add(more).unwrap_or(*noted);
                self.account(agreement, at);
            }
        }
    }

    /// Brings up to date what was accepted for an agreement.
    fn account(&mut self, agreement: usize, at: i64) {
        let noted = self.noted.get(&agreement).copied().unwrap_or_default();
        let amount = self.invoiced.get(&agreement).copied().unwrap_or(noted);
        let Some(span) = self.span(agreement) else {
            return;
        };
        let before = span.amount.replace(amount).unwrap_or_default();
        let rest = self.total.checked_sub(before).unwrap_or_default();
        self.total = rest.checked_add(amount).unwrap_or(rest);
        let total = self.total;
        self.history.accepted.set(at, total);
    }

    fn work(&mut self, line: &Line<'_>, at: i64, number: u64) {
        let error = line.text("error");
        match line.event() {
            "JobStarted" => {
                let Some(job) = line.text("job") else { return };
                let renter = self.renter(line);
                let index = self.begin(Kind::Job, renter, &own(line, job), job.to_owned(), at);
                self.attach(index, number);
            }
            "JobFinished" => {
                let job = line.text("job").map(|job| own(line, job));
                let job = job.and_then(|job| self.find(Kind::Job, &job));
                let Some(index) = job else { return };
                self.attach(index, number);
                let ending = if error.is_some() {
                    Ending::Badly
                } else {
                    Ending::Well
                };
                self.end(index, at, ending, error);
            }
            "ServiceStateChanged" => self.state(line, at, number),
            event => {
                let Some(task) = line.text("task") else {
                    return;
                };
                let attempt = line.number("task_attempt").unwrap_or(1);
                let id = own(line, &format!("{task}#{attempt}"));
                let renter = self.renter(line);
                let index = self.known_or_begun(Kind::Task, renter, &id, task, at);
                self.attach(index, number);
                if let (Some(span), Some(name)) = (self.span(index), line.text("provider_name")) {
                    span.title = match attempt {
                        1 => format!("{task} on {name}"),
                        more => format!("{task} on {name}, attempt {more}"),
                    };
                }
                match event {
                    "TaskAccepted" => self.end(index, at, Ending::Well, None),
                    "TaskRejected" => self.end(index, at, Ending::Badly, line.text("reason")),
                    _ => {}
                }
            }
        }
    }

    fn state(&mut self, line: &Line<'_>, at: i64, number: u64) {
        let (Some(instance), Some(new)) = (line.text("service"), line.text("new")) else {
            return;
        };
        let error = line.text("error");
        // What an earlier life of the program left is the instance of that life.
        let id = own(
            line,
            instance.strip_prefix("recovered/").unwrap_or(instance),
        );
        if let Some(index) = self.find(Kind::State, &id) {
            self.attach(index, number);
            let ending = if error.is_some() {
                Ending::Badly
            } else {
                Ending::Well
            };
            self.end(index, at, ending, error);
        }
        if new == "terminated" {
            return;
        }
        let name = line.text("service_name").unwrap_or(instance);
        let renter = self.renter(line);
        let index = self.begin(Kind::State, renter, &id, format!("{name} {new}"), at);
        self.attach(index, number);
    }

    pub(super) fn finish(mut self) -> History {
        let length = self.history.length;
        for span in &mut self.history.spans {
            if span.ending != Ending::Open {
                continue;
            }
            if span.kind == Kind::Payment && !self.simulated {
                // Nobody tells when a real payment is made.
                span.ending = Ending::Well;
            } else {
                span.to = length.max(span.from);
            }
            if span.kind == Kind::Negotiation {
                span.ending = Ending::Well;
                span.why = Some("no longer needed".into());
            }
        }
        self.history
    }
}

fn amount_of(line: &Line<'_>) -> Option<Glm> {
    line.text("amount")
        .and_then(|text| Glm::from_str(text).ok())
}

/// The id of something that an engine counts itself: one of several begins as the others do.
fn own(line: &Line<'_>, id: &str) -> String {
    match line.text("requestor") {
        Some(requestor) => format!("{requestor}/{id}"),
        None => id.to_owned(),
    }
}
