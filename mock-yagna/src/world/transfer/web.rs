//! Files over HTTP from and to this computer, in the clear or encrypted: `GET` to fetch one, `PUT` to
//! bring one.
//!
//! Nothing leaves the machine: a host is reached only at a loopback address. Which certificates are
//! accepted: `tls`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, HOST};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{FILE_LIMIT, TransferError};
use crate::world::World;

/// A file at a loopback address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WebFile {
    uri: Uri,
    address: SocketAddr,
    encrypted: bool,
}

/// A connection, encrypted or not.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<C: AsyncRead + AsyncWrite + Send + Unpin> Connection for C {}

impl WebFile {
    /// Reads an `http` or `https` URL.
    pub(super) fn parse(url: &str) -> Result<WebFile, TransferError> {
        let bad = || TransferError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let encrypted = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        let host = uri.host().ok_or_else(bad)?;
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        let ip = match plain.parse::<IpAddr>() {
            Ok(ip) => Some(ip),
            Err(_) if plain.eq_ignore_ascii_case("localhost") => Some(Ipv4Addr::LOCALHOST.into()),
            Err(_) => None,
        };
        let ip = ip
            .filter(IpAddr::is_loopback)
            .ok_or_else(|| TransferError::Away(host.to_owned()))?;
        let usual = if encrypted { 443 } else { 80 };
        let address = SocketAddr::new(ip, uri.port_u16().unwrap_or(usual));
        Ok(WebFile {
            uri,
            address,
            encrypted,
        })
    }

    /// The file's content.
    pub(super) async fn fetch(&self, world: &World) -> Result<Bytes, TransferError> {
        self.call(world, Method::GET, Bytes::new()).await
    }

    /// Brings `content` there.
    pub(super) async fn bring(&self, world: &World, content: Bytes) -> Result<(), TransferError> {
        self.call(world, Method::PUT, content).await.map(drop)
    }

    async fn connect(&self) -> io::Result<Box<dyn Connection>> {
        let stream = TcpStream::connect(self.address).await?;
        if !self.encrypted {
            return Ok(Box::new(stream));
        }
        self.encrypt(stream).await
    }

    #[cfg(feature = "https")]
    async fn encrypt(&self, stream: TcpStream) -> io::Result<Box<dyn Connection>> {
        let host = self.uri.host().unwrap_or("localhost");
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Box::new(super::tls::encrypt(stream, host).await?))
    }

    #[cfg(not(feature = "https"))]
    async fn encrypt(&self, _: TcpStream) -> io::Result<Box<dyn Connection>> {
        let words = "mock-yagna is built without its feature `https`";
        Err(io::Error::new(io::ErrorKind::Unsupported, words))
    }

    async fn call(
        &self,
        world: &World,
        method: Method,
        content: Bytes,
    ) -> Result<Bytes, TransferError> {
        let failed = |error: hyper::Error| TransferError::Http(format!("{}: {error}", self.uri));
        let stream = self.connect().await;
        let stream = stream.map_err(|e| TransferError::Http(format!("{}: {e}", self.uri)))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        world.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a transfer's connection ended: {error}");
            }
        });
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self
            .uri
            .authority()
            .map_or("localhost", |authority| authority.as_str());
        let uploads = method == Method::PUT;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host);
        let request = request.body(Full::new(content));
        let request = request.map_err(|_| TransferError::Url(self.uri.to_string()))?;
        let response = sender.send_request(request).await.map_err(failed)?;
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            let why = format!("{} answered {}", self.uri, parts.status);
            return Err(TransferError::Http(why));
        }
        if uploads {
            // What a server says about a file that it took is of no interest, nor how it ends.
            return Ok(Bytes::new());
        }
        let announced = parts.headers.get(CONTENT_LENGTH);
        let announced = announced.and_then(|size| size.to_str().ok()?.parse::<u64>().ok());
        if let Some(size) = announced.filter(|size| *size > FILE_LIMIT) {
            return Err(TransferError::TooLarge(size));
        }
        let limit = usize::try_from(FILE_LIMIT).unwrap_or(usize::MAX);
        let body = Limited::new(body, limit).collect().await;
        let body = body.map_err(|error| TransferError::Http(format!("{}: {error}", self.uri)))?;
        Ok(body.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_computer_is_reached() {
        let address = |url: &str| WebFile::parse(url).map(|file| file.address.to_string());
        let refused = |url: &str| address(url).expect_err("refused").to_string();
        assert_eq!(
            address("http://127.0.0.1:8080/a?b").ok().as_deref(),
            Some("127.0.0.1:8080")
        );
        assert_eq!(
            address("http://localhost/a").ok().as_deref(),
            Some("127.0.0.1:80")
        );
        assert_eq!(
            address("http://[::1]:81/a").ok().as_deref(),
            Some("[::1]:81")
        );
        for away in [
            "http://example.org/a",
            "http://10.0.0.1/a",
            "http://localhost.example.org/a",
        ] {
            assert!(
                refused(away).contains("only this computer is reached"),
                "{away}"
            );
        }
        assert_eq!(
            address("https://127.0.0.1/a").ok().as_deref(),
            Some("127.0.0.1:443")
        );
        assert!(refused("https://example.org/a").contains("only this computer is reached"));
        assert!(refused("ftp://127.0.0.1/a").contains("Invalid url"));
        assert!(refused("http://").contains("Invalid url"));
    }
}
