//! A daemon in the same process: no socket, so it may live in virtual time.

use std::io;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt};
use url::Url;

use super::{Body, BoxError, BoxFuture, Io, TransportError, Wire};

pub(super) struct Memory<S, C> {
    service: S,
    connect: C,
}

impl<S, C> Memory<S, C> {
    pub(super) fn new(service: S, connect: C) -> Self {
        Memory { service, connect }
    }
}

impl<S, B, C> Wire for Memory<S, C>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    C: Fn() -> io::Result<Box<dyn Io>> + Send + Sync + 'static,
{
    fn call(&self, request: Request<Bytes>) -> BoxFuture<Result<Response<Body>, TransportError>> {
        let service = self.service.clone();
        let request =
            request.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync());
        Box::pin(async move {
            let response = service
                .oneshot(request)
                .await
                .map_err(|error| TransportError::Broken(error.into()))?;
            Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
        })
    }

    fn connect(&self, _url: &Url) -> BoxFuture<Result<Box<dyn Io>, TransportError>> {
        let stream = (self.connect)().map_err(|error| TransportError::Connect(error.into()));
        Box::pin(async move { stream })
    }
}
