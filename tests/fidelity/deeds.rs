//! What the provider of a recording did by hand and when: from its own half of the recording, or,
//! where there is none, from the documents that the requestor saw.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use golem_wire::{ActivityId, AgreementId, InvoiceId};
use jiff::Timestamp;
use mock_yagna::Act;
use mock_yagna::MockYagna;
use serde_json::{Value, json};

use workspace_tests::fidelity::identifiers::Mapping;
use workspace_tests::fidelity::recording::{Exchange, read};

/// What the provider of a recording does.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Come,
    Go,
    /// Brings a fresh offer.
    Offer,
    /// Members of the behaviour; the others are the usual ones.
    Behave(Value),
    /// Whether the agent stops to answer.
    Silent(bool),
    Terminate(Value),
    KillExeUnit,
    Note(Note),
    Invoice(Bill),
    CancelInvoice,
}

/// A debit note.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    amount: String,
    usage: Vec<f64>,
    payable: Option<Duration>,
    /// The recorded activity; none: the last one.
    activity: Option<String>,
}

/// An invoice.
#[derive(Clone, Debug)]
pub(crate) struct Bill {
    amount: String,
    term: Duration,
    /// Whether it names the activity.
    of_activity: bool,
    /// The recorded agreement; none: the last one.
    agreement: Option<String>,
}

/// A deed at its recorded time.
#[derive(Clone, Debug)]
pub(crate) struct Cue {
    pub(crate) at: Timestamp,
    pub(crate) provider: String,
    pub(crate) deed: Deed,
    /// The recorded id of the document that it issues.
    pub(crate) document: Option<String>,
}

/// The terms of the recorded agent.
const TERM: Duration = Duration::from_secs(300);
const YAPAPI_TERM: Duration = Duration::from_secs(600);

fn note(amount: &str, usage: [f64; 2], payable: bool) -> Deed {
    Deed::Note(Note {
        amount: amount.to_owned(),
        usage: usage.to_vec(),
        payable: payable.then_some(TERM),
        activity: None,
    })
}

fn invoice(amount: &str, of_activity: bool) -> Deed {
    Deed::Invoice(Bill {
        amount: amount.to_owned(),
        term: TERM,
        of_activity,
        agreement: None,
    })
}

/// What was done by hand in `file`, by the provider's half of the recording.
pub(crate) fn by_hand(file: &str) -> Vec<(&'static str, Deed)> {
    let behave = Deed::Behave;
    match file {
        "03_market" => vec![
            ("01:13:33.960", Deed::Come),
            ("01:13:33.961", behave(json!({"approve_after": "1527ms"}))),
            (
                "01:13:37.701",
                behave(
                    json!({"reject_first": 1, "reject_with": "Too busy", "approve_after": "307ms"}),
                ),
            ),
            (
                "01:13:38.045",
                behave(json!({"reject_first": 0, "never_approve": true})),
            ),
            (
                "01:13:50.583",
                behave(json!({"never_approve": false, "approve_after": "13ms"})),
            ),
            (
                "01:13:51.163",
                Deed::Terminate(json!({
                    "message": "no debit note acceptance",
                    "golem.provider.code": "DebitNotesDeadline",
                })),
            ),
            (
                "01:13:51.221",
                behave(json!({"refuse": {"message": "no way", "golem.provider.code": "x"}})),
            ),
            ("01:13:51.785", Deed::Go),
        ],
        "04_activity" => vec![
            ("01:13:57.034", Deed::Come),
            ("01:14:45.551", Deed::Silent(true)),
            ("01:14:52.569", Deed::Silent(false)),
            (
                "01:14:52.569",
                behave(json!({"fail_activity": "runtime not found"})),
            ),
            ("01:14:53.600", behave(json!({"fail_activity": null}))),
            ("01:14:55.640", Deed::Go),
        ],
        "05_payment" => vec![
            ("01:18:20.896", Deed::Come),
            ("01:18:23.095", note("0.001", [1.0, 0.5], true)),
            ("01:18:25.641", note("0.003", [3.0, 1.5], false)),
            ("01:18:25.658", note("0.002", [2.0, 1.0], false)),
            ("01:18:26.300", invoice("0.01", true)),
            ("01:18:29.785", note("0.02", [9.0, 1.5], false)),
            ("01:18:29.890", invoice("0.5", false)),
            ("01:18:30.003", invoice("0.25", false)),
            ("01:18:30.322", Deed::CancelInvoice),
            ("01:18:31.105", invoice("0", false)),
            ("01:18:31.198", invoice("0.1000000000000000", false)),
            ("01:18:32.025", Deed::Go),
        ],
        "06_net_scan_misc" => vec![
            ("01:19:50.950", Deed::Come),
            ("01:19:57.612", Deed::KillExeUnit),
            ("01:20:34.200", Deed::Silent(true)),
            ("01:20:37.251", Deed::Go),
        ],
        "09_settlement_localchain" => vec![
            ("01:30:34.280", Deed::Come),
            ("01:30:35.890", note("0.25", [1.0, 0.5], true)),
            ("01:30:35.928", invoice("0.75", true)),
            ("01:31:21.902", Deed::Go),
        ],
        // Its image was not the one that the demand named.
        "12_yapapi_hello_deploy_fails" => vec![
            ("00:00:00", Deed::Come),
            (
                "00:00:00",
                behave(json!({"fail_command": {"command": "deploy", "message":
                    "Local service error: Transfer error: Incorrect hash provided or downloaded image is \
                     corrupted: calculated hash d1ac20fe68acc37eba301878b0f6ab24929cf5f985ef420f6c479b14 \
                     differs from the expected one d646d7b93083d817846c2ae5c62c72ca0507782385a2e29291a3d376"}})),
            ),
            // The agent was being started when the first demand came: its offer stood already.
            ("01:33:37.000", Deed::Silent(true)),
            ("01:33:39.400", Deed::Silent(false)),
            ("01:33:39.465", Deed::Offer),
            // Of these two the client was told as it hung up.
            ("01:34:56.370", invoice("0.000562", true)),
            ("01:34:56.650", note("0.000667", [6.67, 0.1], false)),
        ],
        "11_yapapi_hello_ok" => vec![("01:35:27.629", Deed::Come)],
        _ => Vec::new(),
    }
}

/// Everything done by hand in a session, in time.
pub(crate) fn cues(folder: &Path, files: &[&str]) -> Vec<Cue> {
    let mut cues: Vec<_> = files
        .iter()
        .flat_map(|file| cues_of(folder, file))
        .collect();
    cues.sort_by_key(|cue| cue.at);
    cues
}

fn cues_of(folder: &Path, file: &str) -> Vec<Cue> {
    // Only a document that was sent reaches the requestor.
    let sent = provider_side(file).map_or_else(Vec::new, |half| read(folder, &half));
    let mut documents = sent.into_iter().filter_map(|exchange| {
        let path = exchange.path.strip_suffix("/send")?.to_owned();
        path.rsplit('/').next().map(str::to_owned)
    });
    let cue = |at: Timestamp, deed, document| Cue {
        at,
        provider: file.to_owned(),
        deed,
        document,
    };
    let by_hand = by_hand(file).into_iter().map(|(at, deed)| {
        let issues = matches!(deed, Deed::Note(..) | Deed::Invoice(..));
        let document = if issues { documents.next() } else { None };
        cue(
            format!("2026-11-22T{at}Z").parse().expect("a time"),
            deed,
            document,
        )
    });
    let mut cues: Vec<_> = by_hand.collect();
    if file.contains("yapapi") {
        let seen = seen(&read(folder, file));
        cues.extend(
            seen.into_iter()
                .map(|(at, deed, document)| cue(at, deed, document)),
        );
    }
    cues
}

fn provider_side(file: &str) -> Option<String> {
    let (number, name) = file.split_once('_')?;
    match name {
        "market" | "activity" | "payment" => Some(format!("{file}_provider_side")),
        "settlement_localchain" => Some(format!("{number}_settle_provider_side")),
        _ => None,
    }
}

/// The documents that the requestor was told of, at the times of their events.
fn seen(exchanges: &[Exchange]) -> Vec<(Timestamp, Deed, Option<String>)> {
    let bodies: Vec<Value> = exchanges
        .iter()
        .filter_map(|exchange| serde_json::from_str(&exchange.body).ok())
        .collect();
    let elements = || bodies.iter().filter_map(Value::as_array).flatten();
    let text = |value: &Value, key: &str| value[key].as_str().map(str::to_owned);
    let time = |value: &Value| value.as_str().and_then(|t| t.parse::<Timestamp>().ok());
    let issued: BTreeMap<String, Timestamp> = elements()
        .filter_map(|event| {
            let id = text(event, "debitNoteId").or_else(|| text(event, "invoiceId"))?;
            Some((id, time(&event["eventDate"])?))
        })
        .collect();
    let documents = bodies.iter().filter_map(|body| {
        let id = text(body, "debitNoteId").or_else(|| text(body, "invoiceId"))?;
        let at = *issued.get(&id)?;
        let deed = if body.get("invoiceId").is_some() {
            Deed::Invoice(Bill {
                amount: text(body, "amount")?,
                term: YAPAPI_TERM,
                of_activity: true,
                agreement: text(body, "agreementId"),
            })
        } else {
            let usage = body["usageCounterVector"].as_array()?;
            Deed::Note(Note {
                amount: text(body, "totalAmountDue")?,
                usage: usage.iter().filter_map(Value::as_f64).collect(),
                payable: None,
                activity: text(body, "activityId"),
            })
        };
        Some((at, deed, Some(id)))
    });
    documents.collect()
}

/// Does `cue`; `last` is the invoice issued last. Answers whether it was possible.
pub(crate) fn perform(
    mock: &MockYagna,
    cue: &Cue,
    last: &mut Option<InvoiceId>,
    mapping: &mut Mapping,
) -> bool {
    let provider = cue.provider.clone();
    let act = match &cue.deed {
        Deed::Come | Deed::Go => Act::SetOnline {
            provider,
            online: matches!(cue.deed, Deed::Come),
        },
        Deed::Offer => Act::Offer { provider },
        Deed::Behave(change) => Act::Behave {
            provider,
            change: change.as_object().cloned().unwrap_or_default(),
        },
        Deed::Silent(silent) => Act::GoSilent {
            provider,
            silent: *silent,
        },
        Deed::Terminate(reason) => Act::TerminateAgreement {
            provider,
            reason: serde_json::from_value(reason.clone()).ok(),
        },
        Deed::KillExeUnit => Act::KillExeUnit { provider },
        Deed::Note(..) | Deed::Invoice(..) | Deed::CancelInvoice => {
            let Some(issued) = issue(mock, cue, last, mapping) else {
                return false;
            };
            if let Some(recorded) = &cue.document {
                mapping.learn(&recorded.as_str().into(), &issued.into());
            }
            return true;
        }
    };
    mock.act(act).is_ok()
}

/// Issues or cancels a document; answers its id.
fn issue(
    mock: &MockYagna,
    cue: &Cue,
    last: &mut Option<InvoiceId>,
    mapping: &Mapping,
) -> Option<String> {
    let ours = |recorded: &String| mapping.translate(recorded);
    mock.world().with(|state| match &cue.deed {
        Deed::Note(note) => {
            let named = note.activity.as_ref().map(|id| ActivityId::new(ours(id)));
            let activity = named.or_else(|| {
                let agreement = state.last_agreement(&cue.provider)?;
                state.last_activity(&agreement)
            })?;
            let amount = note.amount.parse().ok()?;
            let id = state.issue_note_by_hand(&activity, amount, &note.usage, note.payable)?;
            Some(id.as_str().to_owned())
        }
        Deed::Invoice(bill) => {
            let named = bill.agreement.as_ref().map(|id| AgreementId::new(ours(id)));
            let agreement = named.or_else(|| state.last_agreement(&cue.provider))?;
            let activity = state.last_activity(&agreement).filter(|_| bill.of_activity);
            let amount = bill.amount.parse().ok()?;
            let activities = activity.into_iter().collect();
            let id = state.issue_invoice_by_hand(&agreement, activities, amount, bill.term)?;
            *last = Some(id.clone());
            Some(id.as_str().to_owned())
        }
        _ => {
            let id = last.as_ref()?;
            state
                .cancel_invoice_by_hand(id)
                .then(|| id.as_str().to_owned())
        }
    })
}
