//! What runs on all three backends, what cannot, and why they differ.

/// A scenario of the catalog with the options of a devnet, and the behaviour that these are on a simulated network.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) scenario: &'static str,
    pub(crate) providers: u32,
    pub(crate) options: &'static [&'static str],
    pub(crate) behaviour: &'static str,
    /// JSON list, as in a scenario file; claims that need the mock are not among them.
    pub(crate) expect: &'static str,
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "hello-tasks",
        scenario: "hello-tasks",
        providers: 6,
        options: &[],
        behaviour: "{}",
        expect: r#"[{"tasks": 12}, {"cost_at_most": 0.1}]"#,
    },
    Case {
        name: "hello-tasks-rejected",
        scenario: "hello-tasks",
        providers: 6,
        options: &["--reject-first", "2"],
        behaviour: r#"{"reject_first": 2}"#,
        expect: r#"[{"tasks": 12}, {"cost_at_most": 0.1}]"#,
    },
    Case {
        name: "hello-tasks-unbilled",
        scenario: "hello-tasks",
        providers: 6,
        options: &["--no-invoice"],
        behaviour: r#"{"invoices": 0}"#,
        expect: r#"[{"tasks": 12}, {"invoices_paid": 0}]"#,
    },
    Case {
        name: "never-approved",
        scenario: "no-offers",
        providers: 3,
        options: &["--never-approve"],
        behaviour: r#"{"never_approve": true}"#,
        expect: r#"[{"agreements": 0}, {"activities": 0}, {"all_reached": "pending"}, {"cost_at_most": 0}]"#,
    },
    Case {
        name: "simple-service",
        scenario: "simple-service",
        providers: 4,
        options: &[],
        behaviour: "{}",
        expect: r#"[{"all_reached": "running"}, "all_terminated", {"agreements": 3}, {"invoices_paid": 3}, {"statistics": {"at_least": 15}}]"#,
    },
    Case {
        name: "debit-notes",
        scenario: "debit-notes",
        providers: 3,
        options: &["--debit-interval", "2"],
        // The engine negotiates an interval: both keep to that, and the option does nothing.
        behaviour: "{}",
        expect: r#"[{"all_reached": "running"}, "all_terminated", {"invoices_paid": 2}]"#,
    },
    Case {
        name: "activity-dies",
        scenario: "activity-dies",
        providers: 3,
        options: &["--kill-activity-after", "5"],
        behaviour: r#"{"kill_activity_after": "5s"}"#,
        expect: r#"[{"all_reached": "running"}, "all_terminated", {"failed_instances": 2}, {"error_contains": "its state is Terminated"}]"#,
    },
    Case {
        name: "provider-terminates",
        scenario: "provider-terminates",
        providers: 3,
        options: &["--terminate-after", "5"],
        behaviour: r#"{"terminate_after": "5s"}"#,
        expect: r#"[{"all_reached": "running"}, "all_terminated", {"failed_instances": 2}, {"error_contains": "the provider ended the agreement"}]"#,
    },
    Case {
        name: "rental-pool",
        scenario: "rental-pool",
        providers: 5,
        options: &[],
        behaviour: "{}",
        expect: r#"[{"tasks": 9}, {"cost_at_most": 0.1}]"#,
    },
    Case {
        name: "written-tasks",
        scenario: "written-tasks",
        providers: 4,
        options: &[],
        behaviour: "{}",
        expect: r#"[{"task_results": ["1 golem 5", "2 yagna 5", "3 provider 8"]}, {"cost_at_most": 0.1}]"#,
    },
    Case {
        name: "written-service",
        scenario: "written-service",
        providers: 3,
        options: &[],
        behaviour: "{}",
        expect: r#"[{"all_reached": "running"}, "all_terminated", {"agreements": 2}, {"invoices_paid": 2}]"#,
    },
    Case {
        name: "live-output",
        scenario: "live-output",
        providers: 3,
        options: &[],
        // Streams break on the mock only, where the scenario says so.
        behaviour: "{}",
        expect: r#"[{"tasks": 12}, {"event": {"name": "CommandStdOut", "count": {"at_least": 12}}}]"#,
    },
];

/// Scenarios that a devnet cannot play.
pub(crate) const NOT_THERE: &[(&str, &str)] = &[
    (
        "no-offers",
        "all providers of a devnet offer the same machine; `never-approved` is the nearest",
    ),
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
];

/// Why facts differ: of which cases, which facts, the reason.
pub(crate) const REASONS: &[(&str, &str, &str)] = &[
    (
        "provider-terminates",
        "event ",
        "five seconds after its approval a machine has done less where it came up later; what was negotiated meanwhile is then too late",
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
