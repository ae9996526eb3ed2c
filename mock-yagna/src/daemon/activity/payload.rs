//! What each command does to the payload of its activity: it is deployed, started, run, given files
//! and terminated, each by the runtime that the image stands for.
//!
//! Does not own: when a command begins and what its batch tells of it (`command`), which image an
//! agreement deploys (`image`), how a file travels (`transfer`).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use golem_wire::activity::{ActivityState, Deploy, Run, Transfer};
use golem_wire::{ActivityId, BatchId};
use jiff::Timestamp;

use super::Prints;
use super::batch::{Batch, Outcome};
use super::command::later;
use super::image::Machine;
use crate::runtime::process::Processes;
use crate::runtime::program::{Exit, Printed, RunCommand, Stream};
use crate::world::{State, World};

/// What `deploy` and `start` print.
const DEPLOYED: &str = "{\"valid\":{\"Ok\":\"success\"},\"vols\":[],\"startMode\":\"empty\"}\n";
const STARTED: &str = "started\n";

/// Takes out of an exit what was printed before the end, with the time of each piece.
fn early(exit: &mut Exit, now: Timestamp) -> VecDeque<(Timestamp, Stream, Bytes)> {
    let mut left = VecDeque::new();
    if exit.printed.is_empty() {
        return left;
    }
    let mut stdout = Bytes::from(std::mem::take(&mut exit.stdout));
    let mut stderr = Bytes::from(std::mem::take(&mut exit.stderr));
    let mut last = Duration::ZERO;
    for Printed {
        after,
        stream,
        bytes,
    } in std::mem::take(&mut exit.printed)
    {
        let output = match stream {
            Stream::Stdout => &mut stdout,
            Stream::Stderr => &mut stderr,
        };
        if after >= exit.takes {
            break;
        }
        // Time does not go back, and nobody prints more than there is.
        last = last.max(after);
        let data = output.split_to(bytes.min(output.len()));
        left.push_back((later(now, last), stream, data));
    }
    (exit.stdout, exit.stderr) = (stdout.into(), stderr.into());
    left
}

impl State {
    /// Back to the beginning: other batches end where they are, what was deployed goes.
    pub(super) fn terminate_payload(&mut self, id: &ActivityId, by: &BatchId) {
        let Some(activity) = self.activities.by_id.get_mut(id) else {
            return;
        };
        activity.stop.cancel();
        activity.stop = tokio_util::sync::CancellationToken::new();
        let machine = activity.machine.take();
        let interrupted = activity.running.clone().map(|running| running.batch);
        if let Some(batch) = &interrupted
            && let Some(found) = activity.batches.get(batch)
        {
            let (index, batch) = (found.position(), batch.clone());
            self.command_finished(id, &batch, index, Outcome::exit(-1));
        }
        let Some(activity) = self.activities.by_id.get_mut(id) else {
            return;
        };
        for (other, batch) in &mut activity.batches {
            batch.over |= other != by;
        }
        activity.state = ActivityState::Initialized;
        activity.pending = None;
        let networks = std::mem::take(&mut activity.networks);
        self.leave_networks(id, &networks);
        self.stop_machine(machine);
    }

    pub(super) fn deploy_image(&mut self, id: &ActivityId, batch: &BatchId, deploy: &Deploy) {
        let networks = self.join_networks(id, &deploy.net);
        let Some(activity) = self.activities.by_id.get_mut(id) else {
            return;
        };
        activity.deployments += 1;
        activity.networks = networks;
        let count = activity.deployments;
        let agreement = activity.agreement.clone();
        let seed = self.seed.fork(&format!("activity/{id}/{count}"));
        let provider = activity.provider.clone();
        let own = self.own_latency(&provider, |l| &l.deploy);
        let done = later(self.now, own.unwrap_or(self.config.latency.deploy));
        let machine = self
            .image_of(&agreement)
            .and_then(|image| self.machine(&image, seed));
        let machine = match machine {
            Ok(mut machine) => {
                machine.furnish(deploy);
                machine
            }
            Err(message) => {
                let message = format!("Local service error: Transfer error: {message}");
                return self.schedule_end(done, id, batch, Outcome::fail(message));
            }
        };
        if let Machine::Real(processes) = &machine {
            let processes = processes.clone();
            self.command_in_background(id, batch, |_| async move {
                match processes.deploy().await {
                    Ok(()) => Outcome::ok(DEPLOYED),
                    Err(error) => {
                        let why = format!("Local service error: Transfer error: IO error: {error}");
                        Outcome::fail(why)
                    }
                }
            });
        } else {
            self.schedule_end(done, id, batch, Outcome::ok(DEPLOYED));
        }
        if let Some(activity) = self.activities.by_id.get_mut(id) {
            activity.machine = Some(machine);
            activity.env = super::image::environment(deploy);
        }
    }

    pub(super) fn start_payload(&mut self, id: &ActivityId, batch: &BatchId) {
        let Some(activity) = self.activity(id) else {
            return;
        };
        let provider = activity.provider.clone();
        let first = activity.deployments == 1;
        let failing = self
            .provider(&provider)
            .map_or(0, |p| p.spec.behaviour.fail_start_first);
        let failed = self.activities.failed_starts.entry(provider).or_default();
        if first && *failed < failing {
            *failed += 1;
            let outcome = Outcome::fail("Runtime error: the payload did not start");
            return self.schedule_end(self.now, id, batch, outcome);
        }
        let machine = self
            .activity(id)
            .and_then(|activity| activity.machine.as_ref());
        let outcome = match machine {
            Some(Machine::Real(processes)) => {
                let processes = processes.clone();
                return self.command_in_background(id, batch, |_| async move {
                    match processes.start() {
                        Ok(()) => Outcome::ok(STARTED),
                        Err(error) => Outcome::fail(format!("Runtime error: {error}")),
                    }
                });
            }
            Some(Machine::Simulated(_)) => Outcome::ok(STARTED),
            None => Outcome::fail("Runtime error: nothing is deployed"),
        };
        self.schedule_end(self.now, id, batch, outcome);
    }

    pub(super) fn run_program(&mut self, id: &ActivityId, batch: &BatchId, run: Run) {
        let now = self.now;
        let Some(activity) = self.activities.by_id.get_mut(id) else {
            return;
        };
        // The command's own environment goes before that of the deployment.
        let mut env = activity.env.clone();
        env.extend(
            run.env
                .iter()
                .flatten()
                .map(|(n, v)| (n.clone(), v.clone())),
        );
        let command = RunCommand {
            entry_point: &run.entry_point,
            args: &run.args,
            env: &env,
        };
        match &mut activity.machine {
            None => {
                let outcome = Outcome::fail("Runtime error: nothing is deployed");
                self.schedule_end(now, id, batch, outcome);
            }
            Some(Machine::Real(processes)) => {
                let processes = processes.clone();
                let run = Run {
                    env: Some(env),
                    ..run
                };
                self.run_process(id, batch, processes, run);
            }
            Some(machine) => {
                let mut exit = machine.run(now, &command).unwrap_or_default();
                let left = early(&mut exit, now);
                let outcome = Outcome {
                    stdout: exit.stdout,
                    stderr: exit.stderr,
                    ..Outcome::exit(exit.code)
                };
                self.schedule_end(later(now, exit.takes), id, batch, outcome);
                if !left.is_empty() {
                    let found = self.activity(id).and_then(|found| found.batches.get(batch));
                    let index = found.map_or(0, Batch::position);
                    let (activity, batch) = (id.clone(), batch.clone());
                    self.command_prints(Prints {
                        activity,
                        batch,
                        index,
                        left,
                    });
                }
            }
        }
    }

    fn run_process(&mut self, id: &ActivityId, batch: &BatchId, processes: Processes, run: Run) {
        let (activity_id, batch_id) = (id.clone(), batch.clone());
        self.command_in_background(id, batch, |world| async move {
            let output = |stream: Stream, data: &[u8]| {
                world.with(|state| state.command_output(&activity_id, &batch_id, stream, data));
            };
            let env = run.env.unwrap_or_default();
            Outcome::exit(
                processes
                    .run(&run.entry_point, &run.args, &env, output)
                    .await,
            )
        });
    }

    pub(super) fn transfer_file(&mut self, id: &ActivityId, batch: &BatchId, transfer: Transfer) {
        let activity_id = id.clone();
        self.command_in_background(id, batch, |world| async move {
            match super::transfer::transfer(&world, &activity_id, &transfer).await {
                Ok(()) => Outcome::default(),
                Err(error) => Outcome::fail(error.to_string()),
            }
        });
    }

    /// Runs the current command of a batch as a task that ends with the activity's payload.
    fn command_in_background<F>(
        &mut self,
        id: &ActivityId,
        batch: &BatchId,
        work: impl FnOnce(World) -> F + Send + 'static,
    ) where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let Some(activity) = self.activity(id) else {
            return;
        };
        let stop = activity.stop.clone();
        let index = activity.batches.get(batch).map_or(0, Batch::position);
        let (id, batch) = (id.clone(), batch.clone());
        self.in_background(move |world| async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                outcome = work(world.clone()) => {
                    world.with(|state| state.command_finished(&id, &batch, index, outcome));
                }
            }
        });
    }
}
