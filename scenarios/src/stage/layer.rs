//! What stands between the engine and the simulated daemon in memory: nothing, or an observer that
//! sees every request and answer.

use std::fmt;
use std::sync::Arc;

use axum::Router;

/// Wraps the simulated daemon's router; by default as it is.
#[derive(Clone, Default)]
pub struct Layer(Option<Arc<dyn Fn(Router) -> Router + Send + Sync>>);

impl Layer {
    /// `wrap` is given the router before the first request.
    pub fn new(wrap: impl Fn(Router) -> Router + Send + Sync + 'static) -> Self {
        Layer(Some(Arc::new(wrap)))
    }

    pub(crate) fn around(&self, router: Router) -> Router {
        match &self.0 {
            Some(wrap) => wrap(router),
            None => router,
        }
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Layer(something)"
        } else {
            "Layer(nothing)"
        })
    }
}
