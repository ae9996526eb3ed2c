//! The tutorial's program: a scene is rendered frame by frame on many machines. The scene travels once to each machine,
//! the parameters of a frame with each task, and the picture comes back as a file.
//!
//! Machines of the embedded network have no Blender: a stand-in of twenty lines of shell, sent along with the scene,
//! draws a disc that crosses the picture. With `BLEND_FILE=cubes.blend` the machines' own renderer is used, as the
//! image has it. `cargo run --example blender` needs no set-up; see `support/mod.rs` for where it runs. Pictures are put
//! into `OUTPUT_DIR`, or a folder below the system's temporary one.

mod support;

use std::path::PathBuf;

use futures::StreamExt;
use golem_engine::payload::vm;
use golem_engine::script::Command;
use golem_engine::{Golem, Within as _};
use serde_json::json;
use std::time::Duration;
use support::say;

/// Draws a frame: a picture in grey, 24 by 12 points, as text.
const STAND_IN: &str = r#"frame=$(sed -n 's/.*"frames":\[\([0-9]*\)\].*/\1/p' /golem/work/params.json)
radius=$(sed -n 's/^radius //p' /golem/resource/scene.blend)
name=/golem/output/out$(printf %04d "$frame").png
echo P2 24 12 255 > "$name"
y=0
while [ $y -lt 12 ]; do
  row=
  x=0
  while [ $x -lt 24 ]; do
    dx=$((x - frame * 24 / 60)); dy=$(((y - 6) * 2))
    if [ $((dx * dx + dy * dy)) -le $((radius * radius)) ]; then row="$row 255"; else row="$row 0"; fi
    x=$((x + 1))
  done
  echo $row >> "$name"
  y=$((y + 1))
done"#;

const SCENE: &str = "radius 5\n";

fn main() -> anyhow::Result<()> {
    support::run(async |builder, _| {
        let ((), report) = Golem::run(builder, async |golem| render(golem).await).await?;
        say(&report);
        Ok(())
    })
}

async fn render(golem: Golem) -> anyhow::Result<()> {
    let blend = std::env::var_os("BLEND_FILE").map(PathBuf::from);
    let output = std::env::var_os("OUTPUT_DIR").map(PathBuf::from);
    let output = output.unwrap_or_else(|| {
        let name = format!("golem-blender-{}", std::process::id());
        std::env::temp_dir().join(name)
    });
    let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae")
        .min_mem_gib(0.5)
        .min_storage_gib(2.0);
    let folder = output.clone();
    let renderer = blend.is_some();
    let mut tasks = golem
        .execute_tasks(image)
        .data((0..60).step_by(10))
        .setup(move |ctx| {
            let blend = blend.clone();
            async move {
                let mut script = ctx.script();
                let scene = "/golem/resource/scene.blend";
                script.add(match blend {
                    Some(file) => Command::upload_file(file, scene),
                    None => Command::upload_bytes(SCENE, scene),
                });
                script.upload_bytes(STAND_IN, "/golem/work/run-blender.sh");
                script.execute().await?;
                Ok(())
            }
        })
        .worker(move |_, ctx, task| {
            let picture = folder.join(format!("output_{}.png", task.data));
            async move {
                let frame = task.data;
                let mut script = ctx.script();
                script.upload_json(&parameters(frame), "/golem/work/params.json");
                match renderer {
                    true => script.run("/golem/entrypoints/run-blender.sh", []),
                    false => script.run("/bin/sh", ["/golem/work/run-blender.sh"]),
                };
                script.download_file(format!("/golem/output/out{frame:04}.png"), picture);
                script.execute().await?;
                Ok(())
            }
        })
        .max_workers(3)
        .timeout(Duration::from_secs(15 * 60))
        .start()
        .await?;
    let mut rendered = 0;
    // A frame that takes ten minutes is none.
    while let Some(done) = tasks.next().within(Duration::from_secs(600)).await? {
        let done = done?;
        rendered += 1;
        say(format!(
            "frame {:2} on {} in {:.1?}",
            done.task.data, done.provider_name, done.running_time
        ));
    }
    for frame in (0..60).step_by(10) {
        let picture = output.join(format!("output_{frame}.png"));
        anyhow::ensure!(picture.is_file(), "{} is missing", picture.display());
    }
    if std::env::var_os("OUTPUT_DIR").is_none() {
        std::fs::remove_dir_all(&output)?;
    }
    say(format!("rendered {rendered} frames"));
    Ok(())
}

/// What the tutorial's renderer reads.
fn parameters(frame: u32) -> serde_json::Value {
    json!({
        "scene_file": "/golem/resource/scene.blend",
        "resolution": [800, 600],
        "use_compositing": false,
        "crops": [{"outfilebasename": "out", "borders_x": [0.0, 1.0], "borders_y": [0.0, 1.0]}],
        "samples": 100,
        "frames": [frame],
        "output_format": "PNG",
        "RESOURCES_DIR": "/golem/resources",
        "WORK_DIR": "/golem/work",
        "OUTPUT_DIR": "/golem/output",
    })
}
