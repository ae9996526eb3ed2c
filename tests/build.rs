//! Tells the tests what is missing on this computer: those that need it are then ignored, with the reason.
//! In CI nothing is ignored, so they fail.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CI");
    for (variable, inside, missing) in [
        ("GOLEM_SHARED", "contract/specs", "no_shared"),
        ("GOLEM_INTEROP_ENV", "yapapi", "no_yapapi"),
        ("GOLEM_INTEROP_ENV", "golem-js", "no_golem_js"),
        ("GOLEM_INTEROP_ENV", "golem-core", "no_golem_core"),
    ] {
        println!("cargo::rerun-if-env-changed={variable}");
        println!("cargo::rustc-check-cfg=cfg({missing})");
        let there = |folder| Path::new(&folder).join(inside).is_dir();
        if !env::var_os(variable).is_some_and(there) && env::var_os("CI").is_none() {
            println!("cargo::rustc-cfg={missing}");
        }
    }
}
