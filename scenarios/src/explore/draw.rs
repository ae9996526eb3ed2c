//! A network, its troubles and the fate of its requestor, drawn at random around a scenario.
//!
//! Owns: which families of trouble there are, and what is drawn of each. Each seed draws which families are on, so that
//! one does not hide the others. Does not own: what must hold then (`laws`).

use mock_yagna::Seed;
use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

use super::document::Document;

/// A family of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// Providers that reject, refuse, are busy or never answer.
    Reluctant,
    /// Machines on which something fails or hangs.
    Failing,
    /// Agreements and activities that end early.
    Leaving,
    /// Providers out of reach for a while.
    Silent,
    /// Providers that are gone for good at some step.
    Dying,
    /// Bills that are wrong, late, doubled or missing.
    Billing,
    /// Steps that take long, or as long as they like.
    Slow,
    /// Requests that go wrong between the engine and its daemon.
    Faults,
    /// The daemon is restarted.
    Daemon,
    /// The requestor's program ends abruptly, is dropped, or is told to stop.
    Requestor,
}

/// All families.
pub(super) const FAMILIES: [Family; 10] = [
    Family::Reluctant,
    Family::Failing,
    Family::Leaving,
    Family::Silent,
    Family::Dying,
    Family::Billing,
    Family::Slow,
    Family::Faults,
    Family::Daemon,
    Family::Requestor,
];

/// Requests that something goes wrong with.
const OPERATIONS: [&str; 17] = [
    "subscribeDemand",
    "collectOffers",
    "counterProposalDemand",
    "createAgreement",
    "confirmAgreement",
    "waitForApproval",
    "terminateAgreement",
    "collectAgreementEvents",
    "createActivity",
    "exec",
    "getExecBatchResults",
    "destroyActivity",
    "createAllocation",
    "getInvoiceEvents",
    "getDebitNoteEvents",
    "acceptInvoice",
    "acceptDebitNote",
];

/// Steps of a provider's work, at which it may be gone.
const STEPS: [&str; 8] = [
    "negotiation",
    "approval",
    "activity",
    "deploy",
    "start",
    "run",
    "transfer",
    "invoice",
];

/// Steps that a provider may take its time for.
const LATENCIES: [&str; 7] = [
    "matching",
    "negotiation",
    "approval",
    "activity",
    "command",
    "deploy",
    "invoice",
];

/// A scenario around `base` for a seed.
pub(super) fn draw(base: &Document, seed: u64) -> Document {
    let mut rng = Seed::from_u64(seed).fork("explore").rng();
    let on: Vec<Family> = FAMILIES
        .into_iter()
        .filter(|_| rng.random_bool(0.4))
        .collect();
    let mut drawn = base.clone();
    drawn.0.insert("seed".into(), seed.into());
    for claims in ["expect", "real_time", "sweep"] {
        drawn.0.remove(claims);
    }
    if on.contains(&Family::Leaving) || rng.random_bool(0.3) {
        let version = *["0.17", "0.18"].choose(&mut rng).unwrap_or(&"0.17");
        drawn.0.insert("daemon".into(), version.into());
    }
    let names = providers(&mut drawn, &on, &mut rng);
    if on.contains(&Family::Slow) {
        let mut latency = Map::new();
        for key in ["matching", "negotiation", "activity_step", "command"] {
            if rng.random_bool(0.5) {
                let millis = rng.random_range(10..=5_000_u32);
                latency.insert(key.into(), format!("{millis}ms").into());
            }
        }
        drawn.0.insert("latency".into(), latency.into());
    }
    if on.contains(&Family::Faults) {
        for _ in 0..rng.random_range(1..=3) {
            let fault = fault(&mut rng);
            drawn.push("faults", fault);
        }
    }
    if on.contains(&Family::Daemon) {
        for _ in 0..rng.random_range(1..=2) {
            let step = json!({
                "at": moment(&mut rng), "do": "restart-daemon", "down": short(&mut rng, 1, 60),
            });
            drawn.push("timeline", step);
        }
    }
    timeline(&mut drawn, &on, &names, &mut rng);
    if on.contains(&Family::Requestor) {
        let lives = rng.random_range(1..=2);
        let fates: Vec<_> = (0..lives).map(|_| fate(&mut rng)).collect();
        let requestor = drawn.section("requestor");
        if !requestor.is_object() {
            *requestor = json!({});
        }
        if let Some(requestor) = requestor.as_object_mut() {
            requestor.insert("disturbed".into(), fates.join(", ").into());
        }
    }
    in_order_of_time(&mut drawn);
    drawn
}

/// Who there is, besides those of the scenario, and how each behaves; their names.
fn providers(drawn: &mut Document, on: &[Family], rng: &mut impl RngExt) -> Vec<String> {
    let given = drawn
        .section("providers")
        .as_array()
        .cloned()
        .unwrap_or_default();
    let extra = match given.is_empty() {
        true => rng.random_range(1..=6),
        false => rng.random_range(0..=3),
    };
    let extra = (1..=extra).map(|number| {
        let per_second = f64::from(rng.random_range(1..=50_u32)) / 1e6;
        json!({"name": format!("drawn-{number}"), "prices": {"duration_sec": per_second}})
    });
    let mut providers: Vec<Value> = given.into_iter().chain(extra.collect::<Vec<_>>()).collect();
    let mut names = Vec::new();
    for provider in &mut providers {
        let Some(provider) = provider.as_object_mut() else {
            continue;
        };
        if let Some(name) = provider.get("name").and_then(Value::as_str) {
            let many = provider
                .get("count")
                .and_then(Value::as_u64)
                .is_some_and(|count| count > 1);
            names.push(if many {
                format!("{name}-1")
            } else {
                name.to_owned()
            });
        }
        if rng.random_bool(0.15) {
            provider.insert("capacity".into(), rng.random_range(2..=3_u32).into());
        }
        let mut behaviour = match provider.remove("behaviour") {
            Some(Value::Object(given)) => given,
            _ => Map::new(),
        };
        for family in on {
            if rng.random_bool(0.5) {
                behave(*family, &mut behaviour, rng);
            }
        }
        if on.contains(&Family::Requestor) {
            // Between two lives of the requestor a second invoice comes for what was paid: the next one knows nothing of it.
            behaviour.remove("invoices");
        }
        if !behaviour.is_empty() {
            provider.insert("behaviour".into(), behaviour.into());
        }
    }
    drawn.0.insert("providers".into(), providers.into());
    names
}

/// Some commands that do not work.
fn trouble(rng: &mut impl RngExt) -> Value {
    let command = ["deploy", "start", "run", "transfer"].choose(rng).copied();
    let mut trouble =
        json!({"command": command.unwrap_or("run"), "times": rng.random_range(1..=2_u32)});
    if rng.random_bool(0.5) {
        trouble["after"] = rng.random_range(1..=3_u32).into();
    }
    trouble
}

/// One trait of a family.
fn behave(family: Family, behaviour: &mut Map<String, Value>, rng: &mut impl RngExt) {
    let (key, value) = match family {
        Family::Reluctant => match rng.random_range(0..5) {
            0 => ("reject_first", rng.random_range(1..=2_u32).into()),
            1 => ("never_approve", true.into()),
            2 => ("refuse", "not today".into()),
            3 => ("busy", true.into()),
            _ => ("approve_after", short(rng, 1, 90)),
        },
        Family::Failing => match rng.random_range(0..4) {
            0 => ("fail_activity", "no room".into()),
            1 => ("fail_start_first", rng.random_range(1..=2_u32).into()),
            2 => ("fail_command", trouble(rng)),
            _ => ("hang_command", trouble(rng)),
        },
        Family::Leaving => match rng.random_range(0..4) {
            0 => ("terminate_after", moment(rng)),
            1 => ("kill_activity_after", moment(rng)),
            2 => ("kill_exe_unit_after", moment(rng)),
            _ => ("activities_linger", moment(rng)),
        },
        Family::Silent => ("silent_after", moment(rng)),
        Family::Dying => {
            let when = *["die_before", "die_after"]
                .choose(rng)
                .unwrap_or(&"die_after");
            (when, STEPS.choose(rng).copied().unwrap_or("run").into())
        }
        Family::Billing => match rng.random_range(0..6) {
            0 => ("debit_notes", false.into()),
            1 => ("debit_notes_every", short(rng, 5, 90)),
            2 => (
                "invoices",
                (*[0_u32, 2, 3].choose(rng).unwrap_or(&0)).into(),
            ),
            3 => ("invoice_factor", factor(rng)),
            4 => ("usage_factor", factor(rng)),
            _ => ("debit_note_interval", short(rng, 10, 600)),
        },
        Family::Slow => {
            let step = LATENCIES.choose(rng).copied().unwrap_or("command");
            ("latency", json!({ step: delay(rng) }))
        }
        Family::Faults | Family::Daemon | Family::Requestor => return,
    };
    behaviour.insert(key.into(), value);
}

/// Things that happen to providers meanwhile.
fn timeline(drawn: &mut Document, on: &[Family], names: &[String], rng: &mut impl RngExt) {
    let mut acts = Vec::new();
    for (family, act) in [
        (Family::Leaving, "terminate-agreement"),
        (Family::Leaving, "kill-activity"),
        (Family::Failing, "kill-exe-unit"),
        (Family::Silent, "go-silent"),
        (Family::Dying, "die"),
        (Family::Reluctant, "go-offline"),
    ] {
        if on.contains(&family) && rng.random_bool(0.5) {
            acts.push(act);
        }
    }
    for act in acts {
        let Some(provider) = names.choose(rng) else {
            return;
        };
        let at = rng.random_range(5..=600_u32);
        drawn.push(
            "timeline",
            json!({"at": format!("{at}s"), "do": act, "provider": provider}),
        );
        let back = match act {
            "go-silent" => "answer-again",
            "go-offline" => "go-online",
            _ => continue,
        };
        if rng.random_bool(0.7) {
            let at = at + rng.random_range(1..=400_u32);
            drawn.push(
                "timeline",
                json!({"at": format!("{at}s"), "do": back, "provider": provider}),
            );
        }
    }
}

fn fault(rng: &mut impl RngExt) -> Value {
    let effect = match rng.random_range(0..9) {
        0 => json!("lose_answer"),
        1 => json!("reset"),
        2 => json!("unreachable"),
        3 => json!({"refuse": *[408_u32, 500, 503].choose(rng).unwrap_or(&500)}),
        4 => json!({"misreport": 500}),
        5 => json!({"delay": short(rng, 1, 40)}),
        6 => json!("truncate"),
        7 => json!({"twice": *["first", "second"].choose(rng).unwrap_or(&"first")}),
        _ => json!("repeat_events"),
    };
    let operation = OPERATIONS.choose(rng).copied().unwrap_or("exec");
    let mut fault = json!({"on": operation, "do": effect, "count": rng.random_range(1..=3_u32)});
    if rng.random_bool(0.4) {
        fault["skip"] = rng.random_range(1..=4_u32).into();
    }
    if rng.random_bool(0.3) {
        fault["probability"] = 0.5.into();
    }
    fault
}

/// How a life of the requestor ends.
fn fate(rng: &mut impl RngExt) -> String {
    let number = rng.random_range(1..=80_u32);
    match rng.random_range(0..6) {
        0 => format!("before write {number}"),
        1 => format!("after write {number}"),
        2 => format!("before request {number}"),
        3 => format!("after request {number}"),
        4 => format!("drop event {number}"),
        _ => format!("stop event {number}"),
    }
}

/// Some moment in the first minutes.
fn moment(rng: &mut impl RngExt) -> Value {
    short(rng, 5, 600)
}

fn short(rng: &mut impl RngExt, least: u32, most: u32) -> Value {
    format!("{}s", rng.random_range(least..=most)).into()
}

fn factor(rng: &mut impl RngExt) -> Value {
    [0.5, 1.1, 2.0, 10.0]
        .choose(rng)
        .copied()
        .unwrap_or(2.0)
        .into()
}

fn delay(rng: &mut impl RngExt) -> Value {
    let mean = rng.random_range(10..=5_000_u32);
    match rng.random_range(0..3) {
        0 => format!("{mean}ms").into(),
        1 => json!({"mean": format!("{mean}ms")}),
        _ => json!({"min": "0s", "max": format!("{mean}ms")}),
    }
}

/// Steps stand in the order in which they happen.
fn in_order_of_time(drawn: &mut Document) {
    if let Some(Value::Array(steps)) = drawn.0.get_mut("timeline") {
        let at = |step: &Value| {
            let text = step.get("at").and_then(Value::as_str).unwrap_or_default();
            let text: crate::language::values::Span = text
                .parse()
                .unwrap_or(crate::language::values::Span::seconds(0));
            text
        };
        steps.sort_by_key(at);
    }
}

/// What is run when no scenario is given: the three modes of the engine, small.
pub(super) fn bases() -> [(&'static str, &'static str); 3] {
    [
        (
            "tasks",
            "name: tasks\nrequestor: {budget: 5, no_offers_timeout: 10m}\ntasks: {name: hello-tasks, count: 5, max_workers: 2, timeout: 30m}\n",
        ),
        (
            "pool",
            "name: pool\nrequestor: {budget: 5, no_offers_timeout: 10m}\ntasks: {name: hello-pool, count: 5, max_workers: 2, timeout: 30m}\n",
        ),
        (
            "service",
            "name: service\nrequestor: {budget: 5, no_offers_timeout: 10m}\nservice: {name: echo-service, instances: 2, duration: 10m, restart: on_failure, stats_every: 60s}\n",
        ),
    ]
}
