//! Keeps the time of a network and of the programs that use it, when time is virtual and there is a socket
//! between them.
//!
//! A program that has nothing to do but wait says so, with its first timer and with the bytes that crossed
//! each of its connections to the daemon. Time moves only when every program waits, the daemon has read what
//! they sent and dealt with it, what it wrote has been read, and no service of a program is called; it
//! moves to the next timer of the network or of a program, whichever is first. Nothing is guessed: no pause that
//! means "probably quiet". Whoever wakes is told the new time before any byte reaches it.
//!
//! # What it needs
//! A runtime of one thread whose clock is paused (`start_paused`): the daemon's own work is done when that runtime
//! has nothing left to run. [`MockYagna::serve_kept`] serves the daemon, [`Keeper::keep`] the control socket, both on
//! loopback. Images whose programs are real processes do not belong there: their time is real.
//!
//! # The protocol
//! Lines of text over TCP; times are nanoseconds since 1970-01-01 UTC, ports those of the program's own ends.
//!
//! | a program says | meaning |
//! |---|---|
//! | `hello PROCESS NAME` | the first line: its process (`-`: none), and what to call it; answered with `now TIME`. From here on it works |
//! | `idle TIME PORT:SENT:RECEIVED … closed:PORT …` | it waits until then (`-`: for no timer); the bytes of each open connection to the daemon (`-` in place of those received: it does not read there now); the connections that it ended since it last said so |
//! | `busy` | it works again, for a reason of its own (a pipe, a signal); answered with `now TIME`, and not to go on before that |
//! | `got` | it knows the time of a `wake` |
//! | `child PROCESS`, `gone PROCESS` | it started a process; that has ended. Time stands while such a process lives, unless it says `hello` itself |
//! | `signalled PROCESS` | it sent a signal to a process: whether that still waits is asked anew |
//!
//! | the keeper says | meaning |
//! |---|---|
//! | `now TIME` | the answer to `hello` and `busy` |
//! | `wake TIME` | its timer is due, or something is there for it; to be answered with `got`, after which it works until it says `idle` again. What it said before the `got` counts for nothing |
//! | `error WORDS` | the line before makes no sense; the connection ends |
//!
//! A program whose connection ends is let go of. There are 256 programs at most, and a line has at most
//! 65,536 bytes.
//!
//! Owns: the control socket, moving the clock. Does not own: the rule (`clients`), the lines
//! (`message`), the bytes (`traffic`), how a program finds out that it only waits.

mod clients;
mod message;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::clients::{ClientId, Clients, Decision, Reply};
use self::message::{LONGEST, Message};
use crate::MockYagna;
use crate::daemon::gsb;
use crate::traffic::Traffic;

pub use crate::held_clock::HeldClock;

/// Programs at one time.
const MOST_CLIENTS: usize = 256;
/// Calls of services are looked for at least so often, which changes nothing: the next timer of a network is
/// always sooner.
const LOOK: Duration = Duration::from_secs(30 * 24 * 3600);

/// Keeps time; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Keeper {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    clients: Mutex<Clients>,
    wakers: Mutex<BTreeMap<ClientId, mpsc::Sender<()>>>,
    traffic: Arc<Traffic>,
    /// Why time stands, while it does.
    held: Mutex<Option<String>>,
}

/// A program as the keeper's task for it sees it; it is let go of when this is dropped.
struct Seat {
    keeper: Keeper,
    id: ClientId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let shared = &self.keeper.shared;
        shared.wakers.lock().remove(&self.id);
        let look = shared
            .clients
            .lock()
            .leave(self.id, &mut shared.traffic.wires());
        self.keeper.wake(&look);
        shared.traffic.changed.notify_one();
    }
}

impl Keeper {
    /// A keeper without programs: time stands until one has come and waits.
    pub fn new() -> Keeper {
        Keeper::default()
    }

    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.shared.traffic)
    }

    /// Why time stands, in words for people; `None` while it moves.
    pub fn held_by(&self) -> Option<String> {
        self.shared.held.lock().clone()
    }

    /// How often something was heard of programs. While this and the network's time stand, somebody is busy,
    /// or stuck.
    pub fn heard(&self) -> u64 {
        self.shared.clients.lock().heard()
    }

    /// From now on time runs by itself whenever there is no program: the last one has ended.
    pub fn expect_nobody(&self) {
        self.shared.clients.lock().expect_nobody();
        self.shared.traffic.changed.notify_one();
    }

    /// Keeps the time of `network` and of the programs that connect to `control`, until it is dropped.
    ///
    /// # Errors
    /// When no connection can be accepted any more.
    ///
    /// # Panics
    /// Outside a runtime of tokio.
    pub async fn keep(&self, network: &MockYagna, control: TcpListener) -> io::Result<()> {
        tokio::select! {
            biased;
            () = self.move_time(network) => Ok(()),
            failed = self.listen(network, control) => failed,
        }
    }

    async fn listen(&self, network: &MockYagna, control: TcpListener) -> io::Result<()> {
        let mut programs = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(_) = programs.join_next() => {}
                accepted = control.accept() => {
                    let (stream, _) = accepted?;
                    // Small lines that wait for answers: none is to wait for the next one.
                    drop(stream.set_nodelay(true));
                    if let Some((seat, woken)) = self.seat() {
                        programs.spawn(listen_to(seat, network.clone(), stream, woken));
                    }
                }
            }
        }
    }

    fn seat(&self) -> Option<(Seat, mpsc::Receiver<()>)> {
        let mut clients = self.shared.clients.lock();
        if clients.count() >= MOST_CLIENTS {
            tracing::warn!(
                "there are {MOST_CLIENTS} programs whose time is kept; another one is refused"
            );
            return None;
        }
        let id = clients.join();
        // One wake is under way at most.
        let (waker, woken) = mpsc::channel(1);
        self.shared.wakers.lock().insert(id, waker);
        self.shared.traffic.changed.notify_one();
        let keeper = self.clone();
        Some((Seat { keeper, id }, woken))
    }

    fn wake(&self, programs: &[ClientId]) {
        let wakers = self.shared.wakers.lock();
        for id in programs {
            if let Some(waker) = wakers.get(id) {
                // It is full only when it is being woken.
                let _ = waker.try_send(());
            }
        }
    }

    /// Moves the clock whenever it may move.
    async fn move_time(&self, network: &MockYagna) {
        let shared = &self.shared;
        let world = network.world();
        let mut held = None;
        loop {
            let changed = shared.traffic.changed.notified();
            let (calls, called) = world.with(|state| {
                let mut called = state.gsb.called();
                let first = called.next().map(str::to_owned);
                (usize::from(first.is_some()) + called.count(), first)
            });
            let decision = {
                let mut clients = shared.clients.lock();
                let wires = shared.traffic.wires();
                self.wake(&clients.due(&wires, world.now()));
                clients.decide(&wires, called.as_deref())
            };
            let until = match decision {
                Decision::Hold(reason) => {
                    held.get_or_insert_with(HeldClock::hold);
                    *shared.held.lock() = Some(reason);
                    None
                }
                Decision::Run(until) => {
                    held = None;
                    *shared.held.lock() = None;
                    until
                }
            };
            let due = async {
                match until {
                    Some(until) => sleep_until(world.timebase().instant(until)).await,
                    None => std::future::pending().await,
                }
            };
            let topics = [gsb::calls_topic()];
            let other_calls = world.poll_until(&topics, world.now() + LOOK, |state| {
                (state.gsb.called().count() != calls).then_some(())
            });
            tokio::select! {
                biased;
                () = changed => {}
                _ = other_calls => {}
                () = due => {}
            }
            if world.is_stopping() {
                return;
            }
        }
    }
}

/// One program, until its connection ends.
async fn listen_to(
    seat: Seat,
    network: MockYagna,
    mut stream: TcpStream,
    mut woken: mpsc::Receiver<()>,
) {
    let mut heard = Vec::new();
    loop {
        let told = tokio::select! {
            biased;
            Some(()) = woken.recv() => {
                let now = network.world().now().as_nanosecond();
                stream.write_all(format!("wake {now}\n").as_bytes()).await
            }
            read = stream.read_buf(&mut heard) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) => seat.answer(&network, &mut stream, &mut heard).await,
            }
        };
        if let Err(error) = told {
            tracing::debug!("a program's time is not kept any more: {error}");
            return;
        }
    }
}

impl Seat {
    /// Answers the whole lines among what was heard.
    async fn answer(
        &self,
        network: &MockYagna,
        stream: &mut TcpStream,
        heard: &mut Vec<u8>,
    ) -> io::Result<()> {
        let whole = heard
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines: Vec<u8> = heard.drain(..whole).collect();
        if heard.len() > LONGEST {
            return refuse(stream, "a line is too long").await;
        }
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(line);
            let message: Message = match line.trim().parse() {
                Ok(message) => message,
                Err(unclear) => return refuse(stream, &unclear.to_string()).await,
            };
            let shared = &self.keeper.shared;
            let reply = {
                let mut clients = shared.clients.lock();
                clients.hear(
                    self.id,
                    message,
                    &mut shared.traffic.wires(),
                    Instant::now(),
                )
            };
            shared.traffic.changed.notify_one();
            if reply == Reply::Now {
                let now = network.world().now().as_nanosecond();
                stream.write_all(format!("now {now}\n").as_bytes()).await?;
            }
        }
        Ok(())
    }
}

async fn refuse(stream: &mut TcpStream, why: &str) -> io::Result<()> {
    stream
        .write_all(format!("error {why}\n").as_bytes())
        .await?;
    Err(io::Error::other(why.to_owned()))
}

#[cfg(test)]
mod tests;
