//! Claims about reading scenario files.

mod mistakes;

use super::values::Span;
use super::*;

const GOOD: &str = "\
name: trial
providers:
  - {name: alice}
  - {name: fleet, count: 3, prices: {cpu_sec: {between: [0.0001, 0.0002]}}}
service:
  name: simple-service
  instances: 2
  duration: 10m
timeline:
  - {at: 90s, do: terminate-agreement, provider: fleet-2}
expect:
  - all_terminated
  - all_reached: running
  - agreements: {at_least: 2}
";

fn parse(text: &str) -> Result<Scenario, Error> {
    Scenario::parse(
        text,
        Origin {
            file: "trial.yaml".into(),
            folder: None,
        },
    )
}

fn message(text: &str) -> String {
    parse(text).expect_err("a mistake").to_string()
}

/// The good file with one piece replaced.
fn with(piece: &str, replacement: &str) -> String {
    assert!(GOOD.contains(piece), "{piece}");
    message(&GOOD.replace(piece, replacement))
}

#[test]
fn a_scenario_is_read() {
    let scenario = parse(GOOD).expect("valid");
    assert_eq!(scenario.usual_backend(), Backend::Memory);
    let specs = scenario.draw_providers(mock_yagna::Seed::from_u64(1));
    let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["alice", "fleet-1", "fleet-2", "fleet-3"]);
    assert_ne!(specs[1].prices, specs[2].prices);
}

#[test]
fn an_unknown_key_is_named_with_file_line_and_column() {
    let error = with("instances: 2", "instance: 2");
    assert_eq!(
        error,
        "trial.yaml:7:3: unknown key `instance` in `service`; did you mean `instances`?"
    );
    assert!(
        with(
            "{name: alice}",
            "{name: alice, behaviour: {reject_frist: 1}}"
        )
        .contains("trial.yaml:3:31: unknown key `reject_frist` in `providers[0].behaviour`; did you mean `reject_first`?")
    );
    let error = with("all_terminated", "al_terminated");
    assert!(
        error.contains("trial.yaml:12:5: ") && error.contains("`all_terminated`"),
        "{error}"
    );
}

#[test]
fn days_and_weeks_are_durations_and_what_is_none_is_told_the_forms_there_are() {
    let lasting = |duration: &str| parse(&GOOD.replace("duration: 10m", duration));
    let duration = |text: &str| {
        let scenario = lasting(&format!("duration: {text}")).expect(text);
        scenario.service.expect("a service").duration.value.0
    };
    let day = std::time::Duration::from_secs(24 * 3600);
    assert_eq!(duration("1d"), day);
    assert_eq!(duration("2 weeks"), 14 * day);
    let error = with("duration: 10m", "duration: 1 month");
    assert!(error.contains("trial.yaml:8:13: "), "{error}");
    assert!(
        error.contains("years and months differ in length"),
        "{error}"
    );
    let error = with("duration: 10m", "duration: a while");
    assert!(error.contains("`1d` (24 hours), `2 weeks`"), "{error}");
    let error = with("duration: 10m", "duration: 5 weeks");
    assert!(error.contains("it must be from 1ms to 720h"), "{error}");
}

#[test]
fn an_epoch_at_the_end_of_the_calendar_is_refused_in_words() {
    for epoch in ["9999-12-30T21:00:00Z", "9801-01-01T00:00:00Z"] {
        let time = format!("time: {{epoch: {epoch}}}\nservice:");
        let error = with("service:", &time);
        assert!(error.contains("trial.yaml:5:15: "), "{error}");
        assert!(
            error.contains("the latest is 9800-01-01T00:00:00Z"),
            "{error}"
        );
    }
    let last = GOOD.replace("service:", "time: {epoch: 9800-01-01T00:00:00Z}\nservice:");
    parse(&last).expect("valid");
}

#[test]
fn impossible_providers_are_refused() {
    let error = with("{name: alice}", "{name: alice, prices: {start: -1}}");
    assert_eq!(
        error,
        "trial.yaml:3:35: provider `alice` has a negative price `start`: -1"
    );
    let error = with("{name: alice}", "{name: alice, capacity: 0}");
    assert_eq!(
        error,
        "trial.yaml:3:29: provider `alice` has a capacity of 0: it could never work"
    );
    let error = with("{name: alice}", "{name: fleet-1}");
    assert_eq!(
        error,
        "trial.yaml:4:12: a second provider `fleet-1`; the first is in line 3"
    );
    let error = with("[0.0001, 0.0002]", "[0.3, 0.2]");
    assert!(
        error.contains("trial.yaml:4:") && error.contains("between 0.3 and 0.2"),
        "{error}"
    );
    assert!(
        with(
            "{name: alice}",
            "{name: alice, resources: {cpu_threads: 0}}"
        )
        .contains("more than 0")
    );
}

#[test]
fn unknown_names_come_with_a_suggestion() {
    let error = with("provider: fleet-2", "provider: fleet-9");
    assert!(
        error.starts_with("trial.yaml:10:50: the timeline names an unknown provider"),
        "{error}"
    );
    assert!(with("terminate-agreement", "terminate-agrement").contains("`terminate-agreement`"));
}

#[test]
fn contradictions_are_refused() {
    assert!(with("duration: 10m", "duration: 0s").contains("trial.yaml:8:13: `duration` is 0ms"));
    assert!(
        with("duration: 10m", "duration: 10m\n  expiration: 1m")
            .contains("expire after 1m 00s, before the service's duration of 10m")
    );
    assert!(with("duration: 10m", "duration: soon").contains("trial.yaml:8:13: "));
    assert!(with(", provider: fleet-2", "").contains("needs either `provider` or `instance`"));
    assert!(with("name: trial", "name: ../../etc").contains("cannot be a folder's"));
    assert!(message("name: trial\n").contains("nothing to run"));
}

#[test]
fn what_is_no_yaml_is_an_error_with_a_place() {
    let error = message("name: [trial\nservice: }");
    assert!(error.starts_with("trial.yaml:"), "{error}");
    assert!(message("").contains("trial.yaml:"));
    assert!(message("name: a\nname: b\n").contains("trial.yaml:2:"));
}

#[test]
fn real_time_replaces_what_would_take_hours() {
    let text = format!("{GOOD}real_time: {{duration: 5s, expect: [all_terminated]}}\n");
    let real = parse(&text).expect("valid").as_in_real_time();
    assert_eq!(
        real.service.expect("a service").duration.value,
        Span::seconds(5)
    );
    assert_eq!(real.expect, [Expectation::AllTerminated]);
}

#[test]
fn names_and_numbers_that_there_cannot_be_are_refused_where_they_stand() {
    let expecting = |claim: &str| with("all_terminated", claim);
    for (claim, place, words) in [
        (
            "event: {name: TaskFaild, count: 0}",
            "12:19",
            "unknown event `TaskFaild`",
        ),
        (
            "event: {name: ScriptFinshed, count: 0}",
            "12:19",
            "did you mean `ScriptFinished`?",
        ),
        (
            "network_event: {name: fault_aded, count: 2}",
            "12:27",
            "did you mean `fault_added`?",
        ),
        (
            "agreements: {at_least: 5, at_most: 2}",
            "12:",
            "`at_least` is 5, above `at_most`, which is 2",
        ),
        ("tasks: {}", "12:", "a count needs a number"),
        (
            "left_open: {agreements: 1, provider: alise}",
            "12:",
            "did you mean `alice`?",
        ),
    ] {
        let error = expecting(claim);
        assert!(error.starts_with(&format!("trial.yaml:{place}")), "{error}");
        assert!(error.contains(words), "{error}");
    }
    for (lines, place, words) in [
        (
            "requestor: {funds: -1}\n",
            "15:20",
            "`funds` of -1 GLM is negative",
        ),
        ("requestor: {app_key: ''}\n", "15:22", "`app_key` is empty"),
        ("requestor: {subnet: ''}\n", "15:21", "`subnet` is empty"),
        (
            "daemon: 0.16\n",
            "15:9",
            "there is no simulated daemon `0.16`; there are 0.17 and 0.18",
        ),
        (
            "faults:\n  - {name: slow, do: {delay: 1s}}\n  - {name: slow, do: reset}\n",
            "17:",
            "a second fault `slow`; the first is in line 16",
        ),
    ] {
        let error = message(&format!("{GOOD}{lines}"));
        assert!(error.starts_with(&format!("trial.yaml:{place}")), "{error}");
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn what_a_daemon_of_before_0_18_cannot_tell_is_refused_where_it_stands() {
    for (from, to) in [
        ("terminate-agreement", "drain"),
        (
            "{name: alice}",
            "{name: alice, behaviour: {terminate_after: 1h, notice: 5m}}",
        ),
        (
            "{name: alice}",
            "{name: alice, behaviour: {terminate_after: 1h, phases: [{from: 1m, change: {notice: 5m}}]}}",
        ),
    ] {
        let text = GOOD.replace(from, to);
        let error = message(&text);
        let words = "needs a daemon that tells of announced ends: write `daemon: \"0.18\"`";
        assert!(
            error.starts_with("trial.yaml:") && error.contains(words),
            "{error}"
        );
        parse(&format!("{text}daemon: 0.18\n")).expect("it can");
    }
    let endless = GOOD.replace("{name: alice}", "{name: alice, behaviour: {notice: 5m}}");
    let error = message(&format!("{endless}daemon: 0.18\n"));
    assert!(
        error.contains("an end (`notice`) that never comes"),
        "{error}"
    );
}

#[test]
fn what_only_a_simulated_network_can_do_is_listed_before_anything_is_rented_on_a_real_one() {
    let text = GOOD.replace(
        "{name: alice}",
        "{name: alice, behaviour: {reject_first: 1}}",
    ) + "faults: [{name: slow, do: {delay: 1s}}]\n";
    let text = text.replace(
        "- all_terminated",
        "- network_event: {name: fault_added, count: 1}",
    );
    let error = parse(&text).expect("valid").check_real_network();
    let error = error.expect_err("refused").to_string();
    for words in [
        "trial.yaml:",
        "`terminate-agreement` in line 10",
        "fault in line 15",
        "`behaviour` of provider `alice`",
        "`network_event` fault_added",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    let live = catalog::get("simple-service").expect("valid");
    let live = live.as_in_real_time();
    live.check_real_network().expect("nothing special");
    let unused = live.unused_on_a_real_network().join(", ");
    for words in ["`providers`", "books of the network"] {
        assert!(unused.contains(words), "{words}: {unused}");
    }
}

/// The blocks of a page in this language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let parts = page.split(fence.as_str()).skip(1);
    let blocks = parts.filter_map(|part| part.split_once("\n```"));
    blocks.map(|(block, _)| block).collect()
}

#[test]
fn every_example_of_the_pages_is_read_with_each_of_its_alternatives() {
    let mut pages = vec![
        include_str!("../../README.md").to_owned(),
        include_str!("../../../README.md").to_owned(),
    ];
    let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../book/src");
    let chapters = std::fs::read_dir(book).expect("the book");
    let chapters = chapters.map(|chapter| chapter.expect("a chapter").path());
    for chapter in chapters.filter(|chapter| chapter.is_dir()) {
        let of_the_book = std::fs::read_dir(chapter).expect("a chapter");
        let of_the_book = of_the_book.map(|page| page.expect("a page").path());
        pages.extend(of_the_book.map(|page| std::fs::read_to_string(page).expect("a page")));
    }
    assert!(pages.len() > 10, "the pages of the book");
    let examples: Vec<&str> = pages.iter().flat_map(|page| blocks(page, "yaml")).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let scenario = parse(example).expect(example);
        for backend in [Backend::Memory, Backend::Http] {
            let image = crate::workload::Workloads::default().image(&scenario, backend);
            assert!(image.is_ok(), "{example}");
        }
        let image = example.lines().find(|line| line.starts_with("image:"));
        let alternatives = example.lines().filter_map(|line| {
            let line = line.strip_prefix("# ")?;
            // A folder has to be there.
            (line.starts_with("image:") && !line.contains("folder")).then_some(line)
        });
        for other in alternatives {
            let changed = example.replacen(image.expect("an image"), other, 1);
            parse(&changed).expect(other);
        }
    }
}
