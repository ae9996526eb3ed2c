//! How much of what was recorded of the daemon the mock answers alike, in three tiers, and which documented
//! answers were seen: made from the recordings, written into `FIDELITY.md` and `README.md`.
//!
//! A fifth of the requests, by a hash of what they ask, is held back: it counts here and is shown nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use workspace_tests::fidelity::asked::answers;
use workspace_tests::fidelity::compare::Difference;
use workspace_tests::fidelity::explained::Explained;
use workspace_tests::fidelity::identifiers::mask;
use workspace_tests::fidelity::recording::Exchange;
use workspace_tests::{SHARED, folder, root};

use crate::drawn;
use crate::guard::Guard;
use crate::openapi::matches;
use crate::replay::{self, Outcome};

/// Operations that yapapi, golem-js and golem-core call on their usual ways.
const CORE: [&str; 36] = [
    "POST /market-api/v1/demands",
    "DELETE /market-api/v1/demands/{}",
    "GET /market-api/v1/demands/{}/events",
    "GET /market-api/v1/demands/{}/proposals/{}",
    "POST /market-api/v1/demands/{}/proposals/{}",
    "POST /market-api/v1/demands/{}/proposals/{}/reject",
    "POST /market-api/v1/agreements",
    "GET /market-api/v1/agreements/{}",
    "POST /market-api/v1/agreements/{}/confirm",
    "POST /market-api/v1/agreements/{}/wait",
    "POST /market-api/v1/agreements/{}/terminate",
    "GET /market-api/v1/agreementEvents",
    "POST /activity-api/v1/activity",
    "DELETE /activity-api/v1/activity/{}",
    "GET /activity-api/v1/activity/{}/state",
    "POST /activity-api/v1/activity/{}/exec",
    "GET /activity-api/v1/activity/{}/exec/{}",
    "GET /payment-api/v1/requestorAccounts",
    "POST /payment-api/v1/allocations",
    "GET /payment-api/v1/allocations",
    "GET /payment-api/v1/allocations/{}",
    "PUT /payment-api/v1/allocations/{}",
    "DELETE /payment-api/v1/allocations/{}",
    "GET /payment-api/v1/demandDecorations",
    "GET /payment-api/v1/debitNoteEvents",
    "GET /payment-api/v1/debitNotes/{}",
    "POST /payment-api/v1/debitNotes/{}/accept",
    "GET /payment-api/v1/invoiceEvents",
    "GET /payment-api/v1/invoices",
    "GET /payment-api/v1/invoices/{}",
    "POST /payment-api/v1/invoices/{}/accept",
    "POST /net-api/v1/net",
    "DELETE /net-api/v1/net/{}",
    "POST /net-api/v1/net/{}/nodes",
    "POST /gsb-api/v1/services",
    "DELETE /gsb-api/v1/services/{}",
];

/// Tiers by name, with the share below which the test fails. Differences with a reason are differences there.
const TIERS: [(&str, f64); 3] = [("core", 99.5), ("complete", 99.0), ("strict", 95.0)];
/// Fewer recorded checks would say little.
const LEAST_CHECKS: usize = 2000;

/// Whether a request of this kind is held back: one of five, by a hash that is the same everywhere.
pub(crate) fn is_held_back(kind: &str) -> bool {
    // FNV-1a.
    let hash = kind.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash % 5 == 0
}

/// What a recorded request asks, without the ids of its run.
pub(crate) fn kind(exchange: &Exchange) -> String {
    let Exchange {
        method,
        path,
        query,
        request,
        ..
    } = exchange;
    mask(&format!("{method} {path}?{query} {request}"))
}

/// A documented operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Documented {
    /// Method and path, `{}` for what varies.
    request: String,
    /// Statuses.
    answers: Vec<u16>,
}

/// The statuses that the OpenAPI files name, by operation. The list is committed; where the files are, it is theirs.
fn documented() -> Vec<Documented> {
    let text = std::fs::read_to_string(root().join(DOCUMENTED)).expect("the list");
    serde_json::from_str(&text).expect("operations with their statuses")
}

const DOCUMENTED: &str = "tests/fidelity/documented.json";

#[test]
#[cfg_attr(
    no_shared,
    ignore = "GOLEM_SHARED names no folder with the OpenAPI files"
)]
fn the_documented_statuses_are_those_of_the_openapi_files() {
    let guard = Guard::read(&folder(SHARED).join("contract/specs"));
    let mut described: Vec<_> = guard
        .described()
        .into_iter()
        .map(|(method, path, statuses)| Documented {
            request: format!("{method} {}", holes(&path)),
            answers: statuses
                .iter()
                .filter_map(|status| status.parse().ok())
                .collect(),
        })
        .collect();
    described.sort_by(|one, other| one.request.cmp(&other.request));
    if std::env::var_os("GOLEM_UPDATE").is_some() {
        let lines: Vec<_> = described
            .iter()
            .map(|one| serde_json::to_string(one).expect("it is text"))
            .collect();
        let text = format!("[\n{}\n]\n", lines.join(",\n"));
        std::fs::write(root().join(DOCUMENTED), text).expect("it can be written");
    }
    assert_eq!(
        documented(),
        described,
        "GOLEM_UPDATE=1 writes {DOCUMENTED}"
    );
}

/// A path with `{}` for each name in braces.
fn holes(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        if segment.starts_with('{') {
            "{}"
        } else {
            segment
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// A recorded request, and how well it was answered.
#[derive(Debug)]
struct Check {
    version: String,
    request: Option<String>,
    status: Option<u16>,
    held_back: bool,
    /// Nothing differs in what a program goes by: status, type, shape, ids.
    meaning: bool,
    /// Nothing differs at all.
    all: bool,
    /// The same two, what differs for a reason aside.
    but_for_reasons: [bool; 2],
}

impl Check {
    /// Whether it counts in each tier, and whether it is alike there.
    fn tiers(&self, with_reasons: bool) -> [Option<bool>; 3] {
        let [meaning, all] = match with_reasons {
            true => self.but_for_reasons,
            false => [self.meaning, self.all],
        };
        let core = self
            .request
            .as_deref()
            .is_some_and(|request| CORE.contains(&request));
        let success = self
            .status
            .is_some_and(|status| (200..300).contains(&status));
        [
            (core && success).then_some(meaning),
            self.request.is_some().then_some(meaning),
            Some(all),
        ]
    }
}

fn check(
    version: &str,
    exchange: &Exchange,
    kind: &str,
    differences: &[Difference],
    with_reason: impl Fn(&Difference) -> bool,
    documented: &[Documented],
) -> Check {
    let mut known = documented.iter().filter(|one| {
        let (method, path) = one.request.split_once(' ').unwrap_or_default();
        method == exchange.method && matches(path, &exchange.path)
    });
    // The one with the fewest holes is meant.
    let request = known
        .clone()
        .map(|one| one.request.matches("{}").count())
        .min();
    let request = known.find(|one| Some(one.request.matches("{}").count()) == request);
    let means =
        |difference: &Difference| ["status", "type", "shape", "ids"].contains(&difference.aspect);
    let open: Vec<_> = differences
        .iter()
        .filter(|difference| !with_reason(difference))
        .collect();
    Check {
        version: version.to_owned(),
        request: request.map(|one| one.request.clone()),
        status: exchange.status,
        held_back: is_held_back(kind),
        meaning: !differences.iter().any(means),
        all: differences.is_empty(),
        but_for_reasons: [
            !open.iter().any(|difference| means(difference)),
            open.is_empty(),
        ],
    }
}

/// How many of how many.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    alike: usize,
    of: usize,
}

impl Share {
    fn percent(self) -> f64 {
        if self.of == 0 {
            return 100.0;
        }
        100.0 * self.alike as f64 / self.of as f64
    }

    fn told(self) -> String {
        // Cut off, never rounded up.
        let tenths = (self.percent() * 10.0).floor() / 10.0;
        format!("{tenths:.1} % ({} of {})", self.alike, self.of)
    }
}

fn share<'a>(checks: impl Iterator<Item = &'a Check>, tier: usize, with_reasons: bool) -> Share {
    checks
        .filter_map(|check| check.tiers(with_reasons)[tier])
        .fold(Share::default(), |share, alike| Share {
            alike: share.alike + usize::from(alike),
            of: share.of + 1,
        })
}

const BEGIN: &str = "<!-- made from the recordings: GOLEM_UPDATE=1 cargo test --workspace --test fidelity score -->\n";
const END: &str = "<!-- end -->";

/// The section of `FIDELITY.md`. What people asked shows answers as well, but no share: they asked what they knew.
fn page(checks: &[Check], asked: &[Check], documented: &[Documented]) -> String {
    let mut page = String::new();
    let versions: BTreeSet<&str> = checks.iter().map(|check| check.version.as_str()).collect();
    let _ = writeln!(
        page,
        "| daemon | tier | what counts | open part | held back | all | all but what differs for a reason | wanted |\n|---|---|---|---|---|---|---|---|"
    );
    let what = [
        "what the three SDKs call on their usual ways, and it succeeded: status, type, shape, ids",
        "every documented operation, whatever the answer: status, type, shape, ids",
        "every recorded request: words, headers and times as well",
    ];
    for version in &versions {
        for (tier, (name, wanted)) in TIERS.iter().enumerate() {
            let of = |held_back: &[bool], with_reasons| {
                let mine = checks.iter().filter(|check| {
                    check.version == *version && held_back.contains(&check.held_back)
                });
                share(mine, tier, with_reasons).told()
            };
            let (open, held) = (of(&[false], false), of(&[true], false));
            let (all, but) = (of(&[true, false], false), of(&[true, false], true));
            let _ = writeln!(
                page,
                "| {version} | {name} | {} | {open} | {held} | {all} | {but} | {wanted} % |",
                what[tier]
            );
        }
    }
    let mut seen: BTreeMap<(&str, u16), bool> = BTreeMap::new();
    for check in checks.iter().chain(asked) {
        if let (Some(request), Some(status)) = (&check.request, check.status) {
            let shown = seen.entry((request, status)).or_default();
            *shown |= check.meaning;
        }
    }
    let all: usize = documented.iter().map(|one| one.answers.len()).sum();
    let of = |shown: bool| {
        let told = documented.iter().flat_map(|one| {
            one.answers
                .iter()
                .map(|status| (one.request.as_str(), *status))
        });
        told.filter(|answer| seen.get(answer).is_some_and(|alike| *alike || !shown))
            .count()
    };
    let _ = writeln!(
        page,
        "\nOf {all} documented answers (operation × status) {} were seen on the daemon and {} of these are shown by a \
         test. In the table a status stands as it is when both hold, in *italics* when it was seen only, in (brackets) when \
         it was never seen; after `+` those that are not documented.\n\n| operation | answers |\n|---|---|",
        of(false),
        of(true)
    );
    for Documented { request, answers } in documented {
        let mut told: Vec<String> = answers
            .iter()
            .map(|status| match seen.get(&(request.as_str(), *status)) {
                Some(true) => status.to_string(),
                Some(false) => format!("*{status}*"),
                None => format!("({status})"),
            })
            .collect();
        let more: Vec<String> = seen
            .iter()
            .filter(|((of, status), _)| of == request && !answers.contains(status))
            .map(|((_, status), alike)| {
                if *alike {
                    status.to_string()
                } else {
                    format!("*{status}*")
                }
            })
            .collect();
        if !more.is_empty() {
            told.push(format!("+ {}", more.join(" ")));
        }
        let _ = writeln!(page, "| `{request}` | {} |", told.join(" "));
    }
    page
}

/// The line of `README.md`.
fn line(checks: &[Check]) -> String {
    let tiers = TIERS.iter().enumerate().map(|(tier, (name, _))| {
        let of = |held: bool| {
            share(
                checks.iter().filter(|check| check.held_back == held),
                tier,
                false,
            )
        };
        let tenths = |share: Share| (share.percent() * 10.0).floor() / 10.0;
        format!(
            "{name} {:.1} % ({:.1} % of what was held back)",
            tenths(of(false)),
            tenths(of(true))
        )
    });
    let versions: BTreeSet<&str> = checks.iter().map(|check| check.version.as_str()).collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    format!(
        "Of {} recorded requests to yagna {}, the mock answers alike: {}.\n",
        checks.len(),
        versions.join(" and "),
        tiers.collect::<Vec<_>>().join(", ")
    )
}

/// Puts `made` between the marks of a document, or asserts that it is there.
fn assert_made(document: &str, made: &str) {
    let path = root().join(document);
    let text = std::fs::read_to_string(&path).expect("the document");
    let (before, rest) = text.split_once(BEGIN).expect("where the figures begin");
    let (figures, after) = rest.split_once(END).expect("where they end");
    if std::env::var_os("GOLEM_UPDATE").is_some() {
        std::fs::write(path, [before, BEGIN, made, END, after].concat())
            .expect("it can be written");
        return;
    }
    let other = figures
        .lines()
        .zip(made.lines())
        .find(|(here, now)| here != now);
    assert!(
        figures == made,
        "{document} does not tell what the recordings show; GOLEM_UPDATE=1 mends it. First: {other:#?}"
    );
}

/// The first recordings name no version; all were made of one daemon.
const VERSION: &str = "0.17.6";

#[test]
fn the_score_is_what_the_documents_say_and_not_below_its_bars() {
    let documented = documented();
    let mut explained = Explained::read();
    let mut checks = Vec::new();
    let committed = root().join("tests/fidelity/recordings");
    for outcome in replay::outcomes(&committed) {
        let Outcome {
            exchange,
            differences,
        } = outcome;
        let reasons: Vec<_> = differences
            .iter()
            .filter(|difference| {
                let place = format!("{}:{} {}", exchange.file, exchange.line, difference.aspect);
                explained.take(&place).is_some()
            })
            .collect();
        let with_reason = |difference: &Difference| reasons.contains(&difference);
        let kind = kind(&exchange);
        checks.push(check(
            VERSION,
            &exchange,
            &kind,
            &differences,
            with_reason,
            &documented,
        ));
    }
    let (mut open, mut hidden) = (Vec::new(), 0);
    let of_drawn = |one: &drawn::Drawn| {
        let with_reason = |difference: &Difference| {
            let operation = &one.step.daemon.note;
            let reason = explained.of_recorded(&one.place, operation, difference);
            reason.is_some()
        };
        check(
            &one.version,
            &one.step.daemon,
            &one.kind,
            &one.step.differences,
            with_reason,
            &documented,
        )
    };
    let asked = drawn::play_file(&answers());
    let asked: Vec<Check> = asked.iter().map(of_drawn).collect();
    let mut needless: BTreeSet<&String> = explained.recorded().collect();
    for file in drawn::files() {
        for one in drawn::play_file(&file) {
            let check = of_drawn(&one);
            let places = one.step.differences.iter();
            let places = places.map(|difference| format!("{} {}", one.place, difference.aspect));
            for place in places {
                needless.remove(&place);
            }
            let unexplained = drawn::unexplained(&one, &explained);
            if check.held_back {
                hidden += usize::from(!unexplained.is_empty());
            } else {
                open.extend(unexplained.into_iter().map(|(aspect, how)| {
                    format!("{} {} {aspect}: {how}", one.place, one.step.daemon.note)
                }));
            }
            checks.push(check);
        }
    }
    assert!(
        needless.is_empty(),
        "nothing differs any more at {needless:?}"
    );
    for difference in &open {
        println!("UNEXPLAINED: {difference}");
    }
    println!("held back: {hidden} differ without a reason");
    assert!(
        open.is_empty(),
        "{} answers of the open part differ without a reason: mend the mock, or say in explained.yaml why",
        open.len()
    );
    for (tier, (name, _)) in TIERS.iter().enumerate() {
        let of = |held| {
            share(
                checks.iter().filter(|check| check.held_back == held),
                tier,
                false,
            )
            .told()
        };
        println!("{name:<10} open {}, held back {}", of(false), of(true));
    }
    assert_made(
        "mock-yagna/FIDELITY.md",
        &page(&checks, &asked, &documented),
    );
    assert_made("README.md", &line(&checks));
    assert!(checks.len() >= LEAST_CHECKS, "only {} checks", checks.len());
    for (tier, (name, bar)) in TIERS.iter().enumerate() {
        let share = share(checks.iter(), tier, false);
        assert!(
            share.percent() >= *bar,
            "{name}: {} is below {bar} %",
            share.told()
        );
    }
}

#[test]
fn one_of_five_requests_is_held_back_whatever_ids_its_run_had() {
    let exchange = |id: &str| Exchange {
        file: String::new(),
        line: 1,
        at: jiff::Timestamp::UNIX_EPOCH,
        note: String::new(),
        method: "GET".to_owned(),
        path: format!("/market-api/v1/agreements/{id}"),
        query: String::new(),
        headers: Vec::new(),
        request: String::new(),
        status: Some(200),
        kind: String::new(),
        body: String::new(),
        answered_with: Vec::new(),
        took: jiff::SignedDuration::ZERO,
        by_clock: false,
    };
    assert_eq!(
        kind(&exchange(&"1".repeat(64))),
        kind(&exchange(&"a".repeat(64)))
    );
    let held = (0..10_000)
        .filter(|n| is_held_back(&format!("GET /{n}")))
        .count();
    assert!((1800..2200).contains(&held), "{held}");
}
