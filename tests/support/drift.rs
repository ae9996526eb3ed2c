//! What of the catalog runs on all three backends, what cannot and why, and why they differ.
//!
//! Does not own: running it (the program `drift`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::root;

/// A scenario of the catalog with the options of a devnet, and the behaviour that these are on a simulated network.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Name of the case.
    pub name: &'static str,
    /// Name of the scenario.
    pub scenario: &'static str,
    /// How many providers there are.
    pub providers: u32,
    /// Options of the devnet's providers.
    pub options: &'static [&'static str],
    /// The same as the behaviour of a simulated provider, in JSON.
    pub behaviour: &'static str,
    /// JSON that is put over the scenario: what is too long or too large for a devnet.
    pub change: &'static str,
    /// JSON list, as in a scenario file; claims that need the mock are not among them.
    pub expect: &'static str,
}

/// A case of nothing, on well-behaved providers.
const USUAL: Case = Case {
    name: "",
    scenario: "",
    providers: 3,
    options: &[],
    behaviour: "{}",
    change: "{}",
    expect: "[]",
};

/// What is run, in this order.
pub const CASES: &[Case] = &[
    Case {
        name: "hello-tasks",
        scenario: "hello-tasks",
        providers: 6,
        expect: r#"[{"tasks": 12}, {"cost_at_most": 0.1}]"#,
        ..USUAL
    },
    Case {
        name: "hello-tasks-rejected",
        scenario: "hello-tasks",
        providers: 6,
        options: &["--reject-first", "2"],
        behaviour: r#"{"reject_first": 2}"#,
        expect: r#"[{"tasks": 12}, {"cost_at_most": 0.1}]"#,
        ..USUAL
    },
    Case {
        name: "hello-tasks-unbilled",
        scenario: "hello-tasks",
        providers: 6,
        options: &["--no-invoice"],
        behaviour: r#"{"invoices": 0}"#,
        expect: r#"[{"tasks": 12}, {"invoices_paid": 0}]"#,
        ..USUAL
    },
    Case {
        name: "never-approved",
        scenario: "no-offers",
        options: &["--never-approve"],
        behaviour: r#"{"never_approve": true}"#,
        expect: r#"[{"agreements": 0}, {"activities": 0}, {"all_reached": "pending"}, {"cost_at_most": 0}]"#,
        ..USUAL
    },
    Case {
        name: "simple-service",
        scenario: "simple-service",
        providers: 4,
        expect: r#"[{"all_reached": "running"}, "all_terminated", {"agreements": 3}, {"invoices_paid": 3}, {"statistics": {"at_least": 15}}]"#,
        ..USUAL
    },
    Case {
        name: "debit-notes",
        scenario: "debit-notes",
        options: &["--debit-interval", "2"],
        // The engine negotiates an interval: both keep to that, and the option does nothing.
        expect: r#"[{"all_reached": "running"}, "all_terminated", {"invoices_paid": 2}]"#,
        ..USUAL
    },
    Case {
        name: "activity-dies",
        scenario: "activity-dies",
        options: &["--kill-activity-after", "5"],
        behaviour: r#"{"kill_activity_after": "5s"}"#,
        expect: r#"[{"all_reached": "running"}, "all_terminated", {"failed_instances": 2}, {"error_contains": "its state is Terminated"}]"#,
        ..USUAL
    },
    Case {
        name: "provider-terminates",
        scenario: "provider-terminates",
        options: &["--terminate-after", "5"],
        behaviour: r#"{"terminate_after": "5s"}"#,
        expect: r#"[{"all_reached": "running"}, "all_terminated", {"failed_instances": 2}, {"error_contains": "the provider ended the agreement"}]"#,
        ..USUAL
    },
    Case {
        name: "rental-pool",
        scenario: "rental-pool",
        providers: 5,
        expect: r#"[{"tasks": 9}, {"cost_at_most": 0.1}]"#,
        ..USUAL
    },
    Case {
        name: "written-tasks",
        scenario: "written-tasks",
        providers: 4,
        expect: r#"[{"task_results": ["1 golem 5", "2 yagna 5", "3 provider 8"]}, {"cost_at_most": 0.1}]"#,
        ..USUAL
    },
    Case {
        name: "written-service",
        scenario: "written-service",
        expect: r#"[{"all_reached": "running"}, "all_terminated", {"agreements": 2}, {"invoices_paid": 2}]"#,
        ..USUAL
    },
    Case {
        name: "live-output",
        scenario: "live-output",
        // Streams break on the mock only, where the scenario says so.
        expect: r#"[{"tasks": 12}, {"event": {"name": "CommandStdOut", "count": {"at_least": 12}}}]"#,
        ..USUAL
    },
    Case {
        name: "two-jobs-in-sequence",
        scenario: "two-jobs-in-sequence",
        expect: r#"[{"tasks": 4}, {"event": {"name": "JobFinished", "count": 2}}, {"never": {"event": "NoProposalsConfirmed"}}]"#,
        ..USUAL
    },
    Case {
        name: "many-lists-at-once",
        scenario: "many-lists-at-once",
        providers: 6,
        change: r#"{"workloads": [{"tasks": {"name": "hello-tasks", "count": 2}, "burst": 6}]}"#,
        expect: r#"[{"tasks": 12}, {"event": {"name": "JobFinished", "count": 6}}, {"agreements": 6}, {"invoices_paid": 6}]"#,
        ..USUAL
    },
    Case {
        name: "one-machine-for-everybody",
        scenario: "one-machine-for-everybody",
        providers: 1,
        expect: r#"[{"tasks": 4}, {"agreements": 1}, {"event": {"name": "MachineAcquired", "count": 4}}]"#,
        ..USUAL
    },
    Case {
        name: "never-too-large",
        scenario: "never-too-large",
        providers: 6,
        expect: r#"[{"tasks": 15}, {"agreements": {"at_least": 1, "at_most": 3}}, {"event": {"name": "MachineReleased", "count": 15}}]"#,
        ..USUAL
    },
    Case {
        name: "nothing-after-the-end",
        scenario: "nothing-after-the-end",
        providers: 6,
        expect: r#"[{"tasks": 12}, {"agreements": {"at_most": 4}}]"#,
        ..USUAL
    },
    Case {
        name: "the-cheapest-of-eight",
        scenario: "the-cheapest-of-a-hundred",
        providers: 8,
        expect: r#"[{"tasks": 2}, {"agreements": 1}, {"eventually": {"of": {"event": "AgreementConfirmed", "with": {"provider_name": "provider-1"}}}}]"#,
        ..USUAL
    },
    Case {
        name: "a-list-of-five-minutes",
        scenario: "a-list-of-five-minutes",
        providers: 2,
        expect: r#"[{"tasks": 4}, {"agreements": 2}]"#,
        ..USUAL
    },
    Case {
        name: "nobody-is-there",
        scenario: "nobody-is-there",
        change: r#"{"requestor": {"subnet": "nowhere"}}"#,
        expect: r#"[{"error_contains": "no offer was good enough"}, {"error_contains": "subnet"}, {"agreements": 0}, {"cost_at_most": 0}]"#,
        ..USUAL
    },
    Case {
        name: "whatever-the-text",
        scenario: "whatever-the-text",
        providers: 2,
        expect: r#"[{"task_results": ["zażółć 🦀", "a\r\nb", "it's \"quoted\" $HOME", "{{ }}"]}, {"agreements": 1}]"#,
        ..USUAL
    },
    Case {
        name: "the-same-file-for-four",
        scenario: "the-same-file-for-everybody",
        providers: 4,
        change: r#"{"tasks": {"count": 8, "max_workers": 4}}"#,
        expect: r#"[{"tasks": 8}, {"agreements": {"at_most": 4}}, {"event": {"name": "TaskRejected", "count": 0}}]"#,
        ..USUAL
    },
    Case {
        name: "given-back-at-once",
        scenario: "given-back-at-once",
        expect: r#"["all_terminated", {"leads_to": {"from": {"event": "ServiceFinished"}, "to": {"event": "AgreementTerminated"}, "within": "5s"}}, {"invoices_paid": 2}]"#,
        ..USUAL
    },
    Case {
        name: "ended-every-few-seconds",
        scenario: "ended-every-few-minutes",
        providers: 4,
        options: &["--terminate-after", "4"],
        behaviour: r#"{"terminate_after": "4s"}"#,
        change: r#"{"service": {"duration": "14s", "run": {"every": "1s", "do": [{"run": "date"}]}}}"#,
        expect: r#"["all_terminated", {"failed_instances": 0}, {"event": {"name": "ServiceRestarted", "count": {"at_least": 2}}}]"#,
    },
    Case {
        name: "ctrl-c-in-a-list",
        scenario: "ctrl-c-in-a-list",
        expect: r#"[{"tasks": 0}, {"invoices_paid": 3}, {"ends_within": "30s"}]"#,
        ..USUAL
    },
    Case {
        name: "sigterm",
        scenario: "sigterm",
        expect: r#"[{"all_reached": "running"}, "all_terminated", {"invoices_paid": 2}, {"ends_within": "12s"}]"#,
        ..USUAL
    },
    Case {
        name: "in-the-middle-of-a-script",
        scenario: "in-the-middle-of-a-script",
        expect: r#"[{"all_reached": "running"}, "all_terminated", {"invoices_paid": 2}]"#,
        ..USUAL
    },
    Case {
        name: "the-program-comes-back",
        scenario: "the-program-comes-back",
        expect: r#"["all_terminated", {"agreements": 2}, {"invoices_paid": 2}, {"event": {"name": "RecoveryFinished", "count": {"at_least": 1}}}]"#,
        ..USUAL
    },
    Case {
        name: "done-by-two-providers",
        scenario: "done-by-two-providers",
        expect: r#"[{"task_results": ["Hello from task 1", "Hello from task 2", "Hello from task 3"]}, {"agreements": {"at_least": 2, "at_most": 3}}]"#,
        ..USUAL
    },
    Case {
        name: "by-hand",
        scenario: "by-hand",
        expect: r#"[{"task_results": ["Hello from task 1", "Hello from task 2"]}, {"agreements": 2}, {"invoices_paid": 2}]"#,
        ..USUAL
    },
];

/// Scenarios that a devnet cannot play for a reason that does not stand in them ([`reason_of`]).
pub const NOT_THERE: &[(&str, &str)] = &[
    ("start-fails-once", "a devnet's exe-units always start"),
    (
        "task-hangs",
        "a devnet's commands are those of the computer, and all end",
    ),
    (
        "stop-while-starting",
        "a devnet approves within a tenth of a second: nothing can be caught while it starts",
    ),
    (
        "budget-runs-out",
        "a devnet's prices are fixed, and a GLM lasts for hours",
    ),
    (
        "services-on-a-network",
        "a devnet's exe-units join no network: nothing in them can be connected to",
    ),
    (
        "provider-drains",
        "a devnet's daemon is 0.17, where nobody announces an end",
    ),
    (
        "restarts",
        "a devnet ends the activities of all its providers alike: there would be no end of restarts",
    ),
    (
        "in-the-middle-of-a-batch",
        "a devnet ends activities so long after they began, not when something happens",
    ),
    (
        "gone-in-a-batch",
        "a devnet's providers do not vanish one by one",
    ),
    (
        "several-at-once",
        "a dozen providers are more than a devnet carries; its workloads are cases of their own",
    ),
    (
        "simple-service-live",
        "the same as simple-service, whose devnet runs real processes",
    ),
    (
        "addresses-come-back",
        "a devnet's exe-units join no network: nothing in them can be connected to",
    ),
    (
        "an-image-of-this-computer",
        "a devnet's machines fetch no image",
    ),
    (
        "no-answer-to-the-agreement",
        "no provider of a devnet approves if one does not; `never-approved` is the nearest",
    ),
    (
        "the-invoice-never-comes",
        "no provider of a devnet bills if one does not, so `hello-tasks-unbilled` shows the same",
    ),
    (
        "counter-proposals-in-a-burst",
        "forty providers are more than a devnet carries",
    ),
    (
        "a-command-of-two-hours",
        "two hours are two hours on a real daemon",
    ),
    (
        "away-for-half-an-hour",
        "half an hour away is half an hour on a real daemon",
    ),
];

/// Verbs of a timeline that are the requestor's own: the others interfere with the network.
const OWN: [&str; 5] = [
    "stop",
    "stop-instance",
    "spawn-instance",
    "signal",
    "restart-requestor",
];

/// What an option of a devnet makes of its providers.
const BEHAVIOURS: [&str; 5] = [
    "reject_first",
    "never_approve",
    "terminate_after",
    "kill_activity_after",
    "invoices",
];

/// Members of a provider that a devnet's have as well, in their own way.
const USUAL_MEMBERS: [&str; 4] = ["name", "count", "prices", "behaviour"];

/// More providers than these are too many for the two daemons of a devnet on a usual machine.
const MOST: u64 = 8;

/// The scenarios of the catalog, by their names.
///
/// # Errors
/// When a file cannot be read, or is none.
pub fn catalog() -> Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    for theme in std::fs::read_dir(root().join("scenarios/catalog"))? {
        for file in std::fs::read_dir(theme?.path())? {
            let file: PathBuf = file?.path();
            let text = std::fs::read_to_string(&file)?;
            let scenario: Value = serde_saphyr::from_str(&text)
                .with_context(|| format!("{} is no scenario", file.display()))?;
            let name = scenario["name"].as_str().context("it has a name")?;
            found.insert(name.to_owned(), scenario);
        }
    }
    Ok(found)
}

/// Why a devnet cannot play a scenario, as far as it stands in the scenario itself or in [`NOT_THERE`].
pub fn reason_of(name: &str, scenario: &Value) -> Option<String> {
    if let Some((_, reason)) = NOT_THERE.iter().find(|(known, _)| *known == name) {
        return Some((*reason).to_owned());
    }
    if scenario.get("daemon").is_some() {
        return Some("a devnet's daemon is 0.17, where nobody announces an end".to_owned());
    }
    if scenario.get("faults").is_some() {
        return Some("nobody spoils the answers of a real daemon".to_owned());
    }
    let acts: Vec<&str> = verbs(&scenario["timeline"])
        .into_iter()
        .filter(|verb| !OWN.contains(verb))
        .collect();
    if let [first, ..] = acts.as_slice() {
        return Some(format!("nobody interferes with a devnet: `{first}`"));
    }
    let providers = scenario["providers"].as_array().into_iter().flatten();
    let members = |of: &Value| -> Vec<String> {
        let members = of.as_object().into_iter().flatten();
        members.map(|(name, _)| name.clone()).collect()
    };
    let mut count = 0;
    for provider in providers {
        count += provider["count"].as_u64().unwrap_or(1);
        let mut behaviour = members(&provider["behaviour"]).into_iter();
        if let Some(other) = behaviour.find(|name| !BEHAVIOURS.contains(&name.as_str())) {
            return Some(format!(
                "no option of a devnet makes a provider behave so: `{other}`"
            ));
        }
        let mut own = members(provider).into_iter();
        if let Some(other) = own.find(|name| !USUAL_MEMBERS.contains(&name.as_str())) {
            return Some(format!("all providers of a devnet are alike in `{other}`"));
        }
    }
    if scenario.get("latency").is_some() {
        return Some(
            "nobody sets the times of a real daemon, and a devnet settles nothing".to_owned(),
        );
    }
    if scenario.get("image").is_some() {
        return Some(
            "a devnet runs the programs of the computer, not those that are written down"
                .to_owned(),
        );
    }
    if count > MOST {
        return Some(format!("{count} providers are more than a devnet carries"));
    }
    let skip = scenario["real_time"]["skip"].as_str()?;
    Some(format!("in real time: {skip}"))
}

/// The verbs of a timeline.
fn verbs(steps: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    for step in steps.as_array().into_iter().flatten() {
        found.extend(step["do"].as_str());
        found.extend(verbs(&step["then"]));
    }
    found
}

/// Puts `change` over `value`, member by member; what it does not name stays.
fn put_over(value: &mut Value, change: &Value) {
    match (value, change) {
        (Value::Object(members), Value::Object(changes)) => {
            for (name, change) in changes {
                put_over(members.entry(name.clone()).or_insert(Value::Null), change);
            }
        }
        (value, change) => *value = change.clone(),
    }
}

impl Case {
    /// Its scenario: the catalog's as it is in real time, with the devnet's providers, of which `behaviour` is what
    /// the devnet's options make of them. On a real daemon nobody `behaves`.
    ///
    /// # Errors
    /// When the catalog has no such scenario, or something of the case is no JSON.
    pub fn scenario(&self, behaves: bool) -> Result<Value> {
        let mut scenario = catalog()?
            .remove(self.scenario)
            .with_context(|| format!("{} is not in the catalog", self.scenario))?;
        let whole = scenario
            .as_object_mut()
            .context("a scenario is a mapping")?;
        for other in ["sweep", "time", "faults", "image"] {
            // Faults are the mock's.
            whole.remove(other);
        }
        let in_real_time = whole.remove("real_time").unwrap_or_default();
        for (key, value) in in_real_time.as_object().into_iter().flatten() {
            match key.as_str() {
                "duration" | "stats_every" | "plot_every" | "instances" => {
                    whole["service"][key] = value.clone()
                }
                "count" => whole["tasks"][key] = value.clone(),
                "no_offers_timeout" => whole["requestor"][key] = value.clone(),
                "skip" => {}
                _ => {
                    whole.insert(key.clone(), value.clone());
                }
            }
        }
        // The options do what the network's steps do, at other times.
        if let Some(Value::Array(steps)) = whole.get_mut("timeline") {
            steps.retain(|step| verbs(&json!([step])).iter().all(|verb| OWN.contains(verb)));
            if steps.is_empty() {
                whole.remove("timeline");
            }
        }
        let providers = (1..=self.providers).map(|number| self.provider(number, behaves));
        let providers = providers.collect::<Result<Vec<_>>>()?;
        whole.insert("providers".to_owned(), json!(providers));
        whole.insert("expect".to_owned(), serde_json::from_str(self.expect)?);
        whole.insert("name".to_owned(), json!(self.name));
        put_over(&mut scenario, &serde_json::from_str(self.change)?);
        Ok(scenario)
    }

    /// A provider as a devnet has it.
    fn provider(&self, number: u32, behaves: bool) -> Result<Value> {
        // As decimal as the prices of a devnet.
        let price = |hundred_thousandths: u32| {
            let text = format!("0.{:05}", number * hundred_thousandths);
            text.parse::<f64>().unwrap_or_default()
        };
        let mut provider = json!({
            "name": format!("provider-{number}"),
            "prices": {"duration_sec": price(10), "cpu_sec": price(5)},
        });
        let behaviour: Value = serde_json::from_str(self.behaviour)?;
        // The first N agreements over all providers: those of the cheapest.
        let only_first = behaviour.get("reject_first").is_some();
        if behaves && behaviour != json!({}) && (!only_first || number == 1) {
            provider["behaviour"] = behaviour;
        }
        Ok(provider)
    }
}

/// Why facts differ: of which cases, which facts, the reason.
pub const REASONS: &[(&str, &str, &str)] = &[
    (
        "done-by-two-providers",
        "event Worker",
        "two machines may have done all before the third one is there",
    ),
    (
        "provider-terminates",
        "event ",
        "five seconds after its approval a machine has done less where it came up later; what was negotiated meanwhile is then too late",
    ),
    (
        "many-lists-at-once",
        "event Agreement",
        "lists of one moment ask for the same machines, and all but one are refused: how many ask is chance",
    ),
    (
        "ended-every-few-seconds",
        "event ServiceStateChanged",
        "the service is over after fourteen seconds, wherever its third machine is then",
    ),
    (
        "hello-tasks-rejected",
        "event Agreement",
        "a devnet counts rejections over all its providers, a simulated one its own",
    ),
    (
        "*",
        "event Proposal",
        "offers come again when a machine is free, and are refused while it is not, at another moment each time",
    ),
    (
        "*",
        "event DebitNote",
        "the last note and the invoice come together: who has accepted the invoice need not see the note",
    ),
    ("*", "event CommandExecuted", ONCE_A_SECOND),
    ("*", "event CommandStarted", ONCE_A_SECOND),
    ("*", "event GettingResults", ONCE_A_SECOND),
    ("*", "event ScriptFinished", ONCE_A_SECOND),
    ("*", "event ScriptSent", ONCE_A_SECOND),
];

const ONCE_A_SECOND: &str =
    "statistics are asked for each second while the machines run, which is real time";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_of_the_catalog_is_played_on_a_real_daemon_or_cannot_be_for_a_reason() {
        let catalog = catalog().expect("the catalog");
        let is_case = |name: &str| CASES.iter().any(|case| case.scenario == name);
        let open: Vec<_> = catalog
            .iter()
            .filter(|(name, scenario)| !is_case(name) && reason_of(name, scenario).is_none())
            .collect();
        assert!(open.is_empty(), "neither played nor explained: {open:#?}");
        for (name, _) in NOT_THERE {
            assert!(catalog.contains_key(*name), "there is no scenario {name}");
            assert!(!is_case(name), "{name} is played");
        }
    }

    #[test]
    fn every_case_is_a_scenario_with_the_providers_of_a_devnet_and_without_what_only_the_mock_does()
    {
        for case in CASES {
            let real = case.scenario(false).expect(case.name);
            let providers = real["providers"].as_array().expect("providers");
            assert_eq!(providers.len(), case.providers as usize, "{}", case.name);
            for mocked in ["faults", "real_time", "sweep", "image"] {
                assert!(real.get(mocked).is_none(), "{}: {mocked}", case.name);
            }
            assert!(
                verbs(&real["timeline"])
                    .iter()
                    .all(|verb| OWN.contains(verb)),
                "{}",
                case.name
            );
            let behaves = providers.iter().any(|it| it.get("behaviour").is_some());
            assert!(!behaves, "{}", case.name);
        }
    }

    #[test]
    fn every_case_stands_in_the_fidelity_document_with_how_many_scenarios_are_played() {
        let path = root().join("mock-yagna/FIDELITY.md");
        let document = std::fs::read_to_string(path).expect("the document");
        for case in CASES {
            let row = format!("\n| {} | {} |", case.name, case.scenario);
            assert!(
                document.contains(&row),
                "{}: `drift` makes its row",
                case.name
            );
        }
        let catalog = catalog().expect("the catalog");
        let is_case = |name: &&String| CASES.iter().any(|case| case.scenario == **name);
        let told = format!(
            "Of {} scenarios {} are played, in {} cases.",
            catalog.len(),
            catalog.keys().filter(is_case).count(),
            CASES.len()
        );
        assert!(document.contains(&told), "FIDELITY.md does not say: {told}");
    }
}
