//! Daemons and what images start them with: `nginx`, `syslogd`, `/docker-entrypoint.sh`.
//!
//! A daemon runs while its file of a process id is there. Owns starting and ending them; what they
//! answer to connections is the network's business.

use bytes::Bytes;

use super::time::duration;
use super::{Call, Status};
use crate::places::{NGINX_PID, SSHD_PID, WEB_LOGS};

/// Where the log of `syslogd` lies.
const MESSAGES: &str = "/var/log/messages";
/// Where `nginx` is told to look for its configuration, in its own messages.
const CONFIGURATION: &str = "/etc/nginx/nginx.conf";
/// The daemons that can be killed: their files, and the process ids in them.
const KILLABLE: [(&str, u32); 2] = [(NGINX_PID, NGINX), (SSHD_PID, SSHD)];
const NGINX: u32 = 47;
/// Process id of `sshd`.
pub(super) const SSHD: u32 = 43;

impl Call<'_, '_, '_> {
    pub(super) fn daemon(&mut self) -> Status {
        match self.name {
            "nginx" => self.nginx(),
            "syslogd" => self.syslogd(),
            // The image's script runs its arguments, if there are any.
            _ if self.args.is_empty() => Ok(0),
            _ => Ok(self.session.run_program(self.args)),
        }
    }

    fn nginx(&mut self) -> Status {
        let (mut signal, mut foreground) = (None, false);
        let mut args = self.args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-v" => {
                    self.session.complain("nginx version: nginx/1.26.2");
                    return Ok(0);
                }
                "-t" => {
                    let file = CONFIGURATION;
                    self.session.complain(format_args!(
                        "nginx: the configuration file {file} syntax is ok"
                    ));
                    self.session.complain(format_args!(
                        "nginx: configuration file {file} test is successful"
                    ));
                    return Ok(0);
                }
                "-q" => {}
                "-s" | "-g" | "-c" | "-p" | "-e" => {
                    let Some(value) = args.next() else {
                        let what = format!("option \"{arg}\" requires parameter");
                        return Err(self.fail(1, what));
                    };
                    match arg.as_str() {
                        "-s" => signal = Some(value.as_str()),
                        "-g" => foreground |= value.contains("daemon off"),
                        "-c" if value != CONFIGURATION => {
                            return Err(self.fail(1, "other configurations are not simulated"));
                        }
                        _ => {}
                    }
                }
                other => {
                    return Err(self.fail(1, format_args!("invalid option: \"{other}\"")));
                }
            }
        }
        let running = self.session.machine.files.contains(NGINX_PID);
        match signal {
            None if running => {
                let busy = "[emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)";
                self.complain(busy);
                Err(self.fail(1, "[emerg] still could not bind()"))
            }
            None => {
                for log in WEB_LOGS {
                    if !self.session.machine.files.contains(log) {
                        self.write_own(log, Bytes::new())?;
                    }
                }
                self.write_own(NGINX_PID, format!("{NGINX}\n"))?;
                if foreground {
                    self.stay();
                }
                Ok(0)
            }
            Some("stop" | "quit") if running => {
                self.session.machine.files.remove(NGINX_PID);
                Ok(0)
            }
            Some("reload" | "reopen") if running => Ok(0),
            Some("stop" | "quit" | "reload" | "reopen") => {
                let what =
                    format!("[error] open() \"{NGINX_PID}\" failed (2: No such file or directory)");
                Err(self.fail(1, what))
            }
            Some(other) => Err(self.fail(1, format_args!("invalid option: \"-s {other}\""))),
        }
    }

    fn syslogd(&mut self) -> Status {
        if !self.session.exists(MESSAGES) {
            self.write_own(MESSAGES, Bytes::new())?;
        }
        Ok(0)
    }

    /// Writes a file of a daemon.
    pub(super) fn write_own(&mut self, path: &str, content: impl Into<Bytes>) -> Result<(), i32> {
        let written = self.session.write_file(path, content.into());
        written.map_err(|why| self.fail(1, format_args!("cannot write {path}: {why}")))
    }

    /// Lets a daemon in the foreground run for ever.
    pub(super) fn stay(&mut self) {
        let ever = duration("infinity").unwrap_or_default();
        self.session.elapsed = self.session.elapsed.saturating_add(ever);
    }
}

/// The file of the process id of a daemon that can be killed.
pub(crate) fn pid_file(pid: u32) -> Option<&'static str> {
    let found = KILLABLE.iter().find(|(_, known)| *known == pid);
    found.map(|(path, _)| *path)
}
