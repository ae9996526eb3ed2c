//! What a program finds around it: variables, and a folder with what they point to.
//!
//! Owns: the names of the variables, the files that let Python and Node live in virtual time. Does not own: what
//! those files do (`held/`), who keeps the time (`mock_yagna::keeper`).

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

/// Lets Python programs live in virtual time.
const PYTHON: &str = include_str!("../../held/sitecustomize.py");
/// Lets Node programs live in virtual time.
const NODE: &str = include_str!("../../held/preload.cjs");

/// The files, removed with it, and the variables.
#[derive(Debug)]
pub(super) struct Surroundings {
    _folder: TempDir,
    pub(super) variables: Vec<(&'static str, OsString)>,
}

/// What a program is told.
pub(super) struct Facts<'a> {
    pub(super) api_url: &'a str,
    pub(super) app_key: &'a str,
    pub(super) subnet: &'a str,
    pub(super) seed: u64,
    /// What time it is.
    pub(super) now: jiff::Timestamp,
    /// Where it speaks to the time keeper, if its time is kept.
    pub(super) keeper: Option<SocketAddr>,
}

/// `first` in front of what the variable holds.
fn in_front(first: impl Into<OsString>, between: &str, variable: &str) -> OsString {
    let mut value: OsString = first.into();
    if let Some(rest) = std::env::var_os(variable).filter(|rest| !rest.is_empty()) {
        value.push(between);
        value.push(rest);
    }
    value
}

impl Surroundings {
    pub(super) fn make(facts: &Facts<'_>) -> io::Result<Surroundings> {
        let folder = tempfile::Builder::new().prefix("rehearse-").tempdir()?;
        let path = folder.path().canonicalize()?;
        let mut variables: Vec<(&'static str, OsString)> = vec![
            ("YAGNA_API_URL", facts.api_url.into()),
            ("YAGNA_APPKEY", facts.app_key.into()),
            ("YAGNA_SUBNET", facts.subnet.into()),
            ("YAGNA_PAYMENT_NETWORK", "hoodi".into()),
            ("YAGNA_PAYMENT_DRIVER", "erc20".into()),
            ("GOLEM_SEED", facts.seed.to_string().into()),
            // Python takes 32 bits of it.
            (
                "PYTHONHASHSEED",
                (facts.seed % (1 << 32)).to_string().into(),
            ),
            // Whoever watches sees the lines when they are printed.
            ("PYTHONUNBUFFERED", "1".into()),
        ];
        let bin = path.join("bin");
        std::fs::create_dir(&bin)?;
        write_gftp(&bin)?;
        variables.push(("PATH", in_front(bin, ":", "PATH")));
        let python = path.join("python");
        std::fs::create_dir(&python)?;
        std::fs::write(python.join("sitecustomize.py"), PYTHON)?;
        variables.push(("PYTHONPATH", in_front(python, ":", "PYTHONPATH")));
        // Nothing is written beside what is removed again.
        variables.push(("PYTHONDONTWRITEBYTECODE", "1".into()));
        if let Some(keeper) = facts.keeper {
            let preload = path.join("preload.cjs");
            std::fs::write(&preload, NODE)?;
            variables.push(("GOLEM_KEEPER", keeper.to_string().into()));
            let now = facts.now.as_nanosecond();
            variables.push(("GOLEM_NOW", now.to_string().into()));
            let port = facts.api_url.rsplit(':').next().unwrap_or_default();
            variables.push(("GOLEM_KEPT_PORT", port.trim_end_matches('/').into()));
            let mut option = OsString::from("--require \"");
            option.push(&preload);
            option.push("\"");
            variables.push(("NODE_OPTIONS", in_front(option, " ", "NODE_OPTIONS")));
        }
        Ok(Surroundings {
            _folder: folder,
            variables,
        })
    }
}

/// A `gftp` in `bin` that is this program: `gftp server` serves files to machines and takes theirs.
fn write_gftp(bin: &Path) -> io::Result<()> {
    let this = std::env::current_exe()?;
    let gftp = bin.join("gftp");
    let mut script = OsString::from("#!/bin/sh\nexec '");
    script.push(OsStr::new(&this.to_string_lossy().replace('\'', r"'\''")));
    script.push("' gftp \"$@\"\n");
    std::fs::write(&gftp, script.as_encoded_bytes())?;
    let mut mode = std::fs::metadata(&gftp)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(&gftp, mode)
}
