//! `rehearse explore`, as whoever types it sees it.

use std::fs;

use super::{folder, told};

#[test]
fn a_few_seeds_are_explored_and_each_of_them_can_be_shown() {
    let folder = folder();
    let (code, said, complaints) = told(
        folder.path(),
        &["explore", "--seeds", "0..4", "--jobs", "1"],
    );
    assert_eq!(code, Some(0), "{said}{complaints}");
    assert!(
        said.starts_with("4 seeds, 0 classes of failures; all seeds were run\n"),
        "{said}"
    );
    let (code, said, _) = told(folder.path(), &["explore", "--show", "3"]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("name: tasks\nseed: 3\n"), "{said}");
}

#[test]
fn a_goal_that_is_not_reached_and_a_file_that_breaks_a_law_end_with_1() {
    let folder = folder();
    let arguments = [
        "explore",
        "hello-tasks",
        "--seeds",
        "0..1",
        "--goal",
        "law_broken",
    ];
    let (code, said, _) = told(folder.path(), &arguments);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("never reached: law_broken"), "{said}");
    // A machine that hangs for longer than the run may take.
    let text = "name: hangs\nproviders: [{name: alice, behaviour: {hang_command: {command: run}}}]\n\
        time: {limit: 10m}\ntasks: {name: hello-tasks, count: 1, timeout: 30m}\n";
    fs::write(folder.path().join("hangs.yaml"), text).expect("a file");
    let (code, said, complaints) = told(folder.path(), &["explore", "--replay", "hangs.yaml"]);
    assert_eq!(code, Some(1), "{said}{complaints}");
    assert!(said.contains("hangs.yaml: ✗ ends: "), "{said}");
    assert!(said.contains("journal replay/journal.jsonl"), "{said}");
}

#[test]
fn a_file_that_disturbs_its_requestor_is_replayed_and_not_run() {
    let folder = folder();
    let text = "name: crashes\nproviders: [{name: alice}]\nservice: {name: echo-service, duration: 5m}\n\
        requestor: {disturbed: after request 12}\n";
    fs::write(folder.path().join("crashes.yaml"), text).expect("a file");
    let (code, _, complaints) = told(folder.path(), &["run", "crashes.yaml"]);
    assert_eq!(code, Some(2));
    let words = "run it with `rehearse explore --replay crashes.yaml`";
    assert!(complaints.contains(words), "{complaints}");
    let (code, said, complaints) = told(folder.path(), &["explore", "--replay", "crashes.yaml"]);
    assert_eq!(code, Some(0), "{said}{complaints}");
    assert!(said.contains("crashes.yaml: every law holds"), "{said}");
}

#[test]
fn what_is_no_range_no_share_and_no_goal_is_refused_in_words() {
    let folder = folder();
    for (arguments, words) in [
        (["--seeds", "5"], "write for example `0..500`"),
        (["--seeds", "9..3"], "write for example `0..500`"),
        (["--shard", "5/4"], "write for example `1/4`"),
        (
            ["--goal", "agreement_aproved"],
            "did you mean `agreement_approved`",
        ),
        (["--for", "soon"], "soon"),
    ] {
        let arguments = [&["explore"], arguments.as_slice()].concat();
        let (code, _, complaints) = told(folder.path(), &arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(complaints.contains(words), "{arguments:?}: {complaints}");
    }
}

#[test]
fn the_reports_of_all_shares_are_judged_as_one_and_a_missing_one_is_told() {
    let folder = folder();
    for shard in ["1/2", "2/2"] {
        let report = format!("{}.json", &shard[..1]);
        let share = [
            "explore", "--seeds", "0..6", "--jobs", "1", "--shard", shard,
        ];
        let arguments = [share.as_slice(), &["--report", &report]].concat();
        let (code, said, complaints) = told(folder.path(), &arguments);
        assert_eq!(code, Some(0), "{said}{complaints}");
        assert!(said.starts_with("3 seeds, "), "{said}");
    }
    let whole = ["merge", "1.json", "2.json", "--report", "whole.json"];
    let (code, said, complaints) = told(folder.path(), &whole);
    assert_eq!(code, Some(0), "{said}{complaints}");
    assert!(
        said.starts_with("6 seeds, 0 classes of failures; all seeds were run\n"),
        "{said}"
    );
    assert!(said.contains("8 of 8 laws put to the test"), "{said}");
    let (code, again, _) = told(folder.path(), &["merge", "1.json"]);
    assert_eq!(code, Some(2), "{again}");
    let (code, _, complaints) = told(folder.path(), &["merge", "2.json", "2.json"]);
    assert_eq!(code, Some(2));
    assert!(
        complaints.contains("share 2 of 2 is there twice"),
        "{complaints}"
    );
}

#[test]
fn a_failure_is_explained_in_words_and_on_a_page() {
    let folder = folder();
    let text = "name: hangs\nproviders: [{name: alice, behaviour: {hang_command: {command: run}}}]\n\
        time: {limit: 10m}\ntasks: {name: hello-tasks, count: 1, timeout: 30m}\n";
    fs::write(folder.path().join("hangs.yaml"), text).expect("a file");
    let explain = ["explain", "hangs.yaml", "--points", "3", "--futures", "2"];
    let arguments = [explain.as_slice(), &["--rust-test", "found.rs"]].concat();
    let (code, said, complaints) = told(folder.path(), &arguments);
    assert_eq!(code, Some(1), "{said}{complaints}");
    assert!(said.contains("certain from the beginning"), "{said}");
    let test = fs::read_to_string(folder.path().join("found.rs")).expect("a test");
    assert!(test.contains("#[test]\nfn ends_"), "{test}");
    let page = fs::read_to_string(folder.path().join("explained/explained.html"));
    assert!(page.expect("a page").contains("<svg"));
    fs::write(
        folder.path().join("fine.yaml"),
        "name: fine\nproviders: [{name: a}]\ntasks: {name: hello-tasks, count: 1}\n",
    )
    .expect("a file");
    let (code, said, _) = told(folder.path(), &["explain", "fine.yaml"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn what_cannot_be_merged_and_what_is_not_as_expected_is_said_of_the_file_that_was_given() {
    let folder = folder();
    let (code, _, said) = told(folder.path(), &["merge", "nothing.json"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("report nothing.json: "), "{said}");
    fs::write(folder.path().join("other.json"), "{}").expect("a file");
    let (code, _, said) = told(folder.path(), &["merge", "other.json"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("report other.json: it is no report of `rehearse explore`"),
        "{said}"
    );
    let fine = "name: fine\nproviders: [{name: alice}]\ntasks: {name: hello-tasks, count: 1}\nexpect: [{tasks: 3}]\n";
    fs::write(folder.path().join("fine.yaml"), fine).expect("a file");
    let (code, said, _) = told(
        folder.path(),
        &["explain", "fine.yaml", "--points", "2", "--futures", "1"],
    );
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("fine.yaml: ✗ as-expected: 3 task results — 1"),
        "{said}"
    );
    fs::write(folder.path().join("fine.yaml"), fine.replace("3}", "1}")).expect("a file");
    let (code, said, _) = told(folder.path(), &["explain", "fine.yaml"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("there is nothing to explain"), "{said}");
}
