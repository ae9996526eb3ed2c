//! Commands that take real time, each as a task: what exe-units asked for is performed, and how it
//! ended goes back to them.

use golem_wire::{ActivityId, BatchId};

use super::{World, transfer};
use crate::daemon::activity::{CommandJob, DEPLOYED, Outcome, STARTED, Work};
use crate::runtime::process::Processes;
use crate::runtime::program::Stream;

/// Performs a command, unless it is cut short.
pub(super) async fn perform(world: World, job: CommandJob) {
    let CommandJob {
        activity,
        batch,
        index,
        stop,
        work,
    } = job;
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => return,
        outcome = outcome_of(&world, &activity, (&batch, index), work) => outcome,
    };
    world.with(|state| {
        let (ports, providers) = (&mut state.ports, &mut state.providers);
        let activities = &mut state.activities;
        activities.command_finished(ports, providers, &activity, &batch, index, outcome);
    });
}

/// The image of real processes is unpacked.
async fn unpacked(processes: &Processes) -> Outcome {
    match processes.deploy().await {
        Ok(()) => Outcome::ok(DEPLOYED),
        Err(error) => {
            let why = format!("Local service error: Transfer error: IO error: {error}");
            Outcome::fail(why)
        }
    }
}

async fn outcome_of(
    world: &World,
    activity: &ActivityId,
    (batch, index): (&BatchId, u32),
    work: Work,
) -> Outcome {
    match work {
        Work::Deploy(processes) => unpacked(&processes).await,
        Work::Fetch(package, at, processes) => {
            if let Err(error) = transfer::fetch_image(world, &package).await {
                return Outcome::fail(error.to_string());
            }
            match processes {
                Some(processes) => unpacked(&processes).await,
                None => {
                    let _: Option<()> = world.poll_until(&[], at, |_| None).await;
                    Outcome::ok(DEPLOYED)
                }
            }
        }
        Work::Start(processes) => match processes.start() {
            Ok(()) => Outcome::ok(STARTED),
            Err(error) => Outcome::fail(format!("Runtime error: {error}")),
        },
        Work::Run(processes, run, env) => {
            let output = |stream: Stream, data: &[u8]| {
                world.with(|state| {
                    let ports = &mut state.ports;
                    let activities = &mut state.activities;
                    activities.command_output(ports, activity, batch, stream, data);
                });
            };
            let code = processes.run(&run.entry_point, &run.args, &env, output);
            Outcome::exit(code.await)
        }
        Work::Transfer(transfer) => {
            let tell = |done: u64, total: u64| {
                world.with(|state| {
                    let (ports, activities) = (&mut state.ports, &mut state.activities);
                    activities.command_progress(ports, activity, batch, index, (done, total));
                });
            };
            match transfer::transfer(world, activity, &transfer, &tell).await {
                Ok(()) => Outcome::default(),
                Err(error) => Outcome::fail(error.to_string()),
            }
        }
    }
}
