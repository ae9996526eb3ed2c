//! What would reach the network fails as on a machine without one: simulated machines do not connect to
//! anything.

use super::{Call, Status};

impl Call<'_, '_, '_> {
    pub(super) fn network(&mut self) -> Status {
        let operand = self.args.iter().rfind(|arg| !arg.starts_with('-'));
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
