//! Every kind of mistake in a scenario file, and the words for it.

use std::fmt::Write as _;

use super::*;

/// What follows a name, a provider and tasks, or stands in their place.
const MISTAKES: &[&str] = &[
    // Shapes.
    "",
    "# nothing\n---\n",
    "hello world",
    "- 1\n- 2\n",
    "name: [m\n",
    "name: m\n\tproviders: []\n",
    "name: \"m\nproviders: []\n",
    "name: m\n---\nname: n\n",
    "name: m\nname: n\n",
    "name: m\nseed: 1\nseed: 2\nTASKS",
    "name: m\nproviders: [{name: bob, count: 2, count: 3}]\nTASKS",
    "name: m\nproviders: [bob, carol]\nTASKS",
    "name: m\nproviders: bob\nTASKS",
    "name: m\nproviders: {name: bob}\nTASKS",
    "name: m\nproviders:\nTASKS",
    "name: m\nproviders: [{name: null}]\nTASKS",
    "name: m\nproviders: [{name: [bob]}]\nTASKS",
    "name: m\nproviders: [{count: 2}]\nTASKS",
    "name:\nTASKS",
    "name: {is: m}\nTASKS",
    "about: [x]\nTASKS",
    "name: m\ntasks: {name: hello-tasks}\n",
    "name: m\ntasks:\n",
    "name: m\ntasks: 3\n",
    "name: m\nservice: {name: simple-service}\n",
    "name: m\nseed: one\nTASKS",
    "name: m\nseed: -1\nTASKS",
    "name: m\nseed: 1.5\nTASKS",
    "name: m\nseed: 99999999999999999999\nTASKS",
    "name: m\ntime: virtual\nTASKS",
    "name: m\ntime: {mode: unreal}\nTASKS",
    "name: m\ntime: {epoch: yesterday}\nTASKS",
    "name: m\ntime: {epoch: 9999-12-31T23:00:00Z}\nTASKS",
    "name: m\ntime: {limit: 1y}\nTASKS",
    // Commands that are written here.
    "name: m\ntasks: {name: x, do: []}\n",
    "name: m\ntasks: {name: x, count: 1, do: []}\n",
    "name: m\ntasks: {name: x, count: 3, data: [1, 2], do: [{run: a}]}\n",
    "name: m\ntasks: {name: hello-tasks, data: [1, 2]}\n",
    "name: m\ntasks: {name: x, count: 1, do: [{run: a, send: b, to: /c}]}\n",
    "name: m\ntasks: {name: x, count: 1, do: [{rum: a}]}\n",
    "name: m\ntasks: {name: x, count: 1, do: [{}]}\n",
    "name: m\ntasks: {name: x, count: 1, do: [{run: {a: b}}]}\n",
    "name: m\ntasks: {name: x, count: 1, do: [{run: []}]}\n",
    "name: m\ntasks: {name: x, count: 1, do: [{send: a}]}\n",
    "name: m\ntasks: {name: x, count: 1, do: [{run: a, to: /b}]}\n",
    "name: m\ntasks: {name: x, count: 1, do: [{download: b}]}\n",
    "name: m\ntasks: {name: x, count: 1, do: [{wait: 1s, expect: {equals: a}}]}\n",
    "name: m\ntasks: {name: x, count: 1, do: [{download: /b, expect: {exit_code: 1}}]}\n",
    "name: m\ntasks: {name: x, count: 1, do: [{run: 'echo {{ itm }}'}]}\n",
    "name: m\ntasks: {name: x, data: [{word: a}], do: [{run: 'echo {{ item.wrod }}'}]}\n",
    "name: m\ntasks: {name: x, count: 1, do: [{run: a, expect: {matches: '('}}]}\n",
    "name: m\ntasks: {name: x, count: 1, do: [{run: a}], payload: {min_mem_gib: .nan}}\n",
    "name: m\nservice: {name: x, duration: 1m, run: {every: 0s, do: [{run: a}]}}\n",
    "name: m\nservice: {name: x, duration: 1m, run: {times: 0, do: [{run: a}]}}\n",
    "name: m\nservice: {name: x, duration: 1m, run: {every: 1s}}\n",
    "name: m\nservice: {name: x, duration: 1m, run: {until: {exit_code: 1}, do: [{run: a}]}}\n",
    "BASEtimeline: [{do: die, provider: bob}]\n",
    "BASEtimeline: [{at: 1s, when: {of: {event: TaskStarted}}, do: die, provider: bob}]\n",
    "BASEtimeline: [{when: {of: {event: TaskStartd}}, do: die, provider: bob}]\n",
    "BASEtimeline: [{when: {of: {}}, do: die, provider: bob}]\n",
    "BASEtimeline: [{when: {event: TaskStarted}, do: die, provider: bob}]\n",
    "BASEtimeline: [{at: 1s, every: 1s, do: go-silent, provider: bob}]\n",
    "BASEtimeline: [{at: 1s, after: 1s, do: go-silent, provider: bob}]\n",
    "BASEtimeline: [{at: 1s, do: go-silent, provider: bob, then: [{at: 2s, do: die, provider: bob}]}]\n",
    "BASEtimeline: [{at: 1s, do: restart-requestor, provider: bob}]\n",
    "BASEtimeline: [{at: 1s, do: restart-requestor, down: 0s}]\n",
    "BASEexpect: [eventually: {of: {event: TaskStartd}}]\n",
    "BASEexpect: [never: {event: TaskStarted, network_event: provider_died}]\n",
    "BASEexpect: [in_order: [{event: TaskStarted}]]\n",
    "BASEexpect: [leads_to: {from: {event: TaskStarted}}]\n",
    "BASEexpect: [always: {level: machines, count: 3}]\n",
    "BASEexpect: [metric: {name: task_seconds}]\n",
    "BASEexpect: [metric: {name: task_seconds, p95: {at_most: soon}}]\n",
    "BASEexpect: [metric: {name: task_seconds, p95: {at_least: 3, at_most: 2}}]\n",
    "name: m\nversion: 2\nTASKS",
    "name: m\nversion: one\nTASKS",
    "name: m\nextends: [3]\nTASKS",
    "name: m\nextends: {a: b}\nTASKS",
    // Several workloads.
    "name: m\nworkloads: []\n",
    "name: m\nworkloads: [{}]\n",
    "name: m\nworkloads: [{at: 1s}]\n",
    "name: m\nworkloads: [{tasks: {name: hello-tasks, count: 1}, function: {name: f}}]\n",
    "name: m\nworkloads: [{tasks: {name: hello-tasks, count: 1}, every: 1s}]\n",
    "name: m\nworkloads: [{tasks: {name: hello-tasks, count: 1}, times: 3}]\n",
    "name: m\nworkloads: [{tasks: {name: hello-tasks, count: 1}, every: soon, times: 3}]\n",
    "name: m\nworkloads: [{tasks: {name: hello-tasks, count: 1}, every: 40d, times: 3}]\n",
    "name: m\nworkloads: [{tasks: {name: hello-tasks, count: 1}, every: 1s, times: 900, burst: 900}]\n",
    "name: m\nworkloads: [{task: {name: hello-tasks, count: 1}}]\n",
    // Numbers.
    "PROVIDER, count: 1.5}]\nTASKS",
    "PROVIDER, count: -1}]\nTASKS",
    "PROVIDER, count: many}]\nTASKS",
    "PROVIDER, count: 1000000000}]\nTASKS",
    "PROVIDER, count: 99999999999}]\nTASKS",
    "PROVIDER, count: 0}]\nTASKS",
    "PROVIDER, capacity: 4000000000}]\nTASKS",
    "PROVIDER, prices: {cpu_sec: .inf}}]\nTASKS",
    "PROVIDER, prices: {cpu_sec: .nan}}]\nTASKS",
    "PROVIDER, prices: {cpu_sec: cheap}}]\nTASKS",
    "PROVIDER, prices: {cpu_sec: [1, 2]}}]\nTASKS",
    "PROVIDER, prices: {cpu_sec: {betwen: [1, 2]}}}]\nTASKS",
    "PROVIDER, prices: {cpu_sec: {between: [1]}}}]\nTASKS",
    "PROVIDER, prices: {cpu_sec: 9999999999999999999999999999}}]\nTASKS",
    "PROVIDER, prices: {cpu_sec: 0.0000000000000000000000000001}}]\nTASKS",
    "PROVIDER, prices: {cpu_sce: 1}}]\nTASKS",
    "PROVIDER, resources: {mem_gib: 1e300}}]\nTASKS",
    "PROVIDER, resources: {mem_gib: lots}}]\nTASKS",
    "PROVIDER, ports: {80: web}}]\nTASKS",
    "PROVIDER, ports: {99999: 1}}]\nTASKS",
    "PROVIDER, offer_age: soon}]\nTASKS",
    "PROVIDER, capabilities: vpn}]\nTASKS",
    "PROVIDER, properties: 3}]\nTASKS",
    "PROVIDER, behaviour: {busy: maybe}}]\nTASKS",
    "PROVIDER, behaviour: {debit_notes_every: 1ms}}]\nTASKS",
    "PROVIDER, behaviour: {invoices: 4000000000}}]\nTASKS",
    "PROVIDER, behaviour: {invoice_factor: -2}}]\nTASKS",
    "PROVIDER, behaviour: {invoice_factor: much}}]\nTASKS",
    "PROVIDER, behaviour: {die_before: lunch}}]\nTASKS",
    "PROVIDER, behaviour: {refuse: [no]}}]\nTASKS",
    "PROVIDER, behaviour: {phases: [{from: 1m, change: {bussy: true}}]}}]\nTASKS",
    "PROVIDER, behaviour: {hang_command: sleep}}]\nTASKS",
    "PROVIDER, behaviour: [busy]}]\nTASKS",
    "BASElatency: {deploy: {min: 1s}}\n",
    "BASElatency: {deplyo: 1s}\n",
    // Money.
    "BASErequestor: {budget: }\n",
    "BASErequestor: {budget: lots}\n",
    "BASErequestor: {budget: -3}\n",
    "BASErequestor: {funds: -3}\n",
    "BASErequestor: {funds: 9999999999999999999999999999}\n",
    "BASErequestor: {app_key: }\n",
    "BASErequestor: [budget]\n",
    "BASErequestor: {no_offers_timeout: 5 fortnights}\n",
    // Faults.
    "BASEfaults: [{on: createAgreement, do: delay}]\n",
    "BASEfaults: [{on: createAgreement, do: {reset: 3}}]\n",
    "BASEfaults: [{on: createAgreement, do: {delay: 1s, reset: }}]\n",
    "BASEfaults: [{on: createAgrement, do: reset}]\n",
    "BASEfaults: [{on: 7, do: reset}]\n",
    "BASEfaults: [{on: createAgreement, do: explode}]\n",
    "BASEfaults: [{on: createAgreement, do: {explode: 3}}]\n",
    "BASEfaults: [{on: createAgreement, do: {refuse: never}}]\n",
    "BASEfaults: [{on: createAgreement, do: {refuse: 70000}}]\n",
    "BASEfaults: [{on: createAgreement, do: {refuse: 204}}]\n",
    "BASEfaults: [{on: createAgreement}]\n",
    "BASEfaults: [{on: createAgreement, do: reset, probability: 2}]\n",
    "BASEfaults: [{on: createAgreement, do: reset, probability: often}]\n",
    "BASEfaults: reset\n",
    // The timeline.
    "BASEtimeline: [{do: die, provider: bob}]\n",
    "BASEtimeline: [{at: 1m, do: dye, provider: bob}]\n",
    "BASEtimeline: [{at: 1m, do: [die], provider: bob}]\n",
    "BASEtimeline: [{at: noon, do: die, provider: bob}]\n",
    "BASEtimeline: [{at: 9999999h, do: die, provider: bob}]\n",
    "BASEtimeline: [{at: 800h, do: die, provider: bob}]\n",
    "BASEtimeline: [{at: 1m, do: die, provider: bbo}]\n",
    "BASEtimeline: [die]\n",
    // Expectations.
    "BASEexpect: [{tasks: 1, agreements: 1}]\n",
    "BASEexpect: [tasks]\n",
    "BASEexpect: [{all_terminated: true}]\n",
    "BASEexpect: [{tasks: few}]\n",
    "BASEexpect: [{tasks: {at_lest: 1}}]\n",
    "BASEexpect: [{taks: 1}]\n",
    "BASEexpect: [{all_reached: runing}]\n",
    "BASEexpect: [{cost_at_most: [1]}]\n",
    "BASEexpect: {tasks: 1}\n",
    "BASEexpect: [{event: TaskAccepted}]\n",
    "BASEexpect: [{event: {name: TaskAccepted}}]\n",
    // Images.
    "BASEimage: schell\n",
    "BASEimage: {scripted: 3}\n",
    "BASEimage: {shell: 3}\n",
    "BASEimage: folder\n",
    "image: folder\nname: m\nTASKS",
    "BASEfaults: [{do: delay, on: createAgreement}]\n",
    "BASEfaults:\n  - do: twice\n    on: createAgreement\n",
    "BASEexpect:\n  - tasks\n  - agreements: 1\n",
    "BASEexpect:\n  - taks: 1\n",
    "PROVIDER, behaviour: {phases: [{change: {busy: 3}}]}}]\nTASKS",
    // Aliases.
    "BASErequestor: *money\n",
    "BASEx: &a [1]\n",
    "BASErequestor: {<<: 3}\n",
];

fn written(mistake: &str) -> String {
    mistake
        .replace("PROVIDER", "name: m\nproviders: [{name: bob")
        .replace("BASE", "name: m\nproviders: [{name: bob}]\nTASKS")
        .replace("TASKS", "tasks: {name: hello-tasks, count: 1}\n")
}

/// What no message says: names of types, and the parser's advice to its programmer.
const FOREIGN: [&str; 23] = [
    "u8",
    "u16",
    "u32",
    "u64",
    "usize",
    "i64",
    "f64",
    "Option",
    "Duration",
    "enum",
    "variant",
    "struct",
    "tuple",
    "sequence",
    "mapping",
    "deserialize",
    "scalar",
    "Policy",
    "Options",
    "unit",
    "char",
    "serde",
    "untagged",
];

#[test]
fn every_mistake_is_told_with_its_place_and_in_words_of_the_file() {
    let (mut table, mut wrong) = (String::new(), Vec::new());
    for mistake in MISTAKES {
        let told = message(&written(mistake));
        let short = told.strip_prefix("trial.yaml:").unwrap_or(&told);
        let mut words = told.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        if short == told || short.starts_with("0:") || words.any(|word| FOREIGN.contains(&word)) {
            wrong.push(format!("{mistake:?}: {told}"));
        }
        let head = mistake.trim_end().replace('\n', "⏎");
        writeln!(table, "{head}\n    {short}").expect("memory");
    }
    insta::assert_snapshot!(table);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_bomb_of_aliases_and_a_file_without_end_are_refused() {
    let mut bomb = String::from("name: m\na: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (name, of) in "bcdefgh".chars().zip("abcdefg".chars()) {
        let list = vec![format!("*{of}"); 10].join(", ");
        writeln!(bomb, "{name}: &{name} [{list}]").expect("memory");
    }
    let told = message(&format!("{bomb}properties: *h\n"));
    assert!(told.starts_with("trial.yaml:"), "{told}");
    let deep = format!("name: m\nproviders: {}\n", "[".repeat(100_000));
    assert!(message(&deep).starts_with("trial.yaml:"));
    #[cfg(unix)]
    {
        let told = Scenario::load(Path::new("/dev/zero")).expect_err("no end");
        assert!(told.to_string().contains("larger than"), "{told}");
    }
}

#[test]
fn a_file_in_another_encoding_is_told_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("latin1.yaml");
    for (bytes, place, words) in [
        (
            &b"name: m\nabout: caf\xe9\n"[..],
            ":2:11: ",
            "the byte 0xe9",
        ),
        (b"\xff\xfen\0a\0m\0e\0", ":1:1: ", "UTF-16"),
    ] {
        std::fs::write(&path, bytes).expect("written");
        let told = Scenario::load(&path).expect_err("no text").to_string();
        assert!(told.contains(place) && told.contains(words), "{told}");
    }
}

#[test]
fn line_ends_of_windows_and_a_byte_order_mark_change_nothing_and_tabs_are_named() {
    let text = written("\u{feff}BASE").replace('\n', "\r\n");
    let scenario = parse(&text).expect("valid");
    assert_eq!(scenario.name.value, "m");
    let told = message(&written("name: m\r\nprovders: []\r\nTASKS"));
    assert!(
        told.starts_with("trial.yaml:2:1: unknown key `provders`"),
        "{told}"
    );
    let told = message(&written("name: m\nproviders:\n\t- {name: bob}\nTASKS"));
    assert!(told.starts_with("trial.yaml:3:"), "{told}");
}

#[test]
fn a_file_of_fifty_megabytes_is_refused_without_being_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.yaml");
    let file = std::fs::File::create(&path).expect("made");
    file.set_len(50 * 1024 * 1024).expect("room");
    let told = Scenario::load(&path).expect_err("too large").to_string();
    assert!(told.contains("larger than 1048576 bytes"), "{told}");
}

#[test]
fn all_mistakes_of_a_file_are_told_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wrong.yaml");
    let text = "name: wrong\nproviders: [{name: bob}]\nrequestor: {budget: -1, subnet: ''}\n\
                tasks: {name: helo-tasks, count: 0}\ntimeline: [{at: 1s, do: die, provider: bbo}]\n\
                expect: [event: {name: TaskStartd, count: 1}, left_open: {agreements: 1, provider: carol}]\n";
    std::fs::write(&path, text).expect("written");
    let name = path.to_str().expect("UTF-8");
    let told = crate::workload::Workloads::default().mistakes(name);
    let told: Vec<_> = told
        .iter()
        .map(|error| error.to_string().replace(name, ""))
        .collect();
    assert_eq!(told.len(), 7, "{told:#?}");
    for (told, words) in told.iter().zip([
        ":4:34: `count` is 0",
        ":3:21: `budget` of -1 GLM is negative",
        ":3:33: `subnet` is empty",
        ":6:24: unknown event `TaskStartd`; did you mean `TaskStarted`?",
        "unknown provider `carol`",
        "unknown provider `bbo`; did you mean `bob`?",
        ":4:15: unknown tasks `helo-tasks`; did you mean `hello-tasks`?",
    ]) {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn no_scenario_of_the_catalog_has_a_mistake() {
    let workloads = crate::workload::Workloads::default();
    for name in catalog::names() {
        let told = workloads.mistakes(name);
        assert!(told.is_empty(), "{name}: {told:?}");
    }
}

#[test]
fn what_several_requestors_cannot_mean_is_told_at_its_place() {
    let both = "  - {name: ann, tasks: {name: hello-tasks, count: 1}}\n  - {name: ben, tasks: {name: hello-tasks, count: 1}}\n";
    let error = |lines: &str| {
        message(&format!(
            "name: trial\nproviders: [{{name: alice}}]\n{lines}"
        ))
    };
    for (lines, words) in [
        ("requestors: []\n".to_owned(), "trial.yaml:3:13: `requestors` has 0"),
        (
            format!("requestors:\n{}", both.replace("ben", "ann")),
            "trial.yaml:5:12: a second requestor `ann`; the first is in line 4",
        ),
        (
            "requestors:\n  - {name: ann}\n".to_owned(),
            "trial.yaml:4:12: the requestor `ann` has nothing to run",
        ),
        (
            format!("requestors:\n{both}tasks: {{name: hello-tasks, count: 1}}\n"),
            "`tasks` beside `requestors`: whose is it?",
        ),
        (
            format!("requestors:\n{both}timeline: [{{at: 1m, do: restart-requestor, requestor: anne}}]\n"),
            "unknown requestor `anne`; did you mean `ann`?",
        ),
        (
            format!("requestors:\n{both}timeline: [{{at: 1m, do: restart-requestor}}]\n"),
            "whose is `restart-requestor`? This step needs a `requestor`: ann, ben",
        ),
        (
            format!("requestors:\n{both}timeline: [{{at: 1m, do: die, provider: alice, then: [{{after: 1s, do: signal, requestor: ben}}]}}]\n"),
            "name `ben` in the first of them",
        ),
        (
            format!("requestors:\n{both}expect: [error_contains: no]\n"),
            "whose error?",
        ),
        (
            "tasks: {name: hello-tasks, count: 1}\ntimeline: [{at: 1m, do: signal, requestor: ann}]\n".to_owned(),
            "the file has no `requestors`",
        ),
        (
            "requestors: [{name: ann, requestor: {funds: 3}, tasks: {name: hello-tasks, count: 1}}]\n".to_owned(),
            "every simulated wallet holds the same `funds`",
        ),
        (
            format!("requestors:\n{}", both.replace("count: 1}}\n  - {name: ben", "count: 0}}\n  - {name: ben")),
            "`count` is 0",
        ),
    ] {
        let error = error(&lines);
        assert!(error.contains(words), "{lines}\n{error}");
    }
}
