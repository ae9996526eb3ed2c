//! `gftp server`, as the SDKs start it: files of this computer for machines, and files of machines for this computer, on
//! the orders of standard input, over the bus of the daemon at `YAGNA_API_URL`.
//!
//! One JSON-RPC request a line, one answer a line: `version`, `publish`, `receive`, `close`, `shutdown`. Owns: these, and
//! the files. Does not own: the bus (`mock_yagna`'s, or yagna's). The
//! engine is left out: it would reserve a budget.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use golem_engine::tasks::TaskGroup;
use golem_wire::flex::Flex;
use golem_wire::gsb::{DOWNLOAD_COMPONENTS, SUBPROTOCOL, UPLOAD_COMPONENTS};
use http::{Method, Request as HttpRequest, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use sha3::{Digest, Sha3_256};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use crate::error::Error;

/// As the program whose place it takes says.
const VERSION: &str = "0.7.3";
/// Largest piece of a file that is handed out.
const PIECE: u64 = 1 << 20;
/// Lines that wait.
const WAITING: usize = 64;
/// Until an address is asked for again that another program serves.
const TAKEN: std::time::Duration = std::time::Duration::from_millis(200);
/// How often that is done.
const ATTEMPTS: u32 = 50;

#[derive(Debug, Deserialize)]
struct Request {
    #[serde(default)]
    id: Value,
    method: String,
    #[serde(default)]
    params: Params,
}

#[derive(Debug, Default, Deserialize)]
struct Params {
    #[serde(default)]
    files: Vec<PathBuf>,
    output_file: Option<PathBuf>,
    #[serde(default)]
    urls: Vec<String>,
}

/// A file at an address of the bus.
#[derive(Clone, Debug)]
enum Served {
    /// Machines read it.
    Out(PathBuf),
    /// Machines write it.
    In(PathBuf),
}

/// An address that is served.
struct Service {
    id: String,
    /// The same content may be published more than once.
    uses: u32,
    serving: TaskGroup,
}

/// The way to the daemon's bus.
#[derive(Clone, Debug)]
struct Bus {
    /// `host:port`.
    host: String,
    key: String,
    tasks: TaskGroup,
}

/// Everything that is served.
struct Server {
    bus: Bus,
    node: String,
    services: BTreeMap<String, Service>,
    tasks: TaskGroup,
    names: u64,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Bus {
    /// A request on a connection of its own.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let stream = TcpStream::connect(&self.host).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        self.tasks.spawn_until_cancelled("request", async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection to the daemon broke: {error}");
            }
        });
        let request = HttpRequest::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(
                body.map(|body| body.to_string()).unwrap_or_default(),
            )))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }

    async fn node(&self) -> Result<String, Failure> {
        let (status, body) = self.ask(Method::GET, "/me", None).await?;
        let identity: Value =
            serde_json::from_slice(&body).map_err(|error| format!("{status}: {error}"))?;
        Ok(identity["identity"]
            .as_str()
            .ok_or("the daemon does not say who it is")?
            .to_owned())
    }

    /// Binds a service; its id.
    async fn bind(&self, address: &str, components: &[&str]) -> Result<String, Failure> {
        let body = json!({"listen": {"on": address, "components": components}});
        for _ in 0..ATTEMPTS {
            let path = "/gsb-api/v1/services";
            let (status, answer) = self.ask(Method::POST, path, Some(body.clone())).await?;
            let text = String::from_utf8_lossy(&answer).into_owned();
            if status.is_success() {
                let bound: Value = serde_json::from_str(&text)?;
                return Ok(bound["servicesId"]
                    .as_str()
                    .ok_or("a service without an id")?
                    .to_owned());
            }
            if !text.contains("Duplicated") {
                return Err(format!("{status}: {text}").into());
            }
            // Another program serves the same content at this time.
            tokio::time::sleep(TAKEN).await;
        }
        Err(format!("{address} is served by another program").into())
    }

    async fn unbind(&self, id: &str) -> bool {
        let path = format!("/gsb-api/v1/services/{id}");
        let done = self.ask(Method::DELETE, &path, None).await;
        done.is_ok_and(|(status, _)| status.is_success())
    }

    async fn messages(&self, id: &str) -> Result<WebSocketStream<TcpStream>, Failure> {
        let stream = TcpStream::connect(&self.host).await?;
        let request = HttpRequest::builder()
            .uri(format!("ws://{}/gsb-api/v1/services/{id}", self.host))
            .header(header::HOST, &self.host)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, generate_key())
            .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
            .body(())?;
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(socket)
    }
}

/// Serves until standard input ends or says so.
pub(crate) fn serve(mode: &str) -> Result<(), Error> {
    let failed = |reason: &dyn std::fmt::Display| Error::Stage {
        backend: "gftp",
        reason: reason.to_string(),
    };
    if mode != "server" {
        return Err(failed(&"usage: gftp server"));
    }
    let runtime = crate::stage::runtime(crate::Backend::Http)?;
    runtime.block_on(async {
        let url = std::env::var("YAGNA_API_URL").unwrap_or_else(|_| "http://127.0.0.1:7465".into());
        let key = std::env::var("YAGNA_APPKEY").map_err(|_| failed(&"YAGNA_APPKEY is not set"))?;
        let tasks = TaskGroup::new("gftp");
        let bus = Bus {
            host: url
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .to_owned(),
            key,
            tasks: tasks.clone(),
        };
        let mut server = Server {
            node: bus.node().await.map_err(|error| failed(&error))?,
            bus,
            services: BTreeMap::new(),
            tasks,
            names: 0,
        };
        let mut lines = lines().map_err(|error| failed(&error))?;
        while let Some(line) = lines.recv().await {
            let Some(last) = server.answer(&line).await.map_err(|error| failed(&error))? else {
                continue;
            };
            if last {
                break;
            }
        }
        let open: Vec<String> = server.services.keys().cloned().collect();
        for url in open {
            server.close(&url).await;
        }
        server.tasks.cancel();
        Ok(())
    })
}

/// The lines of standard input.
fn lines() -> io::Result<mpsc::Receiver<String>> {
    let (send, lines) = mpsc::channel(WAITING);
    let read = move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("orders".into())
        .spawn(read)?;
    Ok(lines)
}

impl Server {
    /// Answers a line on standard output; whether it was the last one.
    async fn answer(&mut self, line: &str) -> io::Result<Option<bool>> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let (id, result, last) = match serde_json::from_str::<Request>(line) {
            Ok(request) => {
                let last = request.method == "shutdown";
                (request.id.clone(), self.perform(request).await, last)
            }
            Err(error) => (Value::Null, Err(error.to_string()), false),
        };
        let answer = match result {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err(message) => {
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": message}})
            }
        };
        // In one piece: golem-js takes every piece for an answer.
        let mut stdout = io::stdout().lock();
        stdout.write_all(format!("{answer}\n").as_bytes())?;
        stdout.flush()?;
        Ok(Some(last))
    }

    async fn perform(&mut self, request: Request) -> Result<Value, String> {
        match request.method.as_str() {
            "version" => Ok(VERSION.into()),
            "publish" => {
                let mut published = Vec::new();
                for file in request.params.files {
                    let name =
                        digest(&file).map_err(|error| format!("{}: {error}", file.display()))?;
                    let url = self.bind(&name, Served::Out(file.clone())).await?;
                    published.push(json!({"file": file, "url": url}));
                }
                Ok(published.into())
            }
            "receive" => {
                let file = request
                    .params
                    .output_file
                    .ok_or("`output_file` is missing")?;
                // It exists, empty, before anything comes: of an empty file nothing ever does.
                let folder = file
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty());
                let made = folder
                    .map_or(Ok(()), std::fs::create_dir_all)
                    .and_then(|()| File::create(&file));
                made.map_err(|error| format!("{}: {error}", file.display()))?;
                self.names += 1;
                let drawn = format!("{}/{}/{}", std::process::id(), self.names, file.display());
                let name = hex::encode(Sha3_256::digest(drawn));
                let url = self.bind(&name, Served::In(file.clone())).await?;
                Ok(json!({"file": file, "url": url}))
            }
            "close" => {
                let mut closed = Vec::new();
                for url in request.params.urls {
                    closed.push(if self.close(&url).await {
                        "ok"
                    } else {
                        "error"
                    });
                }
                Ok(closed.into())
            }
            "shutdown" => Ok("ok".into()),
            other => Err(format!("there is no method `{other}` here")),
        }
    }

    async fn bind(&mut self, name: &str, file: Served) -> Result<String, String> {
        let url = format!("gftp://{}/{name}", self.node);
        if let Some(service) = self.services.get_mut(&url) {
            service.uses += 1;
            return Ok(url);
        }
        let components = match file {
            Served::Out(_) => UPLOAD_COMPONENTS,
            Served::In(_) => DOWNLOAD_COMPONENTS,
        };
        let told = |error: Failure| error.to_string();
        let address = format!("/public/gftp/{name}");
        let id = self.bus.bind(&address, &components).await.map_err(told)?;
        let mut messages = self.bus.messages(&id).await.map_err(told)?;
        let serving = self.tasks.child(name);
        serving.spawn_until_cancelled("file", async move {
            while let Some(Ok(message)) = messages.next().await {
                if let Message::Binary(frame) = message
                    && messages
                        .send(Message::Binary(file.answer(&frame)))
                        .await
                        .is_err()
                {
                    return;
                }
            }
        });
        let service = Service {
            id,
            uses: 1,
            serving,
        };
        self.services.insert(url.clone(), service);
        Ok(url)
    }

    async fn close(&mut self, url: &str) -> bool {
        let Some(service) = self.services.get_mut(url) else {
            return false;
        };
        service.uses -= 1;
        if service.uses == 0
            && let Some(service) = self.services.remove(url)
        {
            service.serving.cancel();
            return self.bus.unbind(&service.id).await;
        }
        true
    }
}

impl Served {
    /// Answers a call of a machine; what fails is an answer, too.
    fn answer(&self, frame: &Bytes) -> Bytes {
        let decoded = Flex::decode(frame).unwrap_or(Flex::Null);
        let id = decoded.get("id").and_then(Flex::as_str).unwrap_or_default();
        let component = decoded
            .get("component")
            .and_then(Flex::as_str)
            .unwrap_or_default();
        let payload = decoded.get("payload").cloned().unwrap_or(Flex::Null);
        let id = ("id", Flex::Text(id.to_owned()));
        match self.perform(component, &payload) {
            Ok(answer) => Flex::map([id, ("payload", answer)]),
            Err(reason) => Flex::map([
                id,
                (
                    "error",
                    Flex::map([("InternalError", Flex::Text(reason.to_string()))]),
                ),
            ]),
        }
        .encode()
    }

    fn perform(&self, component: &str, payload: &Flex) -> io::Result<Flex> {
        let missing = |what: &str| io::Error::other(format!("`{what}` is missing"));
        let number = |from: &Flex, what: &str| {
            from.get(what)
                .and_then(Flex::as_u64)
                .ok_or_else(|| missing(what))
        };
        match (self, component) {
            (Served::Out(path), "GetMetadata") => Ok(Flex::map([(
                "fileSize",
                Flex::UInt(std::fs::metadata(path)?.len()),
            )])),
            (Served::Out(path), "GetChunk") => {
                let (offset, size) = (number(payload, "offset")?, number(payload, "size")?);
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(offset))?;
                let mut content = Vec::new();
                file.take(size.min(PIECE)).read_to_end(&mut content)?;
                Ok(Flex::map([
                    ("offset", Flex::UInt(offset)),
                    ("content", Flex::Blob(content.into())),
                ]))
            }
            (Served::In(path), "UploadChunk") => {
                let chunk = payload.get("chunk").ok_or_else(|| missing("chunk"))?;
                let content = chunk
                    .get("content")
                    .and_then(Flex::as_bytes)
                    .ok_or_else(|| missing("content"))?;
                let mut file = File::options().write(true).open(path)?;
                file.seek(SeekFrom::Start(number(chunk, "offset")?))?;
                file.write_all(&content)?;
                Ok(Flex::Null)
            }
            (Served::In(path), "UploadFinished") => {
                let actual = digest(path)?;
                match payload.get("hash").and_then(Flex::as_str) {
                    Some(expected) if !expected.is_empty() && expected != actual => Err(
                        io::Error::other(format!("received {actual}, the sender has {expected}")),
                    ),
                    _ => Ok(Flex::Null),
                }
            }
            _ => Err(io::Error::other(format!(
                "`{component}` is not asked of this file"
            ))),
        }
    }
}

/// SHA3-256 of a file, in hex.
fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut piece) = (File::open(path)?, Sha3_256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&piece[..read]),
        }
    }
}
