//! The smallest list of tasks: each says hello from its provider.

use golem_engine::WorkContext;
use golem_engine::payload::{Payload, vm};
use golem_engine::service::HandlerError;

/// The machine that the tasks ask for.
pub fn payload() -> Payload {
    vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae")
        .image_url("http://images.invalid/hello.gvmi")
        .into()
}

/// Says hello.
///
/// # Errors
/// When the script fails.
pub async fn hello(ctx: &WorkContext, number: u32) -> Result<String, HandlerError> {
    let said = ctx
        .run(
            "/bin/sh",
            ["-c".to_owned(), format!("echo Hello from task {number}")],
        )
        .await?;
    Ok(said.stdout_text().trim().to_owned())
}
