//! What strategies were told about providers. Owns: asking once for each, how many at a time and how long,
//! and remembering the answers. Does not own: what an answer means for an offer (`market/subscription.rs`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use golem_wire::NodeId;
use indexmap::IndexMap;
use tokio::sync::Semaphore;

use super::Verdict;
use crate::panics::{Panic, caught_in};

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(30);

/// Questions that are asked at a time.
const AT_ONCE: usize = 64;

/// Providers that are remembered at the most; the oldest is forgotten first.
const MEMORY: usize = 10_000;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Unanswered {
    /// It took too long.
    Late,
    /// The question panicked.
    Panicked(Panic),
}

pub(crate) type Answer = Result<Verdict, Unanswered>;

/// A question that is asked, or its answer.
type Asked = Shared<BoxFuture<'static, Answer>>;

/// The answers of one strategy.
#[derive(Debug)]
pub(crate) struct Verdicts {
    known: Mutex<IndexMap<NodeId, Asked>>,
    permits: Arc<Semaphore>,
}

impl Default for Verdicts {
    fn default() -> Self {
        Verdicts {
            known: Mutex::default(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Verdicts {
    fn lock(&self) -> MutexGuard<'_, IndexMap<NodeId, Asked>> {
        // Every statement leaves the map consistent.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer about a provider: the one that is known, or is waited for already, or of `question`.
    pub(crate) fn of(
        &self,
        provider: &NodeId,
        question: impl FnOnce() -> Result<Option<BoxFuture<'static, Verdict>>, Panic>,
    ) -> Option<Asked> {
        if let Some(asked) = self.lock().get(provider) {
            return Some(asked.clone());
        }
        // Not under the lock: it is users' code.
        let question = match question() {
            Ok(question) => question?,
            Err(panic) => {
                let none = std::future::ready(Err(Unanswered::Panicked(panic)));
                return Some(none.boxed().shared());
            }
        };
        let permits = Arc::clone(&self.permits);
        let asking = async move {
            // It is never closed; and a question that waits its turn is not late.
            let _permit = permits.acquire_owned().await;
            match tokio::time::timeout(WITHIN, caught_in(question)).await {
                Ok(Ok(verdict)) => Ok(verdict),
                Ok(Err(panic)) => Err(Unanswered::Panicked(panic)),
                Err(_) => Err(Unanswered::Late),
            }
        };
        let asked = asking.boxed().shared();
        let mut known = self.lock();
        known.insert(provider.clone(), asked.clone());
        if known.len() > MEMORY {
            known.shift_remove_index(0);
        }
        Some(asked)
    }

    /// Without an answer it is asked again with the next offer.
    pub(crate) fn forget(&self, provider: &NodeId) {
        self.lock().shift_remove(provider);
    }
}

impl Unanswered {
    /// What the offer is refused for.
    pub(crate) fn reason(&self) -> String {
        match self {
            Unanswered::Late => {
                format!(
                    "the strategy's question about the provider was not answered within {WITHIN:?}"
                )
            }
            Unanswered::Panicked(panic) => {
                format!("the strategy's question about the provider panicked: {panic}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn question(asked: &Arc<AtomicUsize>) -> Result<Option<BoxFuture<'static, Verdict>>, Panic> {
        let asked = Arc::clone(asked);
        let asking = async move {
            asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Verdict::Allow
        };
        Ok(Some(asking.boxed()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_is_asked_about_once_however_many_want_to_know() {
        let (verdicts, asked) = (Verdicts::default(), Arc::new(AtomicUsize::new(0)));
        let ask = || {
            verdicts
                .of(&"p".into(), || question(&asked))
                .expect("asked")
        };
        let (one, other) = tokio::join!(ask(), ask());
        assert!(matches!(
            (one, other),
            (Ok(Verdict::Allow), Ok(Verdict::Allow))
        ));
        ask().await.expect("known");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        verdicts.forget(&"p".into());
        ask().await.expect("asked again");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_hangs_or_panics_is_no_answer_and_holds_no_other_up() {
        let verdicts = Verdicts::default();
        let hangs = verdicts.of(&"hangs".into(), || Ok(Some(std::future::pending().boxed())));
        let odd = || Ok(Some(async { panic!("I am wrong") }.boxed()));
        let panics = verdicts.of(&"panics".into(), odd).expect("asked");
        let panicked = panics.await.expect_err("no answer");
        assert!(panicked.reason().contains("I am wrong"), "{panicked:?}");
        let late = hangs.expect("asked").await.expect_err("no answer");
        assert!(late.reason().contains("30s"), "{late:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_has_an_end() {
        let verdicts = Verdicts::default();
        for number in 0..MEMORY + 10 {
            let id = NodeId::from(format!("0x{number}"));
            drop(verdicts.of(&id, || Ok(Some(async { Verdict::Allow }.boxed()))));
        }
        assert_eq!(verdicts.lock().len(), MEMORY);
    }
}
