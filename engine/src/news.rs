//! Waiting for a change, in order. Owns: who is woken first: whoever began to wait first, where a `watch` channel
//! wakes in no certain order. The same seed so leads to the same run, however many wait. Does not own: what
//! changed.

use tokio::sync::Notify;

/// Tells of changes to those who wait for one.
#[derive(Debug, Default)]
pub(crate) struct News(Notify);

impl News {
    /// Something changed. To be called after the change, and without the lock that `until` looks under.
    pub(crate) fn tell(&self) {
        self.0.notify_waiters();
    }

    /// Looks now and after each change, until there is an answer.
    ///
    /// # Cancel safety
    /// Cancel-safe as far as `look` is: it decides in one go.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            // No change from here on is missed.
            let news = self.0.notified();
            if let Some(answer) = look() {
                return answer;
            }
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use futures::StreamExt;
    use futures::stream::FuturesUnordered;

    use super::*;

    #[tokio::test]
    async fn who_waits_first_looks_first() {
        let (news, left, order) = (News::default(), Cell::new(0u32), RefCell::new(Vec::new()));
        let waiting = (0..32).map(|number| {
            let (news, left, order) = (&news, &left, &order);
            async move {
                let look = || {
                    left.set(left.get().checked_sub(1)?);
                    Some(())
                };
                news.until(look).await;
                order.borrow_mut().push(number);
            }
        });
        // Polls what was woken, in that order.
        let mut waiting: FuturesUnordered<_> = waiting.collect();
        assert!(futures::poll!(waiting.next()).is_pending());
        for _ in 0..32 {
            left.set(1);
            news.tell();
            waiting.next().await;
        }
        assert_eq!(*order.borrow(), Vec::from_iter(0..32));
    }
}
