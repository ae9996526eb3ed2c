//! The bugs that are planted in engine and network, and what finds each.
//!
//! Owns: the list. Where a bug is, `git grep NAME` tells: it stands there as `planted!("NAME")`.

use golem_scenarios::sweep::Kind;

/// A bug, and what finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planted {
    /// Its name.
    pub(crate) name: &'static str,
    /// What the program does wrong with it, where the name does not say it all.
    pub(crate) what: &'static str,
    /// What it stands for: a law, a claim of README, a thread of `anchors.md`.
    pub(crate) stands_for: &'static str,
    /// What finds it.
    pub(crate) by: By,
}

/// A way to look for bugs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    /// `rehearse explore` around its own three small scenarios: so many seeds at the most.
    Explore(u64),
    /// `rehearse run` with a scenario of the catalog.
    Scenario(&'static str),
    /// `rehearse run` with a file of `tests/planted/scenarios`.
    File(&'static str),
    /// `rehearse sweep` with a scenario of the catalog: so many points at the most, in their order.
    Sweep(&'static str, Kind, usize),
}

const fn bug(name: &'static str, stands_for: &'static str, by: By, what: &'static str) -> Planted {
    Planted {
        name,
        what,
        stands_for,
        by,
    }
}

use By::{Explore, File, Scenario, Sweep};

/// All of them, by what they are about.
pub(crate) const BUGS: &[Planted] = &[
    // Money.
    bug(
        "a-second-invoice-is-accepted",
        "yapapi#154",
        Scenario("two-invoices-for-one-agreement"),
        "",
    ),
    bug(
        "debit-notes-are-not-accepted",
        "yapapi#287",
        Scenario("billed-during-the-first-command"),
        "they are left to the invoice, and providers end agreements for it",
    ),
    bug(
        "a-paid-agreement-stays-in-the-journal",
        "law nothing-forgotten",
        Explore(40),
        "",
    ),
    bug(
        "an-invoice-pays-the-debit-notes-again",
        "yagna#2970; laws accepted-within-invoiced, paid-within-invoiced",
        Explore(40),
        "",
    ),
    bug(
        "an-invoice-takes-more-than-it-says",
        "law accepted-within-document",
        Explore(40),
        "",
    ),
    bug(
        "a-payment-is-sent-twice",
        "laws invoice-paid-once, paid-within-accepted",
        Explore(40),
        "",
    ),
    bug(
        "the-last-debit-note-is-smaller",
        "law debit-notes-monotone",
        Explore(40),
        "",
    ),
    bug(
        "an-allocation-is-released-again",
        "law ended-once",
        Sweep("hello-tasks", Kind::Lost, 400),
        "a second release of it is booked",
    ),
    // Negotiation and agreements.
    bug(
        "only-the-first-offers-are-read",
        "golem-js#835",
        Scenario("the-second-batch-of-offers"),
        "",
    ),
    bug(
        "a-demand-is-not-withdrawn",
        "law nothing-forgotten",
        Explore(40),
        "",
    ),
    bug(
        "the-budget-is-not-released",
        "law nothing-forgotten",
        Explore(40),
        "",
    ),
    bug(
        "a-network-is-not-removed",
        "law nothing-forgotten",
        Explore(40),
        "",
    ),
    bug(
        "an-agreement-is-not-terminated",
        "yapapi#937",
        Explore(40),
        "",
    ),
    bug(
        "a-termination-without-an-answer-counts-as-done",
        "README: a request of unknown outcome is looked up",
        Explore(40),
        "",
    ),
    // Activities and scripts.
    bug(
        "an-activity-is-not-destroyed",
        "golem-js#123",
        Scenario("nothing-after-the-end"),
        "",
    ),
    bug(
        "a-dead-machine-is-not-noticed",
        "yapapi#987",
        Scenario("dead-without-a-sound"),
        "",
    ),
    bug(
        "a-result-is-heard-twice",
        "README: nothing is done twice",
        Scenario("in-the-middle-of-a-batch"),
        "",
    ),
    // Pools, tasks, services, networks.
    bug(
        "a-pool-is-larger-than-its-limit",
        "golem-js#974",
        Scenario("never-too-large"),
        "",
    ),
    bug(
        "who-waits-for-a-machine-is-forgotten",
        "golem-js#1032",
        Scenario("one-machine-for-everybody"),
        "",
    ),
    bug(
        "an-instance-begins-again-after-the-stop",
        "yapapi#544",
        Scenario("nothing-comes-after-stop"),
        "",
    ),
    bug(
        "it-is-tried-for-ever",
        "yapapi#392",
        Scenario("the-start-fails-for-good"),
        "",
    ),
    bug(
        "the-end-of-an-instance-is-not-told",
        "law instances-end",
        Explore(40),
        "",
    ),
    bug(
        "the-end-of-an-instance-hangs",
        "golem-js#219; law ends",
        Explore(40),
        "",
    ),
    bug(
        "a-restart-policy-panics",
        "law nobody-panics",
        Explore(40),
        "",
    ),
    bug(
        "two-machines-get-one-address",
        "yapapi#613",
        Scenario("services-on-a-network"),
        "",
    ),
    // Journal, recovery, stopping.
    bug(
        "nothing-is-written-down-before-a-request",
        "README: the intent is written first",
        Sweep("hello-tasks", Kind::Crash, 400),
        "",
    ),
    bug(
        "recovery-forgets-agreements",
        "README: what happens when it crashes",
        Explore(40),
        "",
    ),
    bug(
        "earlier-budgets-are-forgotten",
        "README: what happens when it crashes",
        Explore(40),
        "",
    ),
    bug(
        "no-instance-goes-on-after-a-crash",
        "yapapi#1130",
        Scenario("the-program-comes-back"),
        "",
    ),
    bug(
        "a-stop-waits-for-no-invoice",
        "yapapi#937",
        Scenario("late-invoices"),
        "",
    ),
    bug(
        "what-is-not-known-is-not-looked-for",
        "README: nothing leaks",
        Sweep("hello-tasks", Kind::Lost, 400),
        "the stop looks for nothing that the engine does not know of",
    ),
    // The daemon, and one seed.
    bug(
        "a-passing-error-is-final",
        "yagna#3404",
        Scenario("passing-errors"),
        "",
    ),
    bug(
        "a-pause-depends-on-earlier-runs",
        "law same-seed-same-journal",
        Explore(60),
        "",
    ),
    // Found by scenarios that are for these tests alone.
    bug(
        "bills-have-no-ceiling",
        "law accepted-within-used",
        File("a-bill-of-ten-times"),
        "",
    ),
    bug(
        "a-note-that-comes-again-is-accepted-again",
        "yagna#158",
        File("each-debit-note-once"),
        "",
    ),
    bug(
        "an-invoice-whose-event-was-lost-is-not-looked-for",
        "README: the same for events that are lost",
        File("an-invoice-whose-event-never-comes"),
        "",
    ),
    bug(
        "the-budget-is-not-kept-alive",
        "yapapi#923",
        File("forty-hours-on-one-budget"),
        "",
    ),
    bug(
        "the-budget-bounds-nobody",
        "laws within-budget, accepted-within-allocated",
        File("a-budget-for-one"),
        "",
    ),
    bug(
        "who-failed-is-taken-again-at-once",
        "yapapi#456",
        File("rejected-once-and-not-asked-again"),
        "",
    ),
    bug(
        "who-is-owed-is-signed-again",
        "yapapi#948",
        File("not-to-whom-we-owe"),
        "",
    ),
    bug(
        "a-debit-note-is-forgotten-before-it-is-paid",
        "law document-exists",
        File("payable-debit-notes"),
        "",
    ),
    bug(
        "a-restart-forgets-what-is-to-be-paid",
        "law invoices-paid",
        File("it-owes-and-restarts"),
        "",
    ),
    bug(
        "the-end-by-a-provider-is-not-heard",
        "yapapi#870",
        File("ended-while-its-activity-lingers"),
        "",
    ),
    bug(
        "what-is-not-approved-in-time-is-left",
        "yagna#847",
        File("approved-when-it-is-too-late"),
        "",
    ),
    bug(
        "approved-while-cancelling-is-forgotten",
        "golem-js#1212",
        File("approved-while-it-is-cancelled"),
        "",
    ),
    bug(
        "work-on-an-agreement-that-ended",
        "yapapi#291; law activity-under-agreement",
        File("ended-before-the-activity-is-asked-for"),
        "",
    ),
    bug(
        "an-activity-without-an-answer-is-not-looked-for",
        "yagna#1162",
        File("an-activity-nobody-was-told-of"),
        "",
    ),
    bug(
        "an-activity-outlives-its-agreement",
        "law nothing-forgotten",
        File("the-end-takes-the-activity-along"),
        "",
    ),
    bug(
        "a-machine-that-nobody-took-is-kept",
        "golem-js#922",
        File("stopped-while-its-machine-comes-up"),
        "",
    ),
    bug(
        "a-script-without-an-answer-is-sent-again",
        "yagna#1482",
        File("a-script-whose-answer-is-lost"),
        "",
    ),
    bug(
        "a-task-that-failed-is-lost",
        "law ends",
        File("a-task-fails-and-is-done-again"),
        "",
    ),
    bug(
        "an-instance-goes-on-on-a-machine-that-is-gone",
        "yapapi#1130",
        File("gone-while-the-program-was-away"),
        "",
    ),
    bug(
        "a-stage-of-the-stop-has-no-deadline",
        "golem-js#219",
        File("nobody-answers-to-the-stop"),
        "",
    ),
    bug(
        "the-report-hides-what-is-open",
        "yagna#3085",
        File("what-is-left-is-counted"),
        "",
    ),
    bug(
        "what-has-no-answer-was-not-done",
        "README: a request of unknown outcome is looked up",
        File("a-budget-that-nobody-was-told-of"),
        "",
    ),
    bug(
        "an-agreement-ends-once-more",
        "law ended-once",
        File("both-sides-end-it"),
        "",
    ),
    bug(
        "a-cancelled-agreement-is-approved",
        "yagna#847",
        File("approved-when-it-is-too-late"),
        "",
    ),
    bug(
        "a-daemon-that-is-away-is-gone",
        "yapapi#597",
        File("away-while-it-searches"),
        "",
    ),
];
