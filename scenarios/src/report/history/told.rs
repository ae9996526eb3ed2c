//! What a line of a journal tells people besides what begins and ends with it.
//!
//! Owns: which lines are marks, of which sort, and their words.

use super::Sort;
use super::line::Line;

/// What is told of a line besides what begins and ends with it.
pub(super) fn told_of(line: &Line<'_>) -> Option<(Sort, String)> {
    let text = |name: &str| line.text(name).unwrap_or("");
    let with = |words: &str, name: &str| match line.text(name) {
        Some(more) => format!("{words}: {more}"),
        None => words.to_owned(),
    };
    Some(match line.event() {
        "law_broken" => (Sort::Law, text("law").to_owned()),
        "fault_added" => (
            Sort::Fault,
            format!("fault {} begins: {}", text("fault"), text("effect")),
        ),
        "fault_lifted" => (Sort::Fault, format!("fault {} is over", text("fault"))),
        "fault_hit" => (
            Sort::Fault,
            format!(
                "fault {} hits {}: {}",
                text("fault"),
                text("request"),
                text("effect")
            ),
        ),
        "daemon_restarted" => (Sort::Step, "the daemon restarts".into()),
        "provider_online" => match line.flag("online") {
            Some(true) => (Sort::Step, "comes back".into()),
            _ => (Sort::Step, "vanishes".into()),
        },
        "provider_silent" => match line.flag("silent") {
            Some(false) => (Sort::Step, "answers again".into()),
            _ => (Sort::Step, "stops to answer".into()),
        },
        "provider_died" => (Sort::Step, format!("dies ({})", text("step"))),
        "behaviour_changed" => (Sort::Step, "behaves otherwise".into()),
        "exe_unit_killed" => (Sort::Step, "its exe-unit is killed".into()),
        "termination_announced" => (
            Sort::Step,
            format!("announces the end of an agreement for {}", text("deadline")),
        ),
        "demand_expired" => (
            Sort::Trouble,
            "a demand reaches the end of its life time".into(),
        ),
        "SubscriptionFailed" => (
            Sort::Trouble,
            with("a demand cannot be published", "reason"),
        ),
        "CollectFailed" => (Sort::Trouble, with("offers cannot be collected", "reason")),
        "NoProposalsConfirmed" => (Sort::Trouble, with("no agreement", "summary")),
        "ActivityCreateFailed" => (
            Sort::Trouble,
            with("an activity cannot be created", "reason"),
        ),
        "agreement_rejected" => (Sort::Trouble, with("an agreement is rejected", "reason")),
        "PaymentFailed" => (Sort::Trouble, with("a document is not paid", "reason")),
        "invoice_rejected" => (Sort::Trouble, with("an invoice is rejected", "reason")),
        "ProviderDistrusted" => (Sort::Trouble, with("is not rented again", "reason")),
        "TaskRejected" => (
            Sort::Trouble,
            with("the result of a task is refused", "reason"),
        ),
        "ServiceFinished" | "JobFinished" => {
            let error = line.text("error")?;
            let who = line.either("service_name", "job").unwrap_or("");
            (Sort::Trouble, format!("{who} fails: {error}"))
        }
        "ServiceRestarted" => (
            Sort::Note,
            format!("{} begins anew on another machine", text("service_name")),
        ),
        "ServiceMoved" => (
            Sort::Note,
            format!("{} moves to {}", text("service_name"), text("to_provider")),
        ),
        "ServiceHealthChanged" if line.flag("healthy") == Some(false) => {
            (Sort::Trouble, with("is not well", "error"))
        }
        "CallbackPanicked" => (
            Sort::Trouble,
            format!("{} panics: {}", text("callback"), text("message")),
        ),
        "ProtocolViolation" => (
            Sort::Trouble,
            with("the daemon breaks its protocol", "what"),
        ),
        "DaemonAway" => (Sort::Trouble, with("the daemon is away", "reason")),
        "DaemonBack" => (Sort::Note, "the daemon is back".into()),
        "BudgetLow" => (Sort::Note, "four fifths of the budget are used up".into()),
        "BudgetExhausted" => (Sort::Trouble, "the budget is used up".into()),
        "BudgetAmended" => (Sort::Note, with("another budget", "total")),
        "MachineUnfit" => (Sort::Trouble, with("a machine is not handed out", "reason")),
        "ExecutionInterrupted" => (Sort::Trouble, with("the program fails", "reason")),
        "RecoveryStarted" => (Sort::Note, "what an earlier run left is looked up".into()),
        _ => return None,
    })
}
