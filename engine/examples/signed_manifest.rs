//! A signed manifest: which image runs, which commands it may be given, and which addresses of the internet it may
//! reach.
//!
//! `cargo run --example signed_manifest` needs no set-up; see `support/mod.rs` for where it runs. On a daemon providers
//! want to know who signed it: `MANIFEST_CERTIFICATE` is the file of a certificate that they trust, `MANIFEST_KEY` that of
//! its key, with which `openssl` signs.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use golem_engine::Golem;
use golem_engine::payload::manifest::Manifest;
use golem_engine::payload::vm;
use golem_engine::props::runtime;
use support::say;

fn manifest() -> Manifest {
    let image = "9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae";
    Manifest::new()
        .version("0.1.0")
        .name("greeter")
        .description("says hello, and could ask one address of the internet")
        .author("the examples of golem-engine")
        .image(image, ["http://registry.golem.network/v1/image/download?tag=golem/examples-hello-world:latest"])
        .command("run /bin/sh -c echo .*")
        .outbound_protocols(["https"])
        .outbound_url("https://ipfs.io")
}

/// Signs with `openssl`, as `openssl dgst -sha256 -sign KEY` does.
fn by_openssl(key: &str, text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign", key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = openssl.stdin.take() {
        input.write_all(text)?;
    }
    Ok(openssl.wait_with_output()?.stdout)
}

fn signed() -> std::io::Result<vm::VmManifest> {
    let var = |name| std::env::var(name);
    Ok(match (var("MANIFEST_CERTIFICATE"), var("MANIFEST_KEY")) {
        (Ok(certificate), Ok(key)) => {
            let certificate = std::fs::read(certificate)?;
            vm::manifest(manifest()).sign_with("sha256", certificate, |text| by_openssl(&key, text))
        }
        // The embedded network takes any signature.
        _ => vm::manifest(manifest()).sign_with("sha256", "a certificate", |text| {
            Ok::<_, std::io::Error>(text.iter().rev().take(64).copied().collect())
        }),
    })
}

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        let ((), report) = Golem::run(builder, async |golem| work(golem).await).await?;
        say(&report);
        Ok(())
    })
}

async fn work(golem: Golem) -> anyhow::Result<()> {
    say(manifest().to_json()?);
    let payload = signed()?.capabilities([runtime::INET, runtime::MANIFEST_SUPPORT]);
    let machine = golem.one_of(payload).rent().await?;
    let said = machine
        .run("/bin/sh", ["-c", "echo Hello from what was signed"])
        .await?;
    say(said.stdout_text().trim());
    match machine.run("/bin/date", ["-u"]).await {
        Ok(date) => say(format!(
            "nobody looked at the manifest: {}",
            date.stdout_text().trim()
        )),
        Err(error) => say(format!(
            "what was not signed is refused: {}",
            golem_engine::error::chain(&error)
        )),
    }
    machine.release().await;
    Ok(())
}
