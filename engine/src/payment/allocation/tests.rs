//! Budgets on the canned daemon, in virtual time.

use http::Method;
use jiff::SignedDuration;

use super::*;
use crate::Golem;
use crate::journal::AllocationEntry;
use crate::testing::{self, Daemon, UNREACHABLE, all_well};

const HOODI: &str = "erc20-hoodi-tglm";
const POLYGON: &str = "erc20-polygon-glm";
const POSTED: &str = "POST /payment-api/v1/allocations";
const LISTED: &str = "GET /payment-api/v1/allocations";

fn daemon() -> Daemon {
    Daemon::new(&[], |_, commands| all_well(commands))
}

fn glm(text: &str) -> Glm {
    text.parse().expect("an amount")
}

fn account(driver: &str, network: &str, send: bool) -> Value {
    json!({
        "platform": format!("{driver}-{network}-glm"), "address": "0xme", "driver": driver,
        "network": network, "token": "GLM", "send": send, "receive": true,
    })
}

fn can_accounts(daemon: &Daemon, accounts: &[Value]) {
    let answer = Value::from(accounts).to_string();
    daemon.can(Method::GET, "/requestorAccounts", &[(200, &answer)]);
}

fn kept(id: &str, platform: &str, total: &str, timeout: Option<Timestamp>) -> Value {
    let mut kept = testing::allocation(id, platform, total, Timestamp::UNIX_EPOCH);
    kept["timeout"] = json!(timeout);
    kept
}

fn allocation(id: &str, platform: &str, total: &str) -> Allocation {
    serde_json::from_value(kept(id, platform, total, None)).expect("an allocation")
}

fn entry(total: &str) -> AllocationEntry {
    AllocationEntry {
        total: glm(total),
        timeout: Timestamp::UNIX_EPOCH,
        exhausted: false,
        by_hand: false,
    }
}

/// The budgets that another engine with the settings of this one would begin with.
async fn begun(
    golem: &Golem,
    before: &OpenState,
    earlier: Vec<Allocation>,
    policy: Recovery,
) -> Result<Budgets, Error> {
    let context = golem.context();
    let known = (before, earlier);
    let (rest, config, seed) = (context.rest(), context.config(), context.seed());
    begin(rest, config, seed, context.now(), known, policy).await
}

async fn anew(golem: &Golem) -> Result<Budgets, Error> {
    begun(golem, &OpenState::default(), Vec::new(), Recovery::Settle).await
}

#[tokio::test(start_paused = true)]
async fn a_budget_lasts_as_long_as_the_settings_say_and_a_moment_that_is_its_name() {
    let (golem, _) = daemon().golem().await;
    let (config, now) = (golem.context().config(), golem.context().now());
    let ends = [1, 2].map(|seed| timeout(config, &Seed::from_u64(seed), now));
    assert_ne!(ends[0], ends[1]);
    for end in ends {
        let lasts = Duration::try_from(end.duration_since(now)).expect("it is later");
        let name = lasts.checked_sub(config.allocation_timeout);
        assert!(
            name.is_some_and(|it| it < Duration::from_secs(1)),
            "{lasts:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_set_aside_on_an_account_of_its_driver_and_network_that_may_send() {
    for (wrong, fits) in [
        (account("zksync", "hoodi", true), false),
        (account("erc20", "mainnet", true), false),
        (account("erc20", "hoodi", false), false),
        (account("ERC20", "Hoodi", true), true),
    ] {
        let daemon = daemon();
        can_accounts(&daemon, std::slice::from_ref(&wrong));
        let started = daemon.builder().start().await;
        assert_eq!(started.is_ok(), fits, "{wrong}");
        if let Err(error) = started {
            assert!(matches!(error, Error::NoPaymentAccount { .. }), "{error}");
        }
        assert_eq!(daemon.calls(POSTED), usize::from(fits), "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_lists_no_account_is_asked_all_the_same_and_says_itself_whether_it_can_pay() {
    let daemon = daemon();
    can_accounts(&daemon, &[]);
    let golem = daemon.builder().start().await.expect("it knows how to pay");
    let asked = &daemon.sent(POSTED)[0]["paymentPlatform"];
    assert_eq!(*asked, json!({"driver": "erc20", "network": "hoodi"}));
    can_accounts(&daemon, &[]);
    daemon.can(Method::POST, "/allocations", &[(400, "{}")]);
    let error = anew(&golem).await.err().expect("it cannot pay there");
    assert!(error.to_string().contains("none"), "{error}");
    assert!(matches!(error, Error::NoPaymentAccount { .. }), "{error}");
    // What went wrong without a refusal says nothing of accounts.
    can_accounts(&daemon, &[]);
    daemon.can(Method::POST, "/allocations", &[(500, "{}")]);
    daemon.can(Method::GET, "/allocations", &[(400, "{}")]);
    let error = anew(&golem).await.err().expect("nobody knows");
    assert!(matches!(error, Error::Api(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_budget_whose_answer_was_lost_is_looked_up_before_it_is_asked_for_again() {
    for (listed, posted) in [("it", Some(1)), ("another", Some(2)), ("nothing", None)] {
        let daemon = daemon();
        let (golem, _) = daemon.golem().await;
        let context = golem.context();
        let named = timeout(context.config(), context.seed(), context.now());
        let timeout = match listed {
            "it" => named,
            _ => named + SignedDuration::from_micros(1),
        };
        let total = context.config().budget.to_string();
        let list = json!([kept("found", HOODI, &total, Some(timeout))]).to_string();
        let list = [match listed {
            "nothing" => (400, "{}"),
            _ => (200, list.as_str()),
        }];
        daemon.can(Method::POST, "/allocations", &[(504, "{}")]);
        daemon.can(Method::GET, "/allocations", &list);
        let before = daemon.calls(POSTED);
        let begun = anew(&golem).await;
        assert_eq!(begun.is_ok(), posted.is_some(), "{listed}");
        let asked = daemon.calls(POSTED) - before;
        assert_eq!(asked, posted.unwrap_or(1), "{listed}");
        if let Ok(begun) = begun {
            let found = begun.own[0].allocation.allocation_id.as_str() == "found";
            assert_eq!(found, listed == "it");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_whose_request_was_not_sent_is_asked_for_again_and_one_that_is_refused_is_not() {
    for (status, asked, looked_up) in [(UNREACHABLE, 2, 0), (504, 2, 1), (429, 1, 0)] {
        let daemon = daemon();
        let (golem, _) = daemon.golem().await;
        daemon.can(Method::POST, "/allocations", &[(status, "{}")]);
        let (posted, listed) = (daemon.calls(POSTED), daemon.calls(LISTED));
        assert_eq!(anew(&golem).await.is_ok(), asked == 2, "{status}");
        assert_eq!(daemon.calls(POSTED) - posted, asked, "{status}");
        assert_eq!(daemon.calls(LISTED) - listed, looked_up, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_other_allocations_reserve_is_named_where_a_budget_does_not_fit_if_there_is_any() {
    for (reserved, named) in [("2.5", true), ("0", false)] {
        let daemon = daemon();
        let problem = json!({
            "type": "/payment-api/v1/allocations/validation-error", "detail": "Insufficient funds",
            "availableFunds": "0.5000", "requestedFunds": "1", "reservedFunds": reserved,
        });
        daemon.can(Method::POST, "/allocations", &[(400, &problem.to_string())]);
        let error = daemon.builder().start().await.expect_err("too small");
        let text = error.to_string();
        assert_eq!(text.contains("2.5 GLM more are reserved"), named, "{text}");
        assert_eq!(text.contains("reserved by"), named, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_earlier_budget_is_kept_by_who_adopts_it_and_is_as_large_as_it_was_amended_to() {
    let answer = kept("b", HOODI, "1", None).to_string();
    let earlier = || {
        vec![
            allocation("older", HOODI, "3"),
            allocation("b", HOODI, "3"),
            allocation("hand-made", HOODI, "3"),
            allocation("elsewhere", POLYGON, "3"),
        ]
    };
    // It was asked for as it is now and amended since, or it is asked for otherwise.
    for (asked, policy, total) in [
        ("1", Recovery::Adopt, Some(Value::Null)),
        ("2", Recovery::Adopt, Some(json!("1"))),
        ("1", Recovery::Settle, None),
    ] {
        let daemon = daemon();
        let golem = daemon.builder().budget(glm("1")).start().await;
        let golem = golem.expect("an engine");
        let mut before = OpenState::default();
        for budget in earlier() {
            let mut known = entry(asked);
            known.exhausted = true;
            known.by_hand = budget.allocation_id.as_str() == "hand-made";
            before.allocations.insert(budget.allocation_id, known);
        }
        daemon.can(Method::PUT, "/allocations/b", &[(200, &answer)]);
        let posted = daemon.calls(POSTED);
        let begun = begun(&golem, &before, earlier(), policy).await;
        let begun = begun.expect("a budget");
        let (own, case) = (&begun.own[0], format!("{asked} {policy:?}"));
        assert_eq!(own.is_kept, total.is_some(), "{case}");
        assert_eq!(daemon.calls(POSTED) == posted, total.is_some(), "{case}");
        assert_eq!(daemon.calls("PUT "), usize::from(total.is_some()), "{case}");
        let left = begun.earlier.len();
        assert_eq!(left, 4 - usize::from(total.is_some()), "{case}");
        if let Some(total) = total {
            assert_eq!(own.allocation.allocation_id.as_str(), "b");
            assert_eq!(own.exhausted, asked == "1", "{case}");
            let sent = &daemon.sent("PUT /payment-api/v1/allocations/b")[0];
            assert_eq!(sent["totalAmount"], total, "{case}: {sent}");
            assert!(sent["timeout"].is_string(), "{case}: {sent}");
        }
    }
}

#[test]
fn of_a_kept_budget_is_written_down_as_how_much_it_is_asked_for_now_if_that_is_new() {
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
    for (is_kept, known, asked, written) in [
        (true, Some("1"), "1", false),
        (true, Some("1"), "2", true),
        (true, None, "1", true),
        (false, Some("1"), "2", false),
    ] {
        let mut allocation = allocation("b", HOODI, "5");
        allocation.timeout = Some(at.into());
        let own = OwnBudget {
            is_kept,
            exhausted: true,
            ..OwnBudget::set_aside(allocation, glm(asked))
        };
        let mut before = OpenState::default();
        if let Some(total) = known {
            before.allocations.insert("b".into(), entry(total));
        }
        let budgets = Budgets {
            own: vec![own],
            earlier: Vec::new(),
        };
        let fact = Fact::AllocationFound {
            allocation: "b".into(),
            total: glm(asked),
            timeout: at,
            exhausted: true,
        };
        let expected = Vec::from_iter(written.then_some(fact));
        let case = format!("{is_kept} {known:?} {asked}");
        assert_eq!(budgets.kept(&before), expected, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_one_of_several_budgets_cannot_be_only_those_that_were_made_for_it_are_released() {
    let both = [
        account("erc20", "hoodi", true),
        account("erc20", "polygon", true),
    ];
    for case in ["made", "kept", "shared"] {
        let daemon = daemon();
        let mut builder = daemon.builder().also_pay_on("erc20", "polygon", glm("1"));
        let list = json!([kept("b", HOODI, "1", None)]).to_string();
        if case == "shared" {
            builder = builder.allocation("b");
            daemon.can(Method::GET, "/allocations", &[(200, &list), (200, &list)]);
        }
        for _ in 0..4 {
            can_accounts(&daemon, &both);
        }
        let made = [("b", HOODI), ("p", POLYGON)];
        let made = made.map(|(id, platform)| kept(id, platform, "1", None).to_string());
        let answers = [(201, made[0].as_str()), (201, made[1].as_str())];
        let new = match case {
            "shared" => &answers[1..],
            _ => &answers,
        };
        daemon.can(Method::POST, "/allocations", new);
        let golem = builder.start().await.expect("an engine with both");
        let refused = [(201, made[0].as_str()), (400, "{}")];
        let again = match case {
            "made" => &refused[..],
            _ => &refused[1..],
        };
        daemon.can(Method::POST, "/allocations", again);
        daemon.can(Method::PUT, "/allocations/b", &[(200, &made[0])]);
        let earlier = match case {
            "kept" => vec![allocation("b", HOODI, "1")],
            _ => Vec::new(),
        };
        let before = OpenState::default();
        let begun = begun(&golem, &before, earlier, Recovery::Adopt).await;
        assert!(begun.is_err(), "{case}");
        let released = daemon.calls("DELETE /payment-api/v1/allocations/b");
        assert_eq!(released, usize::from(case == "made"), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_allocation_of_others_whose_time_is_over_is_refused_and_one_that_lasts_is_used() {
    for (hours, used) in [(-1, false), (1, true)] {
        let daemon = daemon();
        let (golem, _) = daemon.golem().await;
        let timeout = golem.context().now() + SignedDuration::from_hours(hours);
        let list = json!([kept("b", HOODI, "1", Some(timeout))]).to_string();
        daemon.can(Method::GET, "/allocations", &[(200, &list)]);
        let started = daemon.builder().allocation("b").start().await;
        assert_eq!(started.is_ok(), used, "{hours}");
        if let Err(error) = started {
            let text = error.to_string();
            assert!(text.contains("its time was over at"), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_allocation_of_others_is_moved_on_only_if_it_would_end_before_the_engine() {
    for (hours, moved) in [(240, 0), (1, 3)] {
        let daemon = daemon();
        let (golem, _) = daemon.golem().await;
        let timeout = golem.context().now() + SignedDuration::from_hours(hours);
        let list = json!([kept("b", HOODI, "1", Some(timeout))]).to_string();
        daemon.can(Method::GET, "/allocations", &[(200, &list)]);
        let guest = daemon.builder().allocation("b").start().await;
        let guest = guest.expect("another engine");
        tokio::time::sleep(Duration::from_secs(40 * 3600)).await;
        let sent = daemon.sent("PUT /payment-api/v1/allocations/b");
        assert_eq!(sent.len(), moved, "{hours}");
        let ends = sent.iter().map(|it| it["timeout"].as_str());
        let ends: Vec<&str> = ends.map(|it| it.expect("a timeout")).collect();
        assert!(ends.is_sorted_by(|one, next| one < next), "{ends:?}");
        drop((golem, guest));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deposit_pays_for_the_first_budget_and_for_no_other() {
    let daemon = daemon();
    let both = [
        account("erc20", "hoodi", true),
        account("erc20", "polygon", true),
    ];
    for _ in 0..2 {
        can_accounts(&daemon, &both);
    }
    let deposit = Deposit {
        id: "0x10".into(),
        contract: "0x6d".into(),
        validate: None,
    };
    let builder = daemon.builder().deposit(deposit);
    let started = builder.also_pay_on("erc20", "polygon", glm("1")).start();
    started.await.expect("an engine with both");
    let sent = daemon.sent(POSTED);
    let deposits: Vec<bool> = sent.iter().map(|it| it["deposit"].is_object()).collect();
    assert_eq!(deposits, [true, false], "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_amended_to_the_amount_that_is_asked_for() {
    let daemon = daemon();
    let (golem, _) = daemon.golem().await;
    let answer = kept("a", HOODI, "2.5", None).to_string();
    daemon.can(Method::PUT, "/allocations/a", &[(200, &answer)]);
    let amended = golem.amend_budget(glm("2.5")).await.expect("amended");
    assert_eq!(amended.total, glm("2.5"));
    let sent = daemon.sent("PUT /payment-api/v1/allocations/a");
    assert_eq!(sent, [json!({"totalAmount": "2.5"})]);
}
