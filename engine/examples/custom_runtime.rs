//! A runtime of one's own: a payload derived from a struct, looked at before it is published, and a runtime that is
//! begun by hand, since its start takes arguments.
//!
//! `cargo run --example custom_runtime` needs no set-up; see `support/mod.rs` for where it runs. On a daemon it finds
//! nobody, unless a provider has a runtime of this name.

mod support;

use std::time::Duration;

use golem_engine::payload::{IntoPayload, Payload, PayloadValue};
use golem_engine::{Golem, props};
use golem_scenarios::mock::ProviderSpec;
use support::say;

const CUSTOM_RUNTIME_NAME: &str = "my-runtime";
const CUSTOM_PROPERTY: &str = "golem.srv.app.myprop";

#[derive(PayloadValue)]
enum Mode {
    Careful,
    #[golem(value = "FAST")]
    Fast,
}

#[derive(IntoPayload)]
struct MyPayload {
    #[golem(property = CUSTOM_PROPERTY, default = "myvalue")]
    myprop: String,
    #[golem(property = "golem.srv.app.mode", default = Mode::Careful)]
    mode: Mode,
    #[golem(constraint = props::runtime::NAME, default = CUSTOM_RUNTIME_NAME)]
    runtime: String,
    #[golem(constraint = props::inf::MEM, operator = ">=", default = 16)]
    min_mem_gib: f64,
    #[golem(constraint = props::inf::STORAGE, operator = ">=", default = 1024)]
    min_storage_gib: f64,
}

/// Whoever has the runtime, on the embedded network.
fn provider() -> ProviderSpec {
    let mut provider = ProviderSpec::new("workshop");
    provider.runtime = CUSTOM_RUNTIME_NAME.into();
    provider.resources.mem_gib = 64.0;
    provider.resources.storage_gib = 4096.0;
    provider
}

fn main() -> anyhow::Result<()> {
    let network = |network: golem_scenarios::Offline| {
        network.providers(vec![ProviderSpec::new("somebody else"), provider()])
    };
    support::run_on(network, async |builder, _| {
        let ((), report) = Golem::run(builder, async |golem| work(golem).await).await?;
        say(&report);
        Ok(())
    })
}

async fn work(golem: Golem) -> anyhow::Result<()> {
    let payload = MyPayload {
        myprop: "othervalue".into(),
        mode: Mode::Fast,
        min_mem_gib: 32.0,
        ..MyPayload::default()
    };
    let payload = Payload::from(payload).implicit_init(false);
    say(&payload);
    let demand = golem.preview_demand(payload.clone(), Duration::from_secs(3600));
    say(format!("as published:\n{}", demand.await?));
    let machine = golem.one_of(payload).rent().await?;
    let mut script = machine.script();
    drop((script.deploy(), script.start(["--verbose"])));
    let answer = script.run("/bin/echo", ["ready"]);
    script.execute().await?;
    say(format!(
        "{} of {} says: {}",
        machine.offer().properties()[props::runtime::NAME]
            .as_str()
            .unwrap_or("?"),
        machine.provider_name(),
        answer.await?.stdout_text().trim()
    ));
    machine.release().await;
    Ok(())
}
