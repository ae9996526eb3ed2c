//! Looking at the offers of the market without a demand. Owns: the scan at the daemon, that each offer is shown
//! once, and its end. Does not own: negotiating, which takes a demand (`subscription.rs`).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt};
use golem_wire::market::Offer;
use golem_wire::{NodeId, OfferId};
use http::StatusCode;
use indexmap::IndexSet;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::api::ApiError;
use crate::context::Context;
use crate::model::OfferProposal;
use crate::panics::caught;
use crate::retry::{Backoff, Pace};

/// Offers that wait for their reader; the scan waits beyond that.
const BUFFER: usize = 64;

/// Offers that are remembered as shown; the oldest is forgotten first.
const MEMORY: usize = 10_000;

/// How long the daemon keeps a scan of which it hears nothing.
const KEPT: Duration = Duration::from_secs(600);

/// Whether an offer is shown.
pub(crate) type Filter = Box<dyn Fn(&OfferProposal) -> bool + Send + Sync>;

/// Offers of the market as they are published, each once: those that are there first, then new ones. Ends with
/// the engine, or with an error that trying again cannot mend; dropping it ends the scan. Read slowly, it holds
/// up nothing but itself.
pub struct Scan {
    offers: mpsc::Receiver<Result<OfferProposal, ApiError>>,
}

impl Scan {
    /// The offers that come within this time, in the order they come.
    ///
    /// # Errors
    /// The daemon refuses the scan, the offers that came before are lost.
    ///
    /// # Cancel safety
    /// Not cancel-safe: offers that were taken are lost.
    pub async fn within(&mut self, time: Duration) -> Result<Vec<OfferProposal>, ApiError> {
        let mut offers = Vec::new();
        let deadline = crate::deadline::within(time);
        while let Ok(Some(offer)) = tokio::time::timeout_at(deadline, self.next()).await {
            offers.push(offer?);
        }
        Ok(offers)
    }

    /// The next offer; `None` at the end.
    ///
    /// # Errors
    /// [`ApiError`] when the daemon did not go on with the scan; it is the last item.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<OfferProposal, ApiError>> {
        StreamExt::next(self).await
    }
}

impl Stream for Scan {
    type Item = Result<OfferProposal, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.offers.poll_recv(cx)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").finish_non_exhaustive()
    }
}

/// Begins a scan, with constraints that providers must meet.
///
/// # Errors
/// The daemon refuses it.
///
/// # Cancel safety
/// Cancel-safe: a scan that nobody reads ends as soon as it has begun.
pub(crate) async fn begin(
    context: &Arc<Context>,
    constraints: String,
    filter: Option<Filter>,
) -> Result<Scan, ApiError> {
    let (sender, offers) = mpsc::channel(BUFFER);
    let scanning = Scanning {
        context: Arc::clone(context),
        constraints,
        filter,
        seen: IndexSet::new(),
    };
    let owned = Arc::clone(context);
    let beginning = context.tasks().run("begin-scan", async move {
        let scan = scanning.begin().await?;
        owned.jobs().spawn("scan", scanning.run(scan, sender));
        Ok(())
    });
    beginning.await.unwrap_or(Ok(()))?;
    Ok(Scan { offers })
}

struct Scanning {
    context: Arc<Context>,
    constraints: String,
    filter: Option<Filter>,
    seen: IndexSet<(NodeId, OfferId)>,
}

impl Scanning {
    async fn begin(&self) -> Result<String, ApiError> {
        let api = self.context.rest().market();
        api.begin_scan(&self.constraints, KEPT).await
    }

    /// Reads until the reader or the engine is gone.
    async fn run(mut self, scan: String, offers: mpsc::Sender<Result<OfferProposal, ApiError>>) {
        let mut scan = Some(scan);
        let context = Arc::clone(&self.context);
        let reading = self.read(&mut scan, &offers);
        tokio::select! {
            biased;
            () = context.jobs().token().cancelled() => {}
            () = offers.closed() => {}
            failed = reading => {
                // The reader may be gone.
                let _ = offers.send(Err(failed)).await;
            }
        }
        if let Some(scan) = scan
            && let Err(error) = context.rest().market().end_scan(&scan).await
        {
            tracing::debug!(scan, %error, "the scan ends by itself");
        }
    }

    /// Shows what comes; returns when nothing more can come.
    async fn read(
        &mut self,
        scan: &mut Option<String>,
        offers: &mpsc::Sender<Result<OfferProposal, ApiError>>,
    ) -> ApiError {
        let context = Arc::clone(&self.context);
        let api = context.rest().market();
        let wait = context.config().poll.min(KEPT / 2);
        let mut backoff = Backoff::new(context.seed(), format!("scan/{}", self.constraints));
        loop {
            let id = match scan {
                Some(id) => id.clone(),
                // The daemon has forgotten it: it restarted, or the reader was slow.
                None => match self.begin().await {
                    Ok(id) => scan.insert(id).clone(),
                    Err(error) if error.is_retryable() => {
                        backoff.pause().await;
                        continue;
                    }
                    Err(error) => return error,
                },
            };
            let started = Instant::now();
            match api.scanned(&id, wait).await {
                Ok(found) => {
                    let pace = Pace::of(found.is_empty(), started, wait);
                    for offer in found {
                        if let Some(offer) = self.shown(offer)
                            && offers.send(Ok(offer)).await.is_err()
                        {
                            // Whoever runs this ends it.
                            return std::future::pending().await;
                        }
                    }
                    backoff.keep(pace).await;
                }
                Err(error) if error.is_status(StatusCode::NOT_FOUND) => {
                    *scan = None;
                    backoff.pause().await;
                }
                Err(error) if error.is_retryable() => backoff.pause().await,
                Err(error) => return error,
            }
        }
    }

    /// The offer, if it is new and wanted.
    fn shown(&mut self, offer: Offer) -> Option<OfferProposal> {
        let key = (offer.provider_id.clone(), offer.offer_id.clone());
        if !self.seen.insert(key) {
            return None;
        }
        if self.seen.len() > MEMORY {
            self.seen.shift_remove_index(0);
        }
        let offer = OfferProposal::of_offer(offer);
        let Some(filter) = &self.filter else {
            return Some(offer);
        };
        match caught(|| filter(&offer)) {
            Ok(wanted) => wanted.then_some(offer),
            Err(panic) => {
                let told = crate::event::CallbackPanicked::of("the filter of a scan", panic);
                self.context.tell(told);
                None
            }
        }
    }
}
