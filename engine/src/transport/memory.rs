//! A daemon in the same process: no socket, so it may live in virtual time.

use std::io;

use bytes::Bytes;
use futures::TryFutureExt;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use super::{Body, BoxError, BoxFuture, Io, TransportError, Wire};

pub(super) struct Memory<C> {
    service: BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>,
    connect: C,
}

impl<C> Memory<C> {
    pub(super) fn new<S, B>(service: S, connect: C) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = service
            .map_response(|response: Response<B>| {
                response.map(|body| body.map_err(|error: B::Error| error.into()).boxed_unsync())
            })
            .map_err(|error: S::Error| error.into());
        Memory {
            service: BoxCloneSyncService::new(service),
            connect,
        }
    }
}

/// A refused connection is an error of connecting here, too.
fn failure(error: BoxError) -> TransportError {
    let refused = error.downcast_ref::<io::Error>();
    match refused.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => TransportError::Connect(error),
        _ => TransportError::Broken(error),
    }
}

impl<C> Wire for Memory<C>
where
    C: Fn() -> io::Result<Box<dyn Io>> + Send + Sync + 'static,
{
    fn call(&self, request: Request<Bytes>) -> BoxFuture<Result<Response<Body>, TransportError>> {
        let request = request.map(|body| {
            Full::new(body)
                .map_err(|never| match never {})
                .boxed_unsync()
        });
        Box::pin(self.service.clone().oneshot(request).map_err(failure))
    }

    fn is_in_memory(&self) -> bool {
        true
    }

    fn connect(&self, _url: &Uri) -> BoxFuture<Result<Box<dyn Io>, TransportError>> {
        let stream = (self.connect)().map_err(|error| TransportError::Connect(error.into()));
        Box::pin(async move { stream })
    }
}
