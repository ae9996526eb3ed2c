//! The processes of these tests: the example, whose output is read line by line, and the ledger of the
//! mock, asked over its control API.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use workspace_tests::StandaloneMock;

/// How a program is ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    /// It cannot even notice.
    Kill,
    /// As Ctrl-C.
    Interrupt,
}

/// The example as a process; killed with the value.
pub(super) struct Program {
    process: Child,
    output: BufReader<ChildStdout>,
    said: String,
}

impl Program {
    /// Starts it for so many `seconds` of work; whether it is to `resume` its service by name.
    pub(super) fn start(
        mock: &StandaloneMock,
        journal: &Path,
        seconds: u32,
        resume: bool,
    ) -> Result<Self> {
        let mut process = Command::new(workspace_tests::Program::ComesBack.path()?)
            .args(resume.then_some("--resume"))
            .arg(seconds.to_string())
            .envs(mock.environment.iter().cloned())
            .env("GOLEM_JOURNAL", journal)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = process.stdout.take().context("standard output is piped")?;
        Ok(Program {
            process,
            output: BufReader::new(output),
            said: String::new(),
        })
    }

    /// Reads so many lines of output, or all there are.
    pub(super) fn read_lines(&mut self, lines: usize) -> Result<()> {
        for _ in 0..lines {
            if self.output.read_line(&mut self.said)? == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads up to this line of output.
    pub(super) fn read_until(&mut self, line: &str) -> Result<()> {
        loop {
            let read = self.said.len();
            let length = self.output.read_line(&mut self.said)?;
            ensure!(length > 0, "it never said {line:?}:\n{}", self.said);
            if self
                .said
                .get(read..)
                .is_some_and(|it| it.trim_end() == line)
            {
                return Ok(());
            }
        }
    }

    /// Sends a signal; one that has ended already does not mind.
    pub(super) fn send(&mut self, signal: Signal) -> Result<()> {
        match signal {
            Signal::Kill => Ok(self.process.kill()?),
            Signal::Interrupt => {
                if self.process.try_wait()?.is_none() {
                    let id = self.process.id().to_string();
                    Command::new("kill").args(["-INT", &id]).status()?;
                }
                Ok(())
            }
        }
    }

    /// Waits for its end: how it ended, and everything it said.
    pub(super) fn wait(mut self) -> Result<(ExitStatus, String)> {
        self.output.read_to_string(&mut self.said)?;
        let status = self.process.wait()?;
        Ok((status, std::mem::take(&mut self.said)))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The ledger of a mock.
pub(super) struct Ledger {
    address: String,
    key: String,
}

impl Ledger {
    pub(super) fn of(mock: &StandaloneMock) -> Result<Ledger> {
        let variable = |wanted: &str| {
            let found = mock.environment.iter().find(|(name, _)| name == wanted);
            let value = found.map(|(_, value)| value.clone());
            value.with_context(|| format!("the mock prints no {wanted}"))
        };
        let url = variable("YAGNA_API_URL")?;
        Ok(Ledger {
            address: url
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .to_owned(),
            key: variable("YAGNA_APPKEY")?,
        })
    }

    pub(super) fn read(&self) -> Result<Value> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "GET /mock-api/v1/ledger HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Connection: close\r\n\r\n",
            self.address, self.key
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer")?;
        serde_json::from_str(body).with_context(|| answer.clone())
    }

    /// No law is broken, nothing is open, and every invoice is paid once: at once, but for the payments
    /// that are on their way.
    pub(super) fn settled(&self) -> Result<()> {
        // Payments take the network a tenth of a second; it has no way to tell of the last one.
        const LOOKS: u32 = 100;
        let mut ledger = self.read()?;
        for _ in 0..LOOKS {
            if ledger["invoices"] == ledger["invoices_paid"] {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(50));
            ledger = self.read()?;
        }
        for list in ["violations", "open"] {
            let items = ledger[list].as_array().context("a list")?;
            ensure!(items.is_empty(), "{list}: {ledger:#}");
        }
        ensure!(ledger["invoices"] == ledger["invoices_paid"], "{ledger:#}");
        ensure!(ledger["invoiced"] == ledger["paid"], "{ledger:#}");
        Ok(())
    }
}
