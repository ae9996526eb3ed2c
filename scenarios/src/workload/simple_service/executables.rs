//! The simple service's image as a folder with real executables: three little scripts that call this
//! program by another name (see [`run_as_executable`]), so that nothing has to be built or installed
//! first.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// First argument with which this program acts as an executable of an image; the path of the script
/// that calls it follows, then the arguments.
const ACT_AS: &str = "act-as-executable";

/// Executables of the simple service.
const EXECUTABLES: [&str; 3] = [
    "simple_service",
    "simulate_observations",
    "simulate_observations_ctl",
];

/// What this program is called inside an image.
const PROGRAM: &str = ".rehearse";

/// Writes the image folder of the simple service: `golem/run/simple_service` and its companions,
/// and this program, which does their work. The folder is complete: it may be moved.
///
/// # Errors
/// When the folder cannot be written, or this program's own path is not known.
pub fn write_image(folder: &Path) -> io::Result<()> {
    let run = folder.join("golem/run");
    fs::create_dir_all(&run)?;
    let program = run.join(PROGRAM);
    if let Err(error) = fs::remove_file(&program)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let this = std::env::current_exe()?;
    // A link costs nothing; it is not possible to another file system.
    if fs::hard_link(&this, &program).is_err() {
        fs::copy(&this, &program)?;
    }
    for name in EXECUTABLES {
        let path = run.join(name);
        let script = format!("#!/bin/sh\nexec \"${{0%/*}}/{PROGRAM}\" {ACT_AS} \"$0\" \"$@\"\n");
        fs::write(&path, script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// If this process was started by one of the scripts of [`write_image`], does its work and answers
/// with how it went.
pub fn run_as_executable(
    arguments: impl IntoIterator<Item = OsString>,
) -> Option<anyhow::Result<()>> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != ACT_AS {
        return None;
    }
    let script = PathBuf::from(arguments.next()?);
    Some(simple_service::executables::run(&script, arguments))
}
