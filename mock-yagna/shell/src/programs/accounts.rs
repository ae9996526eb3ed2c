//! Passwords: `passwd` and `chpasswd` of a machine whose only user is root. They read and answer; nothing
//! is kept, as there is no login.

use super::{Call, Status};

/// Exit code of `passwd` when the password stays what it was.
const UNCHANGED: i32 = 10;

impl Call<'_, '_, '_> {
    pub(super) fn accounts(&mut self) -> Status {
        if self.name == "chpasswd" {
            self.chpasswd()
        } else {
            self.passwd()
        }
    }

    fn passwd(&mut self) -> Status {
        let options = self.options("dleuq", "", &[("delete", 'd'), ("lock", 'l')])?;
        if let Some(user) = options.operands.iter().find(|user| *user != "root") {
            return Err(self.fail(1, format_args!("user '{user}' does not exist")));
        }
        if !options.flags.trim_matches('q').is_empty() {
            self.complain("password changed.");
            return Ok(0);
        }
        let input = self.session.stdin();
        self.session.write(2, b"New password: ");
        let Some(first) = self.session.next_line(&input) else {
            return Err(self.unchanged("Password change has been aborted."));
        };
        if trimmed(&first).is_empty() {
            return Err(self.unchanged("No password has been supplied."));
        }
        self.session.write(2, b"Retype new password: ");
        let Some(second) = self.session.next_line(&input) else {
            return Err(self.unchanged("Password change has been aborted."));
        };
        if trimmed(&first) != trimmed(&second) {
            return Err(self.unchanged("Sorry, passwords do not match."));
        }
        self.complain("password updated successfully");
        Ok(0)
    }

    fn unchanged(&mut self, why: &str) -> i32 {
        self.session.complain(why);
        self.complain("Authentication token manipulation error");
        self.fail(UNCHANGED, "password unchanged")
    }

    fn chpasswd(&mut self) -> Status {
        self.options("em", "c", &[("encrypted", 'e')])?;
        let input = self.session.stdin();
        let (mut number, mut wrong) = (0, false);
        while let Some(line) = self.session.next_line(&input) {
            number += 1;
            let line = String::from_utf8_lossy(&line).into_owned();
            let why = match line.trim_end().split_once(':') {
                None => "missing new password".to_owned(),
                Some(("root", _)) => continue,
                Some((user, _)) => format!("user '{user}' does not exist"),
            };
            self.complain(format_args!("line {number}: {why}"));
            wrong = true;
        }
        if wrong {
            return Err(self.fail(1, "error detected, changes ignored"));
        }
        Ok(0)
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.trim_ascii_end()
}
