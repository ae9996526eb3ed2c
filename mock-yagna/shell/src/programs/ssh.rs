//! `sshd` and `ssh-keygen -A`: what a script sees of them. There is no cryptography: the keys are random
//! bytes in the shape of keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt as _;

use super::daemons::SSHD;
use super::{Call, Status};
use crate::places::{SSHD_PID, SSHD_VERSION};

/// Where the keys of the machine lie.
const DIRECTORY: &str = "/etc/ssh";
/// Kinds of keys: as they are told, in file names, and in public keys.
const KINDS: [(&str, &str, &str); 3] = [
    ("RSA", "rsa", "ssh-rsa"),
    ("ECDSA", "ecdsa", "ecdsa-sha2-nistp256"),
    ("ED25519", "ed25519", "ssh-ed25519"),
];

fn key_path(kind: &str) -> String {
    format!("{DIRECTORY}/ssh_host_{kind}_key")
}

impl Call<'_, '_, '_> {
    pub(super) fn ssh(&mut self) -> Status {
        if self.name == "sshd" {
            self.sshd()
        } else {
            self.keygen()
        }
    }

    fn sshd(&mut self) -> Status {
        let options = self.options("46DdeiqtTV", "fhop", &[])?;
        if options.has('V') {
            let version = SSHD_VERSION.trim_start_matches("SSH-2.0-");
            self.session.complain(format_args!("{version}, simulated"));
            return Ok(0);
        }
        if options.value('p').is_some_and(|port| port != "22") || options.has('i') {
            return Err(self.fail(1, "only port 22 is simulated"));
        }
        let keys = KINDS.iter().any(|(_, kind, _)| {
            let path = key_path(kind);
            self.session.exists(&path)
        });
        if !keys {
            return Err(self.fail(1, "no hostkeys available -- exiting."));
        }
        if options.has('t') {
            return Ok(0);
        }
        if self.session.machine.files.contains(SSHD_PID) {
            for address in ["0.0.0.0", "::"] {
                self.session.complain(format_args!(
                    "Bind to port 22 on {address} failed: Address already in use."
                ));
            }
            self.session.complain("Cannot bind any address.");
            return Err(255);
        }
        self.write_own(SSHD_PID, format!("{SSHD}\n"))?;
        if options.has('D') || options.has('d') {
            self.stay();
        }
        Ok(0)
    }

    fn keygen(&mut self) -> Status {
        if self.args != ["-A"] {
            return Err(self.fail(1, "only -A is simulated"));
        }
        let mut told = String::new();
        for (name, kind, format) in KINDS {
            let path = key_path(kind);
            if self.session.exists(&path) {
                continue;
            }
            let (private, public) = (self.random::<48>(), self.random::<33>());
            let host = self.session.machine.hostname.to_owned();
            let private = format!(
                "-----BEGIN SIMULATED PRIVATE KEY-----\n{private}\n-----END SIMULATED PRIVATE KEY-----\n"
            );
            self.write_own(&path, private)?;
            self.session.machine.files.set_mode(&path, 0o600);
            self.write_own(
                &format!("{path}.pub"),
                format!("{format} {public} root@{host}\n"),
            )?;
            if told.is_empty() {
                told.push_str("ssh-keygen: generating new host keys: ");
            }
            told += name;
            told.push(' ');
        }
        if !told.is_empty() {
            told.push('\n');
        }
        self.out(told);
        Ok(0)
    }

    fn random<const BYTES: usize>(&mut self) -> String {
        let bytes: [u8; BYTES] =
            std::array::from_fn(|_| self.session.machine.rng.random_range(0..=u8::MAX));
        STANDARD.encode(bytes)
    }
}
