//! What is promised is never below what machines come to that are stopped in time.

use proptest::prelude::*;

use super::*;
use crate::lifecycle::payment::Event;

const THREADS: u32 = 4;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).expect("a time")
}

fn glm(text: &str) -> Glm {
    text.parse().expect("literal")
}

fn prices() -> LinearPrices {
    LinearPrices {
        per_unit: vec![
            ("golem.usage.duration_sec".into(), Decimal::new(1, 4)),
            ("golem.usage.cpu_sec".into(), Decimal::new(1, 3)),
        ],
        fixed: Decimal::new(1, 1),
    }
}

fn reserve(seconds: u64) -> Reserve {
    Reserve {
        stop: Duration::from_secs(seconds),
        tolerance: Decimal::ZERO,
    }
}

/// A machine that lives since `from`, in milliseconds.
fn running(from: i64) -> AgreementRecord {
    let mut record = AgreementRecord::confirmed(at(from));
    record.activity_created("a".into(), at(from));
    record
}

/// What a machine costs that ran for so long with a share of its threads busy, in thousandths.
fn cost(prices: &LinearPrices, millis: i64, busy: i64) -> Glm {
    let seconds = Decimal::from(millis) / Decimal::from(1000);
    let share = Decimal::from(busy) / Decimal::from(1000);
    prices.cost(|counter| match counter {
        "golem.usage.duration_sec" => seconds,
        _ => seconds * Decimal::from(THREADS) * share,
    })
}

fn known(record: &mut AgreementRecord, amount: Glm, millis: i64, now: i64) {
    let cost = KnownCost {
        amount,
        at: at(millis),
    };
    record.cost_known(&"a".into(), cost, at(now));
}

#[test]
fn an_agreement_is_promised_what_the_table_says() {
    let prices = prices();
    let terms = (&prices, THREADS);
    let promised = |record: &AgreementRecord, now: i64| {
        let promised = promised(terms, record, reserve(30), at(now * 1000));
        promised.normalized().to_string()
    };
    let mut record = AgreementRecord::confirmed(at(0));
    assert_eq!(promised(&record, 500), "0.223", "a start and 30 s");
    record.activity_created("a".into(), at(500_000));
    assert_eq!(promised(&record, 500), "0.223", "it begins to run");
    assert_eq!(promised(&record, 600), "0.633", "100 s later");
    known(&mut record, glm("0.2"), 590_000, 600_000);
    assert_eq!(promised(&record, 600), "0.364", "40 s from what is known");
    record.activity_gone(&"a".into(), at(600_000));
    assert_eq!(promised(&record, 900), "0.2492", "12 s to its destruction");
    record.end(at(601_000));
    assert_eq!(promised(&record, 9_000), "0.2492", "it costs no more");
    let never_used = AgreementRecord {
        ended: Some(at(1)),
        ..AgreementRecord::confirmed(at(0))
    };
    assert_eq!(promised(&never_used, 100), "0");
}

#[test]
fn what_is_promised_grows_while_a_machine_may_run_and_no_longer() {
    let prices = prices();
    let grows = |record: &AgreementRecord| {
        let grows = rate((&prices, THREADS), record, reserve(30));
        grows.normalized().to_string()
    };
    let mut record = AgreementRecord::confirmed(at(0));
    assert_eq!(grows(&record), "0.0041", "it may begin at any time");
    let never_used = AgreementRecord {
        ended: Some(at(1)),
        ..AgreementRecord::confirmed(at(0))
    };
    assert_eq!(grows(&never_used), "0", "it ended unused");
    record.activity_created("a".into(), at(0));
    assert_eq!(grows(&record), "0.0041", "a machine runs");
    record.activity_gone(&"a".into(), at(600_000));
    assert_eq!(grows(&record), "0", "none runs any more");
}

#[test]
fn a_machine_needs_its_start_a_little_use_and_the_time_until_it_is_stopped() {
    let tolerance = Decimal::new(1, 1);
    let reserve = Reserve {
        tolerance,
        ..reserve(30)
    };
    let needed = reserve.needed(&prices(), THREADS).normalized();
    assert_eq!(needed.to_string(), "0.26785", "0.1 and 35 s, and a tenth");
}

#[test]
fn what_an_agreement_has_come_to_grows_with_time_and_with_what_is_known() {
    let prices = prices();
    let come_to = |record: &AgreementRecord, now: i64| {
        let come_to = by_now((&prices, THREADS), record, at(now * 1000));
        come_to.normalized().to_string()
    };
    let mut record = running(0);
    assert_eq!(come_to(&record, 100), "0.11", "a start and 100 s");
    known(&mut record, glm("0.2"), 50_000, 100_000);
    assert_eq!(come_to(&record, 50), "0.2", "what is known");
    assert_eq!(come_to(&record, 100), "0.3", "50 s more, 0.002 each");
    record.end(at(100_000));
    assert_eq!(come_to(&record, 900), "0.3", "it costs no more");
}

#[test]
fn what_two_agreements_come_to_is_their_sum() {
    let one = Spending {
        accepted: glm("1"),
        by_now: glm("2"),
        promised: glm("5"),
        rate: glm("0.1"),
        open: 3,
        unbounded: true,
    };
    let other = Spending {
        accepted: glm("0.5"),
        by_now: glm("0.25"),
        promised: glm("0.75"),
        rate: glm("0.01"),
        open: 2,
        unbounded: false,
    };
    let both = Spending {
        accepted: glm("1.5"),
        by_now: glm("2.25"),
        promised: glm("5.75"),
        rate: glm("0.11"),
        open: 5,
        unbounded: true,
    };
    assert_eq!((one + other, other + one), (both, both));
}

#[test]
fn what_is_paid_from_elsewhere_need_not_be_left() {
    let spending = Spending {
        accepted: glm("1"),
        by_now: glm("2"),
        promised: glm("5"),
        rate: glm("0.1"),
        open: 3,
        unbounded: true,
    };
    let beyond = Spending {
        accepted: Glm::ZERO,
        by_now: Glm::ZERO,
        promised: glm("3"),
        ..spending
    };
    assert_eq!(spending.beyond(glm("2")), beyond);
}

#[test]
fn what_was_accepted_counts_in_any_case() {
    let prices = prices();
    let mut record = running(0);
    let accepted = Event::NoteAccepted {
        activity: "a".into(),
        amount: glm("7"),
    };
    record.documents = record.documents.clone().step(accepted).0;
    let terms = (&prices, THREADS);
    assert_eq!(promised(terms, &record, reserve(1), at(1)), glm("7"));
    assert_eq!(by_now(terms, &record, at(1)), glm("7"));
}

#[test]
fn a_counter_that_time_does_not_bound_goes_on_at_its_pace() {
    let prices = LinearPrices {
        per_unit: vec![("golem.usage.storage_gib".into(), Decimal::ONE)],
        fixed: Decimal::ZERO,
    };
    let mut record = running(0);
    let promised = |record: &AgreementRecord| {
        promised((&prices, 1), record, reserve(10), at(100_000)).normalized()
    };
    assert_eq!(promised(&record), Glm::ZERO, "nothing is known yet");
    known(&mut record, glm("5"), 50_000, 100_000);
    assert_eq!(promised(&record), glm("11"), "0.1 a second");
}

#[test]
fn a_budget_lasts_as_long_as_its_machines_may_need_for_it() {
    let spending = Spending {
        promised: glm("0.4"),
        rate: glm("0.02"),
        ..Spending::default()
    };
    assert_eq!(spending.lasts(glm("1")), Some(Duration::from_secs(30)));
    assert_eq!(spending.lasts(glm("0.3")), Some(Duration::ZERO));
    assert_eq!(Spending::default().lasts(glm("1")), None);
    assert!(spending.fits(glm("0.4")) && !spending.fits(glm("0.39")));
}

proptest! {
    /// Whatever its threads do, and whenever it was looked at: a machine that is told to stop when a
    /// budget is used up, and is stopped within the reserve, does not come to more than the budget.
    #[test]
    fn a_machine_that_is_stopped_within_the_reserve_fits_into_what_was_promised(
        looks in prop::collection::vec((1_i64..400_000, 0_i64..=1000), 1..6),
        stopped_after in 0_i64..30_000,
        last_busy in 0_i64..=1000,
    ) {
        let prices = prices();
        let terms = (&prices, THREADS);
        let mut record = running(0);
        let (mut now, mut used) = (0, Glm::new(prices.fixed));
        let start = used;
        let mut latest = promised(terms, &record, reserve(30), at(0));
        for (step, busy) in looks {
            let grows = rate(terms, &record, reserve(30));
            now += step;
            used = used + (cost(&prices, step, busy) - start);
            // Between two looks it grows no faster than the rate.
            let seconds = Decimal::from(step) / Decimal::from(1000);
            let most = Glm::new(latest.get() + grows.get() * seconds);
            let unseen = promised(terms, &record, reserve(30), at(now));
            prop_assert!(unseen <= most, "{unseen} grew beyond {most}");
            known(&mut record, used, now, now);
            latest = promised(terms, &record, reserve(30), at(now));
            prop_assert!(latest <= unseen, "a look never raises what is promised");
            prop_assert!(by_now(terms, &record, at(now)) <= latest);
        }
        let end = cost(&prices, stopped_after, last_busy) - start;
        prop_assert!(used + end <= latest, "{} > {latest}", used + end);
    }
}
