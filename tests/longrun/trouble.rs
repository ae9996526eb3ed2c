//! What goes wrong during the month, drawn by a seed: one thing after the other, each with its end.

use std::time::Duration;

use mock_yagna::{Act, Effect, Fault, MockYagna, Seed};
use rand::RngExt;
use rand::seq::IndexedRandom;

/// Name of the fault of the hour.
const FAULT: &str = "trouble";

/// Interferes about once an hour and a half, for ever.
pub(super) async fn keep_coming(network: &MockYagna, seed: Seed) {
    let mut rng = seed.rng();
    let names: Vec<String> = (1..=super::PROVIDERS)
        .map(|number| format!("provider-{number}"))
        .collect();
    loop {
        tokio::time::sleep(Duration::from_secs(rng.random_range(1800..9000))).await;
        let Some(provider) = names.choose(&mut rng).cloned() else {
            return;
        };
        let lasts = Duration::from_secs(rng.random_range(60..1200));
        let (begin, end) = match rng.random_range(0..7) {
            0 | 1 => (
                Act::SetOnline {
                    provider: provider.clone(),
                    online: false,
                },
                Some(Act::SetOnline {
                    provider,
                    online: true,
                }),
            ),
            2 => (
                Act::TerminateAgreement {
                    provider,
                    reason: None,
                },
                None,
            ),
            3 => (Act::KillActivity { provider }, None),
            4 => (
                Act::GoSilent {
                    provider: provider.clone(),
                    silent: true,
                },
                Some(Act::GoSilent {
                    provider,
                    silent: false,
                }),
            ),
            5 => (
                Act::RestartDaemon {
                    down: Duration::from_secs(30),
                },
                None,
            ),
            _ => {
                let effects = [
                    Effect::LoseAnswer,
                    Effect::Refuse(500),
                    Effect::Refuse(503),
                    Effect::Reset,
                    Effect::Misreport(500),
                ];
                let Some(effect) = effects.choose(&mut rng).cloned() else {
                    return;
                };
                (
                    Act::AddFault(fault(effect)),
                    Some(Act::LiftFault { name: FAULT.into() }),
                )
            }
        };
        // Nothing to interfere with is in order: not every provider is rented.
        drop(network.act(begin));
        if let Some(end) = end {
            tokio::time::sleep(lasts).await;
            drop(network.act(end));
        }
    }
}

/// Ends what has not ended by itself.
pub(super) fn end(network: &MockYagna) {
    drop(network.act(Act::LiftFault { name: FAULT.into() }));
    for number in 1..=super::PROVIDERS {
        let provider = format!("provider-{number}");
        let back = Act::SetOnline {
            provider: provider.clone(),
            online: true,
        };
        drop(network.act(back));
        drop(network.act(Act::GoSilent {
            provider,
            silent: false,
        }));
    }
}

/// One request of ten goes wrong.
fn fault(effect: Effect) -> Fault {
    Fault {
        name: Some(FAULT.into()),
        on: serde_json::from_str(r#""*""#).expect("all requests"),
        effect,
        skip: 0,
        count: None,
        probability: 0.1,
        from: Duration::ZERO,
        until: None,
    }
}
