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

use super::batch::{Batch, Outcome};
use super::image::{self, Machine};
use super::{Activities, CommandJob, Job, Work};
use crate::ports::{Ports, later};
use crate::provider::Providers;
use crate::runtime::program::{Exit, Printed, RunCommand, Stream};

/// What `deploy` and `start` print.
pub(crate) const DEPLOYED: &str =
    "{\"valid\":{\"Ok\":\"success\"},\"vols\":[],\"startMode\":\"empty\"}\n";
pub(crate) const STARTED: &str = "started\n";

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
        // Time does not go back, and no program prints more than there is.
        last = last.max(after);
        let data = output.split_to(bytes.min(output.len()));
        left.push_back((later(now, last), stream, data));
    }
    (exit.stdout, exit.stderr) = (stdout.into(), stderr.into());
    left
}

impl Activities {
    /// Back to the beginning: other batches end where they are, what was deployed goes.
    pub(super) fn terminate_payload(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        id: &ActivityId,
        by: &BatchId,
    ) {
        let Some(activity) = self.by_id.get_mut(id) else {
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
            self.command_finished(ports, providers, id, &batch, index, Outcome::exit(-1));
        }
        let Some(activity) = self.by_id.get_mut(id) else {
            return;
        };
        for (other, batch) in &mut activity.batches {
            batch.over |= other != by;
        }
        activity.state = ActivityState::Initialized;
        activity.pending = None;
        let networks = std::mem::take(&mut activity.networks);
        self.leave(id, &networks);
        self.stop_machine(machine);
    }

    pub(super) fn deploy_image(
        &mut self,
        ports: &mut Ports,
        providers: &mut Providers,
        id: &ActivityId,
        batch: &BatchId,
        deploy: &Deploy,
    ) {
        let networks = self.join(id, &deploy.net);
        let Some(activity) = self.by_id.get_mut(id) else {
            return;
        };
        activity.deployments += 1;
        activity.networks = networks;
        let count = activity.deployments;
        let seed = ports.seed.fork(&format!("activity/{id}/{count}"));
        let provider = activity.provider.clone();
        let own = providers.own_latency(&provider, |l| &l.deploy);
        let done = ports.later(own.unwrap_or(ports.config.latency.deploy));
        let package = self.get(id).and_then(|activity| activity.package.clone());
        let machine = image::named(&ports.config, package.as_deref())
            .and_then(|image| image::machine(&image, seed));
        let machine = match machine {
            Ok(mut machine) => {
                machine.furnish(deploy);
                machine
            }
            Err(message) => {
                let message = format!("Local service error: Transfer error: {message}");
                return self.schedule_end(ports, done, id, batch, Outcome::fail(message));
            }
        };
        let processes = match &machine {
            Machine::Real(processes) => Some(processes.clone()),
            Machine::Simulated(_) => None,
        };
        match (package.filter(|it| image::is_of_requestor(it)), processes) {
            (Some(package), processes) => {
                self.in_background(id, batch, Work::Fetch(package, done, processes));
            }
            (None, Some(processes)) => self.in_background(id, batch, Work::Deploy(processes)),
            (None, None) => self.schedule_end(ports, done, id, batch, Outcome::ok(DEPLOYED)),
        }
        if let Some(activity) = self.by_id.get_mut(id) {
            activity.machine = Some(machine);
            activity.env = deploy.env.clone();
        }
    }

    pub(super) fn start_payload(
        &mut self,
        ports: &mut Ports,
        providers: &Providers,
        id: &ActivityId,
        batch: &BatchId,
    ) {
        let Some(activity) = self.get(id) else {
            return;
        };
        let provider = activity.provider.clone();
        let first = activity.deployments == 1;
        let failing = providers
            .get(&provider)
            .map_or(0, |p| p.spec.behaviour.fail_start_first);
        let failed = self.failed_starts.entry(provider).or_default();
        if first && *failed < failing {
            *failed += 1;
            let outcome = Outcome::fail("Runtime error: the payload did not start");
            return self.schedule_end(ports, ports.now, id, batch, outcome);
        }
        let machine = self.get(id).and_then(|activity| activity.machine.as_ref());
        let outcome = match machine {
            Some(Machine::Real(processes)) => {
                let processes = processes.clone();
                return self.in_background(id, batch, Work::Start(processes));
            }
            Some(Machine::Simulated(_)) => Outcome::ok(STARTED),
            None => Outcome::fail("Runtime error: nothing is deployed"),
        };
        self.schedule_end(ports, ports.now, id, batch, outcome);
    }

    pub(super) fn run_program(
        &mut self,
        ports: &mut Ports,
        id: &ActivityId,
        batch: &BatchId,
        run: Run,
    ) {
        let now = ports.now;
        let Some(activity) = self.by_id.get_mut(id) else {
            return;
        };
        let command = RunCommand {
            entry_point: &run.entry_point,
            args: &run.args,
            env: &activity.env,
        };
        match &mut activity.machine {
            None => {
                let outcome = Outcome::fail("Runtime error: nothing is deployed");
                self.schedule_end(ports, now, id, batch, outcome);
            }
            Some(Machine::Real(processes)) => {
                let work = Work::Run(processes.clone(), run, activity.env.clone());
                self.in_background(id, batch, work);
            }
            Some(machine) => {
                let mut exit = machine.run(now, &command).unwrap_or_default();
                let left = early(&mut exit, now);
                let outcome = Outcome {
                    stdout: exit.stdout,
                    stderr: exit.stderr,
                    ..Outcome::exit(exit.code)
                };
                self.schedule_end(ports, later(now, exit.takes), id, batch, outcome);
                if !left.is_empty() {
                    let found = self.by_id.get_mut(id);
                    let found = found.and_then(|found| found.batches.get_mut(batch));
                    if let Some(found) = found {
                        found.printing = left;
                        let index = found.position();
                        self.command_prints(ports, id, batch, index);
                    }
                }
            }
        }
    }

    pub(super) fn transfer_file(&mut self, id: &ActivityId, batch: &BatchId, transfer: Transfer) {
        self.in_background(id, batch, Work::Transfer(transfer));
    }

    /// Has the current command of a batch performed as a task that ends with the payload.
    fn in_background(&mut self, id: &ActivityId, batch: &BatchId, work: Work) {
        let Some(activity) = self.get(id) else {
            return;
        };
        let job = CommandJob {
            activity: id.clone(),
            batch: batch.clone(),
            index: activity.batches.get(batch).map_or(0, Batch::position),
            stop: activity.stop.clone(),
            work,
        };
        self.jobs.push(Job::Command(Box::new(job)));
    }
}
