//! What would reach the network fails as on a machine without one: simulated machines do not connect to
//! anything.

use super::{Call, Status};

/// Options of `ping` that have a value of their own.
const PING_VALUES: &str = "IMQSTWceilmpstw";

impl Call<'_, '_, '_> {
    /// The host that `ping` is given, before or after its options.
    fn ping_target(&self) -> Option<&String> {
        let mut args = self.args.iter();
        while let Some(arg) = args.next() {
            match arg.strip_prefix('-') {
                None => return Some(arg),
                Some(letters) if letters.len() == 1 && PING_VALUES.contains(letters) => {
                    args.next();
                }
                Some(_) => {}
            }
        }
        None
    }

    pub(super) fn network(&mut self) -> Status {
        let operand = match self.name {
            "ping" => self.ping_target(),
            _ => self.args.iter().rfind(|arg| !arg.starts_with('-')),
        };
        let Some(target) = operand.cloned() else {
            return match self.name {
                "curl" => {
                    self.session.complain(
                        "curl: try 'curl --help' or 'curl --manual' for more information",
                    );
                    Err(2)
                }
                "wget" => {
                    self.session
                        .complain("wget: missing URL\nUsage: wget [OPTION]... [URL]...");
                    Err(1)
                }
                "ping" => Err(self.fail(2, "usage error: Destination address required")),
                _ => Err(self.fail(1, "usage: nc [options] [destination] [port]")),
            };
        };
        let host = target
            .split_once("://")
            .map_or(target.as_str(), |(_, rest)| rest);
        let host = host.split(['/', ':']).next().unwrap_or(host).to_owned();
        Err(match self.name {
            "curl" => {
                let what = format!("curl: (6) Could not resolve host: {host}");
                self.session.complain(what);
                6
            }
            "wget" => {
                let what = format!("wget: unable to resolve host address '{host}'");
                self.session.complain(what);
                4
            }
            "ping" if host.parse::<std::net::IpAddr>().is_ok() => {
                self.session
                    .complain("ping: connect: Network is unreachable");
                2
            }
            "ping" => {
                let what = format!("ping: {host}: Temporary failure in name resolution");
                self.session.complain(what);
                2
            }
            _ => self.fail(1, "getaddrinfo: Temporary failure in name resolution"),
        })
    }
}
