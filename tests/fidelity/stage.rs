//! The network on which a recording is played again, and what its provider did by hand meanwhile.

use std::path::Path;
use std::time::Duration;

use golem_wire::{Glm, InvoiceId};
use jiff::{SignedDuration, Timestamp};
use mock_yagna::config::{Behaviour, Latency, Platform};
use mock_yagna::inspect::Act;
use mock_yagna::{AppKey, Config, Image, MockYagna, ProviderSpec, Timebase};
use serde_json::{Value, json};

use crate::recording::{Exchange, PROVIDER_KEY, REQUESTOR_KEY};

/// What the provider of a recording does.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Come,
    Go,
    /// Members of the behaviour; the others are the usual ones.
    Behave(Value),
    /// Whether the agent stops to answer.
    Silent(bool),
    Terminate,
    KillExeUnit,
    /// Amount, and whether it must be paid soon.
    Note(&'static str, bool),
    /// Amount, and whether it names the activity.
    Invoice(&'static str, bool),
    CancelInvoice,
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

/// Recordings that one daemon made without a restart, in that order.
pub(crate) const SESSIONS: [&[&str]; 6] = [
    &[
        "03_market",
        "04_activity",
        "05_payment",
        "06_net_scan_misc",
        "01_endpoints_auth",
        "02_allocations",
    ],
    &["07_alloc_noskip_nochain"],
    &["08_alloc_localchain"],
    &["09_settlement_localchain"],
    &["12_yapapi_hello_deploy_fails"],
    &["11_yapapi_hello_ok"],
];

fn usual() -> Behaviour {
    Behaviour {
        approve_after: Duration::from_millis(12),
        idle_timeout: Duration::from_secs(36_000),
        online: false,
        ..Behaviour::default()
    }
}

/// What was done by hand in `file`, by the provider's half of the recording.
fn deeds(file: &str) -> Vec<(&'static str, Deed)> {
    let behave = Deed::Behave;
    match file {
        "03_market" => vec![
            ("01:13:33.960", Deed::Come),
            ("01:13:33.961", behave(json!({"approve_after": "1527ms"}))),
            (
                "01:13:37.701",
                behave(json!({"busy": true, "approve_after": "307ms"})),
            ),
            (
                "01:13:38.045",
                behave(json!({"busy": false, "never_approve": true})),
            ),
            (
                "01:13:50.583",
                behave(json!({"never_approve": false, "approve_after": "13ms"})),
            ),
            ("01:13:51.163", Deed::Terminate),
            ("01:13:51.221", behave(json!({"refuse": "no way"}))),
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
            ("01:18:23.095", Deed::Note("0.001", true)),
            ("01:18:25.641", Deed::Note("0.003", false)),
            ("01:18:25.658", Deed::Note("0.002", false)),
            ("01:18:26.300", Deed::Invoice("0.01", true)),
            ("01:18:29.785", Deed::Note("0.02", false)),
            ("01:18:29.890", Deed::Invoice("0.5", false)),
            ("01:18:30.003", Deed::Invoice("0.25", false)),
            ("01:18:30.322", Deed::CancelInvoice),
            ("01:18:31.105", Deed::Invoice("0", false)),
            ("01:18:31.198", Deed::Invoice("0.100000000000000", false)),
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
            ("01:30:35.890", Deed::Note("0.25", true)),
            ("01:30:35.928", Deed::Invoice("0.75", true)),
            ("01:31:21.902", Deed::Go),
        ],
        "11_yapapi_hello_ok" | "12_yapapi_hello_deploy_fails" => vec![("00:00:00", Deed::Come)],
        _ => Vec::new(),
    }
}

/// Everything done by hand in a session, in time.
pub(crate) fn cues(folder: &Path, files: &[&str]) -> Vec<Cue> {
    let of = |file: &&str| {
        let provider = (*file).to_owned();
        let half = file
            .replace("_market", "_market_provider_side")
            .replace("_activity", "_activity_provider_side");
        let half = half
            .replace("_payment", "_payment_provider_side")
            .replace("settlement_localchain", "settle_provider_side");
        let sent = if half == **file || !half.contains("provider") {
            Vec::new()
        } else {
            crate::recording::read(folder, &half)
        };
        // Only a document that was sent reaches the requestor.
        let mut documents = sent.into_iter().filter_map(|exchange| {
            let path = exchange.path.strip_suffix("/send")?.to_owned();
            path.rsplit('/').next().map(str::to_owned)
        });
        let cues = deeds(file).into_iter().map(move |(at, deed)| {
            let issues = matches!(deed, Deed::Note(..) | Deed::Invoice(..));
            Cue {
                at: format!("2026-11-22T{at}Z").parse().expect("a time"),
                provider: provider.clone(),
                document: if issues { documents.next() } else { None },
                deed,
            }
        });
        cues.collect::<Vec<_>>()
    };
    let mut cues: Vec<_> = files.iter().flat_map(of).collect();
    cues.sort_by_key(|cue| cue.at);
    cues
}

/// The offer of the first provider that appears in `exchanges`.
fn offer(exchanges: &[Exchange]) -> Option<Value> {
    let bodies = exchanges
        .iter()
        .filter_map(|e| serde_json::from_str::<Value>(&e.body).ok());
    bodies.into_iter().find_map(|body| {
        let first = body.get(0)?;
        let properties = first.get("proposal").unwrap_or(first).get("properties")?;
        properties
            .get("golem.node.id.name")
            .is_some()
            .then(|| properties.clone())
    })
}

/// The network of the session that recorded `exchanges`.
pub(crate) fn start(files: &[&str], folder: &Path, start: Timestamp) -> MockYagna {
    let providers = files
        .iter()
        .filter(|file| !deeds(file).is_empty())
        .map(|file| {
            let exchanges = crate::recording::read(folder, file);
            let mut spec = ProviderSpec::new(*file);
            if let Some(Value::Object(properties)) = offer(&exchanges) {
                let subnet = properties
                    .get("golem.node.debug.subnet")
                    .and_then(Value::as_str);
                spec.subnet = subnet.unwrap_or("public").to_owned();
                spec.properties = properties.into_iter().collect();
            }
            spec.capacity = 100;
            spec.behaviour = usual();
            spec
        });
    let settling = files.contains(&"09_settlement_localchain");
    let yapapi = files.iter().any(|file| file.contains("yapapi"));
    let config = Config {
        app_keys: vec![
            AppKey::new(REQUESTOR_KEY, "autoconfigured"),
            AppKey::new(PROVIDER_KEY, "prov"),
        ],
        providers: providers.collect(),
        default_image: (!files.contains(&"12_yapapi_hello_deploy_fails")).then_some(Image::Shell),
        platforms: vec![
            Platform::erc20("holesky", "tGLM"),
            Platform::erc20("hoodi", "tGLM"),
            Platform::erc20("polygon", "GLM"),
            Platform::erc20("amoy", "tGLM"),
            Platform::erc20("mainnet", "GLM"),
        ],
        funds: Glm::from(if files.len() > 1 { 1_000_000 } else { 1000 }),
        latency: Latency {
            matching: Duration::from_millis(if yapapi { 2200 } else { 2 }),
            negotiation: Duration::from_millis(15),
            // The agent of the recordings issues every document by hand.
            invoice: if yapapi {
                Duration::from_millis(50)
            } else {
                Duration::from_secs(360_000)
            },
            settlement: Duration::from_secs(if settling { 10 } else { 36_000 }),
            ..Latency::default()
        },
        ..Config::default()
    };
    MockYagna::start(
        config,
        Timebase::starting_at(start - SignedDuration::from_secs(1)),
    )
}

/// Does `cue`; `last` is the invoice issued last, `learn` is told the id of a document.
pub(crate) fn perform(
    mock: &MockYagna,
    cue: &Cue,
    last: &mut Option<InvoiceId>,
    mut learn: impl FnMut(&str),
) -> bool {
    let provider = cue.provider.clone();
    let term = Duration::from_secs(300);
    match &cue.deed {
        Deed::Come => mock
            .act(Act::SetOnline {
                provider,
                online: true,
            })
            .is_ok(),
        Deed::Go => mock
            .act(Act::SetOnline {
                provider,
                online: false,
            })
            .is_ok(),
        Deed::Behave(change) => {
            let change = change.as_object().cloned().unwrap_or_default();
            mock.act(Act::Behave { provider, change }).is_ok()
        }
        Deed::Silent(silent) => mock
            .act(Act::GoSilent {
                provider,
                silent: *silent,
            })
            .is_ok(),
        Deed::Terminate => {
            let reason = Some("no debit note acceptance".into());
            mock.act(Act::TerminateAgreement { provider, reason })
                .is_ok()
        }
        Deed::KillExeUnit => mock.act(Act::KillExeUnit { provider }).is_ok(),
        Deed::Note(amount, payable) => mock.world().with(|s| {
            let activity = s
                .last_agreement(&provider)
                .and_then(|a| s.last_activity(&a));
            let amount = amount.parse().expect("an amount");
            let note = activity.and_then(|a| {
                s.issue_note_by_hand(&a, amount, &[1.0, 0.5], payable.then_some(term))
            });
            note.is_some_and(|note| {
                learn(note.as_str());
                true
            })
        }),
        Deed::Invoice(amount, of_activity) => mock.world().with(|s| {
            let Some(agreement) = s.last_agreement(&provider) else {
                return false;
            };
            let activity = s.last_activity(&agreement).filter(|_| *of_activity);
            let amount = amount.parse().expect("an amount");
            *last =
                s.issue_invoice_by_hand(&agreement, activity.into_iter().collect(), amount, term);
            last.as_ref().is_some_and(|invoice| {
                learn(invoice.as_str());
                true
            })
        }),
        Deed::CancelInvoice => mock.world().with(|s| {
            last.as_ref()
                .is_some_and(|invoice| s.cancel_invoice_by_hand(invoice))
        }),
    }
}
